import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { runCommand } from "../support/command.ts";
import { MAIN } from "../support/process.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "sallyport-author-"));
});
afterEach(() => rm(root, { recursive: true }));

const json = async (...args: string[]) => {
  const { code, out } = await runCommand([...args, "--json"]);
  return { code, answer: JSON.parse(out) };
};

describe("plugin new and plugin types", () => {
  it("write a plugin and the types of its tools, with no home", async () => {
    const dir = join(root, "my-plugin");
    const made = await json("plugin", "new", dir);
    expect(made).toMatchObject({
      code: 0,
      answer: { success: true, dir, files: expect.arrayContaining(["plugin.yml"]) },
    });
    expect(await readFile(join(dir, "plugin.yml"), "utf8")).toContain("id: my-plugin");

    const types = join(dir, "src", "tool-types.ts");
    const before = await readFile(types, "utf8");
    await rm(types);
    expect(await json("plugin", "types", dir)).toMatchObject({ code: 0, answer: { success: true, file: types } });
    expect(await readFile(types, "utf8")).toBe(before);
    expect((await runCommand(["plugin", "types", dir, "--stdout"])).out).toBe(before);
  });

  it("refuse a folder that is not empty, a bad id or template, and a missing manifest", async () => {
    await writeFile(join(root, "mine"), "");
    expect((await json("plugin", "new", root, "--id", "my-plugin")).answer).toMatchObject({ code: "conflict" });
    expect((await json("plugin", "new", join(root, "new"), "--id", "sallyport")).answer.success).toBe(false);
    expect(await json("plugin", "new", join(root, "new"), "--template", "nuclear")).toMatchObject({ code: 2 });
    expect((await json("plugin", "types", root)).answer).toMatchObject({ code: "manifest_missing" });
    expect(await json("plugin", "types", join(root, "nothing"))).toMatchObject({ code: 2 });
    expect(await readdir(root)).toEqual(["mine"]);
  });
});

describe("plugin dev", () => {
  it("loads the plugin in a throw-away home, again after a change, says what is wrong and what it logs, and leaves nothing", async () => {
    const dir = join(root, "plugin");
    await runCommand(["plugin", "new", dir, "--id", "my-plugin"]);
    const child = spawn(process.execPath, [MAIN, "plugin", "dev", dir, "--runtime", "--json"], {
      env: { PATH: process.env["PATH"], HOME: root, TMPDIR: root },
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
      const next = async () => JSON.parse((await lines.next()).value);
      expect(await next()).toEqual({
        success: true,
        plugin: { id: "my-plugin", version: expect.any(String), state: "running" },
        tools: ["my-plugin__greet"],
      });
      const source = join(dir, "src", "plugin.ts");
      const good = await readFile(source, "utf8");
      await writeFile(source, "export default {");
      expect(await next()).toMatchObject({ success: false, code: "bundle_failed" });
      await writeFile(source, `console.warn("starts\\u202e");\n${good.replace("Hello", "Good day")}`);
      expect(await next()).toEqual({
        log: { time: expect.any(Number), level: "warn", message: expect.stringMatching(/^starts/) },
      });
      expect(await next()).toMatchObject({ success: true, plugin: { state: "running" } });
    } finally {
      const exited = once(child, "exit");
      child.kill("SIGTERM");
      expect((await exited)[0]).toBe(0);
    }
    expect((await readdir(root)).filter((name) => name.startsWith("sallyport-dev-"))).toEqual([]);
    expect(existsSync(join(root, ".sallyport"))).toBe(false);
  });
});
