import { createHash } from "node:crypto";
import { chmodSync, chownSync, existsSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import { elfInterpreter } from "../../src/isolation/elf.ts";
import { type EnginePaths, installedEngine, placeEngine, storeRoot } from "../../src/isolation/index.ts";
import { librariesOf } from "../../src/isolation/libraries.ts";
import { findTool } from "../../src/isolation/tools.ts";
import { hostIsRoot, publicDir } from "./support.ts";

let dirs: ReturnType<typeof publicDir>[] = [];
const makeDir = (): ReturnType<typeof publicDir> => {
  const dir = publicDir();
  dirs.push(dir);
  return dir;
};
/** A helper of any bytes, with the digest beside it that says so. */
function writeJail(dir: ReturnType<typeof publicDir>, text: string): string {
  const path = dir.write("closed/jail", text);
  dir.write("closed/jail.sha256", `${createHash("sha256").update(text).digest("hex")}\n`);
  return path;
}

afterEach(() => {
  for (const dir of dirs) dir.remove();
  dirs = [];
});

describe("the engine", () => {
  it("is Deno's binary from its npm package, and the runner of this build", () => {
    const { deno, runner } = installedEngine();
    expect(existsSync(deno)).toBe(true);
    expect(runner).toMatch(/dist\/runner\/runner\.mjs$/);
  });

  it("is used where it is installed by an ordinary user", async () => {
    const sources = { deno: "/a/deno", runner: "/a/runner.mjs", jail: installedEngine().jail };
    expect(await placeEngine({ hostIsRoot: false, sources })).toEqual(sources);
    expect(storeRoot("/home/u/.sallyport", { hostIsRoot: false })).toBe("/home/u/.sallyport/store");
  });

  it("keeps the store of a root-run host outside its closed home, one for each home", () => {
    const of = (home: string): string => storeRoot(home, { hostIsRoot: true });
    expect(of("/root/.sallyport")).toMatch(/^\/var\/lib\/sallyport\/[0-9a-f]{64}\/store$/);
    expect(of("/root/.sallyport")).not.toBe(of("/root/other"));
  });

  describe.skipIf(!hostIsRoot)("of a root-run host", () => {
    const sourcesIn = (dir: ReturnType<typeof publicDir>, text: string): EnginePaths => {
      const closed = {
        deno: dir.write("closed/deno", `deno ${text}`),
        runner: dir.write("closed/runner.mjs", text),
        jail: writeJail(dir, `jail ${text}`),
      };
      chmodSync(join(dir.path, "closed"), 0o700);
      return closed;
    };

    it("is copied from under a 0700 folder to where the plugins' user can read it, by digest", async () => {
      const dir = makeDir();
      const publicRoot = join(dir.path, "lib/sallyport");
      const placed = await placeEngine({ hostIsRoot, sources: sourcesIn(dir, "1"), publicRoot });
      expect(readFileSync(placed.deno, "utf8")).toBe("deno 1");
      const modes = [placed.deno, placed.runner, placed.jail].map((path) => statSync(path).mode & 0o777);
      expect(modes).toEqual([0o755, 0o444, 0o755]);
      for (let at = placed.runner; at !== dir.path; at = join(at, "..")) expect(statSync(at).uid).toBe(0);
      expect(statSync(join(placed.deno, "..")).mode & 0o777).toBe(0o755);
      expect(await placeEngine({ hostIsRoot, sources: sourcesIn(dir, "1"), publicRoot })).toEqual(placed);
      const newer = await placeEngine({ hostIsRoot, sources: sourcesIn(dir, "2"), publicRoot });
      expect(newer.deno).not.toBe(placed.deno);
      expect(readFileSync(placed.deno, "utf8")).toBe("deno 1");
    });

    it("is not placed where others than root could change it", async () => {
      const dir = makeDir();
      const sources = sourcesIn(dir, "1");
      chmodSync(dir.path, 0o777);
      await expect(placeEngine({ hostIsRoot, sources, publicRoot: join(dir.path, "a") })).rejects.toMatchObject({
        code: "isolation_unavailable",
      });
      chmodSync(dir.path, 0o755);
      chownSync(dir.path, 4242, 4242);
      await expect(placeEngine({ hostIsRoot, sources, publicRoot: join(dir.path, "b") })).rejects.toMatchObject({
        code: "isolation_unavailable",
      });
    });
  });
});

describe("the helper", () => {
  const placed = (dir: ReturnType<typeof publicDir>, jail: string): Promise<EnginePaths> =>
    placeEngine({ hostIsRoot: false, sources: { deno: "/a/deno", runner: "/a/runner.mjs", jail } });

  it("is not used when its bytes are not those of its digest, or it has none", async () => {
    const dir = makeDir();
    const jail = writeJail(dir, "as built");
    await expect(placed(dir, jail)).resolves.toMatchObject({ jail });
    writeFileSync(jail, "as changed");
    await expect(placed(dir, jail)).rejects.toMatchObject({ code: "digest_mismatch" });
    rmSync(`${jail}.sha256`);
    await expect(placed(dir, jail)).rejects.toMatchObject({ code: "digest_mismatch" });
  });

  it("is not used when everybody can write it, it is a link, or it is not there", async () => {
    const dir = makeDir();
    const jail = writeJail(dir, "as built");
    const link = join(dir.path, "closed/link");
    symlinkSync(jail, link);
    dir.write("closed/link.sha256", readFileSync(`${jail}.sha256`, "utf8"));
    for (const path of [link, join(dir.path, "nothing")]) {
      await expect(placed(dir, path)).rejects.toMatchObject({ code: "isolation_unavailable" });
    }
    chmodSync(jail, 0o757);
    await expect(placed(dir, jail)).rejects.toMatchObject({ code: "isolation_unavailable" });
  });

  it.skipIf(!hostIsRoot)("is not used when it belongs to another user", async () => {
    const dir = makeDir();
    const jail = writeJail(dir, "as built");
    chownSync(jail, 4242, 4242);
    await expect(placed(dir, jail)).rejects.toMatchObject({ code: "isolation_unavailable" });
  });

  const shipped = (name: string): string => fileURLToPath(new URL(`../../native/${name}`, import.meta.url));

  it.each(["x64", "arm64"])("shipped for %s was built from the source that is here", (arch) => {
    const source = createHash("sha256")
      .update(readFileSync(shipped("jail.c")))
      .digest("hex");
    const binary = readFileSync(shipped(`prebuilt/linux-${arch}/jail`));
    expect(binary.includes(`sallyport-jail-source:${source}`)).toBe(true);
    const digest = createHash("sha256").update(binary).digest("hex");
    expect(readFileSync(shipped(`prebuilt/linux-${arch}/jail.sha256`), "utf8")).toBe(`${digest}\n`);
    expect(statSync(shipped(`prebuilt/linux-${arch}/jail`)).mode & 0o111).toBe(0o111);
  });

  it("is published with the package", () => {
    const { files } = JSON.parse(readFileSync(shipped("../package.json"), "utf8"));
    expect(files).toContain("native");
  });
});

describe("system programs of the sandbox", () => {
  it.skipIf(!hostIsRoot)("are not used when others than root could change them", async () => {
    const dir = makeDir();
    const tool = dir.write("tool", "#!/bin/sh\n");
    expect(await findTool("tool", [tool])).toEqual({ path: tool });
    chmodSync(tool, 0o757);
    expect(await findTool("tool", [tool])).toMatchObject({
      missing: expect.stringContaining("can be written by others"),
    });
    chmodSync(tool, 0o755);
    chownSync(tool, 4242, 4242);
    expect(await findTool("tool", [tool])).toMatchObject({
      missing: expect.stringContaining("does not belong to root"),
    });
    const link = join(dir.path, "link");
    symlinkSync(tool, link);
    expect(await findTool("link", [link])).toHaveProperty("missing");
  });

  it("are never found by a relative name or through PATH", async () => {
    expect(await findTool("no-such-program-of-ours")).toEqual({ missing: "no-such-program-of-ours is not installed." });
    expect(await findTool("x", ["/nonexistent/x", "/tmp"])).toHaveProperty("missing");
  });
});

describe("libraries", () => {
  it("are listed with the loader, without running the program", async () => {
    const libraries = await librariesOf(installedEngine().deno);
    expect(libraries.some((path) => path.includes("libc.so"))).toBe(true);
    expect(libraries.some((path) => /ld-linux/.test(path))).toBe(true);
    for (const path of libraries) expect([path, existsSync(path)]).toEqual([path, true]);
  });

  it("of something that is no program are an error", async () => {
    const dir = makeDir();
    const path = join(dir.path, "x");
    for (const bytes of [
      Buffer.alloc(0),
      Buffer.from("#!/bin/sh\n"),
      Buffer.from("7f454c460201", "hex"),
      Buffer.alloc(200, 0xff),
    ]) {
      writeFileSync(path, bytes);
      expect(elfInterpreter(bytes)).toBeNull();
      await expect(librariesOf(path)).rejects.toMatchObject({ code: "isolation_unavailable" });
    }
  });
});
