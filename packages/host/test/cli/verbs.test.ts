import type { Command } from "commander";
import { PassThrough, Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import { ROUTES } from "../../src/api/index.ts";
import { buildProgram, MCP_SESSION_VERB, ownerRoutes } from "../../src/cli/index.ts";
import { VERBS } from "../../src/cli/verbs.ts";
import { runCommand } from "../support/command.ts";
import { createFakeHost } from "../support/fake-host.ts";

const io = { env: {}, stdin: Readable.from([]), stdout: new PassThrough(), stderr: new PassThrough(), now: Date.now };
const program = buildProgram({ io, version: "0.0.0", exitWith: () => undefined });

function leaves(command: Command, words: readonly string[] = []): { name: string; command: Command }[] {
  if (command.commands.length === 0) return [{ name: words.join(" "), command }];
  return command.commands.flatMap((child) => leaves(child, [...words, child.name()]));
}

describe("the command's verbs", () => {
  it("are all classified, and the classification names no others [S2-36]", () => {
    expect(
      leaves(program)
        .map(({ name }) => name)
        .toSorted(),
    ).toEqual(Object.keys(VERBS).toSorted());
  });

  it("use nothing but classified routes of the owner", async () => {
    const own = ownerRoutes(await createFakeHost(), { version: "0", background: false }, () => undefined);
    const routes = new Set([...ROUTES, ...own].map(({ verb }) => verb).concat(MCP_SESSION_VERB));
    for (const used of Object.values(VERBS))
      for (const verb of used === "local" ? [] : used) expect(routes).toContain(verb);
  });

  it.each(leaves(program))("$name has a description and an example in its help", async ({ name, command }) => {
    expect(command.description()).not.toBe("");
    const { code, out } = await runCommand([...name.split(" "), "--help"]);
    expect(code).toBe(0);
    expect(out).toContain(`Example:\n  $ sallyport ${name}`);
    expect(out).toContain("--json");
  });
});

describe("usage", () => {
  it.each([
    [["plugn", "list"], "plugin"],
    [["plugin", "instal", "x"], "install"],
    [["plugin", "list", "--jsn"], "--json"],
    [["tool", "call", "x", "--inptu", "{}"], "--input"],
  ])("%j exits with 2 and suggests %s", async (args, suggestion) => {
    const { code, err } = await runCommand(args);
    expect([code, err]).toEqual([2, expect.stringContaining(`Did you mean ${suggestion}?`)]);
    const { code: again, out } = await runCommand([...args, "--json"]);
    expect(again).toBe(2);
    expect(JSON.parse(out)).toMatchObject({
      success: false,
      code: "usage",
      error: expect.any(String),
      fix: expect.any(String),
    });
  });

  it("exits with 2 for a missing argument, too many, and no verb", async () => {
    for (const args of [["plugin", "info"], ["plugin", "info", "a", "b"], ["plugin"], []]) {
      expect([args, (await runCommand(args)).code]).toEqual([args, 2]);
      expect(JSON.parse((await runCommand([...args, "--json"])).out)).toMatchObject({ success: false, code: "usage" });
    }
    expect((await runCommand(["plugin"])).err).toContain("install [options] [source]");
  });

  it("prints help and version with 0", async () => {
    expect(await runCommand(["--version"])).toMatchObject({ code: 0, out: "0.0.0-test\n" });
    expect(await runCommand(["--help"])).toMatchObject({ code: 0, err: "" });
  });

  it("takes the global options before and after the verb", async () => {
    for (const args of [
      ["--json", "--home", "/nowhere", "plugin", "list"],
      ["plugin", "--json", "list", "--home", "/nowhere"],
    ]) {
      const { code, out } = await runCommand(args);
      expect([code, JSON.parse(out)]).toMatchObject([1, { code: "home_missing", fix: "Run `sallyport init`." }]);
    }
  });
});
