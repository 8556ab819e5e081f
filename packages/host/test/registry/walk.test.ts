import { appendFileSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { SOURCE_LIMITS } from "../../src/registry/index.ts";
import { readExactly, readTree, type WalkRules } from "../../src/registry/walk.ts";
import { pluginFolder, refusal, temporaryFolder } from "./plugin-folder.ts";

const rules = (problem: WalkRules["problem"]): WalkRules => ({
  limits: SOURCE_LIMITS,
  skip: () => false,
  mode: () => 0o644,
  problem,
});

describe("a directory that changes while it is read", () => {
  it.runIf(process.platform === "linux")(
    "still reads the folder that it opened when another is put in its place [S2-40]",
    async () => {
      const root = pluginFolder({ "src/a.txt": "mine" });
      const other = pluginFolder({ "a.txt": "not mine" });
      const away = temporaryFolder();
      let folders = 0;
      const files = await readTree(
        root,
        rules((stat) => {
          // Called with the open folder `src`, before anything in it is looked at.
          if (stat.isDirectory() && ++folders === 2) {
            renameSync(join(root, "src"), join(away, "src"));
            symlinkSync(other, join(root, "src"));
          }
          return undefined;
        }),
      );
      expect(files.map((file) => [file.path, Buffer.from(file.bytes).toString()])).toEqual([["src/a.txt", "mine"]]);
    },
  );

  it("refuses a file that was swapped for a link after it was listed", async () => {
    const root = pluginFolder({ "a/x": "", "b.txt": "mine" });
    const secret = join(pluginFolder({ secret: "secret" }), "secret");
    const swap = rules((stat) => {
      if (stat.isDirectory()) {
        renameSync(join(root, "b.txt"), join(root, "c.txt"));
        symlinkSync(secret, join(root, "b.txt"));
        swapOnce.problem = () => undefined;
      }
      return undefined;
    });
    const swapOnce: { problem: WalkRules["problem"] } = { problem: swap.problem };
    const error = await refusal(
      readTree(
        root,
        rules((stat) => swapOnce.problem(stat)),
      ),
    );
    expect(error).toMatchObject({ code: "source_unsafe", data: { file: "b.txt" } });
  });

  it("refuses a file that grows, shrinks or is rewritten", async () => {
    const root = temporaryFolder();
    for (const change of [
      (path: string) => appendFileSync(path, "more"),
      (path: string) => writeFileSync(path, "x"),
      (path: string) => writeFileSync(path, "other"),
    ]) {
      const path = join(root, "file");
      writeFileSync(path, "first");
      const handle = await open(path);
      const stat = await handle.stat();
      change(path);
      expect(await refusal(readExactly(handle, stat, "file", 100))).toMatchObject({ code: "source_unsafe" });
      await handle.close();
    }
  });

  it("does not walk into a link in the root's own place", async () => {
    const root = pluginFolder({ a: "" });
    const link = join(temporaryFolder(), "link");
    symlinkSync(root, link);
    mkdirSync(join(root, "b"));
    expect(
      await refusal(
        readTree(
          link,
          rules(() => undefined),
        ),
      ),
    ).toMatchObject({ code: "source_unsafe" });
  });
});
