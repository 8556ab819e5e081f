import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PassThrough } from "node:stream";
import { createInterface } from "node:readline";
import { type Owner, run as runProgram, serveOwner } from "../../src/cli/index.ts";
import { runCommand } from "../support/command.ts";
import { needsNamespace } from "../support/namespace.ts";
import { type Ledger, openLedger } from "./world.ts";

needsNamespace();

let ledger: Ledger;
let owner: Owner;
beforeAll(async () => {
  ledger = await openLedger();
  const { host, home } = ledger;
  const onDefect = (error: unknown) => expect.fail(String(error));
  owner = await serveOwner(host, {
    home: home.path,
    env: {},
    version: "0",
    background: false,
    idleMs: 60_000,
    onDefect,
  });
});
afterAll(async () => {
  await owner?.stop();
  await ledger?.home.remove();
});

const folder = () => dirname(ledger.home.path);
const run = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  runCommand(["--home", ledger.home.path, ...args], { env });
const json = async (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  JSON.parse((await run([...args, "--json"], env)).out);

describe("sallyport token", () => {
  it("makes one into a file that only its user can read, or shows it once; lists and revokes", async () => {
    const file = join(folder(), "bot.token");
    const made = await run(["token", "create", "--agent", "bot", "--out", file]);
    expect([made.code, made.out]).toEqual([0, expect.stringContaining(file)]);
    const token = readFileSync(file, "utf8").trim();
    expect(token).toMatch(/^sp_agent_\w{49}$/);
    expect(made.out + made.err).not.toContain(token);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    // A second one must not take its place, nor be made and lost.
    const before = (await json(["token", "list"])).length;
    expect((await run(["token", "create", "--agent", "bot", "--out", file])).code).toBe(2);
    expect(await json(["token", "list"])).toHaveLength(before);

    const shown = await json(["token", "create", "--operator", "ci", "--scopes", "approve,operate", "--expires", "2d"]);
    expect(shown).toMatchObject({ kind: "operator", name: "ci", scopes: ["operate", "approve"], state: "valid" });
    expect(shown.token).toMatch(/^sp_op_\w{49}$/);
    const listed = await run(["token", "list"]);
    expect(listed.out).toContain(shown.id);
    expect(listed.out).not.toContain(shown.token);

    expect(await json(["token", "revoke", shown.id])).toMatchObject({ id: shown.id, state: "revoked" });
    expect((await run(["token", "revoke", shown.id])).code).toBe(1);
  });

  it.each([
    [[], "An agent's or an operator's"],
    [["--agent", "a", "--operator", "b", "--scopes", "admin"], "both"],
    [["--agent", "a", "--scopes", "admin"], "an agent has no scopes"],
    [["--operator", "a"], "no scopes"],
    [["--operator", "a", "--scopes", "root"], "no such scope"],
    [["--agent", "a", "--expires", "yesterday"], "no time"],
  ])("refuses %j", async (args) => {
    const file = join(folder(), "never.token");
    expect((await run(["token", "create", ...args, "--out", file])).code).toBe(2);
    expect(existsSync(file)).toBe(false);
  });
});

describe("a token with a command", () => {
  it("decides who comes, from a file or the environment", async () => {
    const file = join(folder(), "agent.token");
    await run(["token", "create", "--agent", "bot", "--out", file]);
    expect(await json(["tool", "call", "ledger__look", "--token-file", file])).toMatchObject({ success: true });
    const [event] = await ledger.host.audit.query({ type: "plugin_tool.invoked", order: "desc", limit: 1 });
    expect(event).toMatchObject({ actor: "agent:bot" });
    expect(await json(["plugin", "list", "--token-file", file])).toMatchObject({ code: "forbidden" });
    const env = { SALLYPORT_TOKEN: readFileSync(file, "utf8") };
    expect(await json(["audit", "list"], env)).toMatchObject({ code: "forbidden" });
    expect(await json(["audit", "list"], { SALLYPORT_TOKEN: "nonsense" })).toMatchObject({ code: "unauthenticated" });
    expect((await run(["plugin", "list"], { SALLYPORT_TOKEN: "" })).code).toBe(0);
    writeFileSync(file, "", { mode: 0o600 });
    expect((await run(["tool", "list", "--token-file", file])).code).toBe(2);
    await ledger.seen();
  });

  it("is read from no file that others can read", async () => {
    const file = join(folder(), "open.token");
    writeFileSync(file, "sp_agent_x", { mode: 0o644 });
    const { code, err } = await run(["tool", "list", "--token-file", file]);
    expect([code, err]).toEqual([2, expect.stringContaining("chmod 600")]);
  });
});

describe("sallyport mcp with a token", () => {
  it("is a session of the token's agent, and ends when it is revoked", async () => {
    const { id, token } = await json(["token", "create", "--agent", "bot"]);
    const io = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() };
    const args = ["mcp", "--home", ledger.home.path];
    const ended = runProgram(args, { ...io, env: { SALLYPORT_TOKEN: token }, now: Date.now }, "0");
    const answers = createInterface({ input: io.stdout })[Symbol.asyncIterator]();
    const ask = async (method: string, params: object) => {
      io.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", id: 1, method, params })}\n`);
      return JSON.parse((await answers.next()).value);
    };
    const client = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "t", version: "1" } };
    expect(await ask("initialize", client)).toMatchObject({ result: {} });
    const called = await ask("tools/call", { name: "ledger__look", arguments: {} });
    expect(called.result._meta).toMatchObject({ "sallyport/call": expect.any(String) });
    const [event] = await ledger.host.audit.query({
      type: "plugin_tool.invoked",
      agent: "bot",
      order: "desc",
      limit: 1,
    });
    expect(event).toMatchObject({ tool: "ledger__look", data: { token: id } });
    expect((await run(["token", "revoke", id])).code).toBe(0);
    expect(await ended).toBe(0);
    await ledger.seen();
  });
});

describe("sallyport agent and tool enable", () => {
  it("set, list and remove a profile, and switch a tool", async () => {
    const options = ["--tools", "ledger__look,ledger__save", "--strongest-effect", "write", "--calls-per-minute", "9"];
    expect(await json(["agent", "set", "desk", ...options])).toMatchObject({
      name: "desk",
      from: ["store"],
      profile: { tools: ["ledger__look", "ledger__save"], strongest_effect: "write", calls_per_minute: 9 },
    });
    expect((await json(["tool", "list", "--agent", "desk"])).map(({ tool }: { tool: string }) => tool)).toEqual([
      "look",
      "save",
    ]);
    expect((await run(["tool", "disable", "ledger__save"])).code).toBe(0);
    expect(await json(["tool", "list", "--agent", "desk"])).toHaveLength(1);
    expect(await json(["tool", "enable", "ledger__save"])).toEqual({ name: "ledger__save", enabled: true });
    expect((await run(["agent", "list"])).out).toMatch(/desk +store +ledger__look ledger__save +write +0 of 9/);
    expect(await json(["agent", "set", "desk", "--no-tools"])).toMatchObject({ profile: { tools: [] } });
    expect(await json(["tool", "list", "--agent", "desk"])).toEqual([]);
    expect((await run(["agent", "remove", "desk"])).code).toBe(0);
    expect((await run(["agent", "remove", "desk"])).code).toBe(2);
    for (const args of [
      ["--calls-per-minute", "0"],
      ["--strongest-effect", "none"],
      ["--tools", "A B"],
    ])
      expect([args, (await run(["agent", "set", "desk", ...args])).code]).toEqual([args, 2]);
  });
});

describe("sallyport command", () => {
  it("lists and runs commands, with words, values and an input", async () => {
    expect((await run(["command", "list"])).out).toMatch(/ledger__look +ledger__look +WHAT +\/look WHAT/);
    const ran = await json(["command", "run", "ledger__look", "a b"]);
    expect(ran).toMatchObject({ success: true, result: { tool: "look", input: { what: "a b" } } });
    const mixed = await json(["command", "run", "look", "more=x", "--input", '{"what":"y"}']);
    expect(mixed.result.input).toEqual({ what: "y", more: "x" });
    expect((await run(["command", "run", "nothing"])).code).toBe(2);
    expect((await run(["command", "run", "look", "a", "b"])).code).toBe(2);
    await ledger.seen();
  });
});

describe("sallyport plugin approve", () => {
  it("names the tools above read that its yes enables, all or fewer", async () => {
    const approve = async (...more: string[]) => {
      const { err, code } = await run(["plugin", "approve", "ledger", "--yes", ...more]);
      expect(code).toBe(0);
      const enabled = (await ledger.host.agents.enabledTools()).filter((tool) => tool.startsWith("ledger__"));
      return { err, enabled };
    };
    const all = await approve();
    expect(all.err).toContain("save (write), send (external), wipe (destructive)");
    expect(all.enabled).toEqual(expect.arrayContaining(["ledger__save", "ledger__send", "ledger__wipe"]));
    const one = await approve("--enable-tools", "save");
    expect(one.err).toContain("as far as policy lets them: save (write)");
    expect(one.enabled).toEqual(["ledger__save"]);
    const none = await approve("--no-enable-tools");
    expect([none.err.includes("lets them: none"), none.enabled]).toEqual([true, []]);
    expect((await approve("--no-enable-tools", "--allow-tools", "send")).enabled).toEqual(["ledger__send"]);
    expect((await approve("--grant-only")).enabled).toEqual([]);
    expect((await run(["plugin", "approve", "ledger", "--yes", "--enable-tools", "nothing"])).code).toBe(2);
  });
});
