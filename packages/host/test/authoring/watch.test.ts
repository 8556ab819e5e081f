import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type PluginWatch, watchPlugin } from "../../src/authoring/index.ts";

let dir = "";
let running: PluginWatch | undefined;

beforeEach(() => {
  dir = realpathSync(mkdtempSync(join(tmpdir(), "sallyport-watch-")));
});

afterEach(async () => {
  await running?.close();
  running = undefined;
  rmSync(dir, { recursive: true, force: true });
});

/** Starts a watch whose rounds write down what they see in a file. */
async function start(file: string): Promise<{ seen: string[]; errors: unknown[] }> {
  const seen: string[] = [];
  const errors: unknown[] = [];
  running = await watchPlugin({
    dir,
    debounceMs: 1,
    onChange: () => void seen.push(readFileSync(join(dir, file), "utf8")),
    onError: (error) => void errors.push(error),
  });
  return { seen, errors };
}

const until = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 20_000, interval: 5 });

describe("watchPlugin", () => {
  it("runs once at the start and again when a file changes", async () => {
    writeFileSync(join(dir, "plugin.yml"), "one");
    const { seen } = await start("plugin.yml");
    await until(() => expect(seen).toEqual(["one"]));
    writeFileSync(join(dir, "plugin.yml"), "two");
    await until(() => expect(seen.at(-1)).toBe("two"));
  });

  it("sees folders that were made later, and changes in them", async () => {
    writeFileSync(join(dir, "a"), "");
    const { errors, seen } = await start("src/deep/plugin.ts");
    await until(() => expect(errors).toHaveLength(1));
    mkdirSync(join(dir, "src/deep"), { recursive: true });
    writeFileSync(join(dir, "src/deep/plugin.ts"), "one");
    await until(() => expect(seen.at(-1)).toBe("one"));
    writeFileSync(join(dir, "src/deep/plugin.ts"), "two");
    await until(() => expect(seen.at(-1)).toBe("two"));
  });

  it("goes on after a round that failed, and after a folder went away", async () => {
    mkdirSync(join(dir, "src"));
    writeFileSync(join(dir, "src/plugin.ts"), "one");
    const { seen, errors } = await start("src/plugin.ts");
    await until(() => expect(seen).toEqual(["one"]));
    rmSync(join(dir, "src"), { recursive: true });
    await until(() => expect(errors.length).toBeGreaterThan(0));
    mkdirSync(join(dir, "src"));
    writeFileSync(join(dir, "src/plugin.ts"), "two");
    await until(() => expect(seen.at(-1)).toBe("two"));
  });

  it("never runs two rounds at the same time, and close waits for the one that runs", async () => {
    writeFileSync(join(dir, "a"), "0");
    let active = 0;
    let most = 0;
    let rounds = 0;
    const releases: (() => void)[] = [];
    running = await watchPlugin({
      dir,
      debounceMs: 1,
      onError: () => {},
      onChange: async () => {
        most = Math.max(most, ++active);
        await new Promise<void>((done) => releases.push(done));
        active--;
        rounds++;
      },
    });
    await until(() => expect(releases).toHaveLength(1));
    writeFileSync(join(dir, "a"), "1");
    releases[0]?.();
    await until(() => expect(releases).toHaveLength(2));
    const closing = running.close();
    releases[1]?.();
    await closing;
    expect({ active, most, rounds }).toEqual({ active: 0, most: 1, rounds: 2 });
  });

  it("does not look into node_modules and .git", async () => {
    mkdirSync(join(dir, "node_modules/x"), { recursive: true });
    writeFileSync(join(dir, "a"), "one");
    const { seen } = await start("a");
    await until(() => expect(seen).toHaveLength(1));
    writeFileSync(join(dir, "node_modules/x/index.js"), "");
    mkdirSync(join(dir, ".git"));
    writeFileSync(join(dir, "a"), "two");
    await until(() => expect(seen.at(-1)).toBe("two"));
    expect(new Set(seen)).toEqual(new Set(["one", "two"]));
  });

  it("says when there is nothing to watch", async () => {
    await expect(
      watchPlugin({ dir: join(dir, "nowhere"), onChange: () => {}, onError: () => {} }),
    ).rejects.toMatchObject({ code: "not_found" });
  });
});
