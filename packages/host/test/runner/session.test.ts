import { randomBytes } from "node:crypto";
import { afterEach, describe, expect, it } from "vitest";
import { type Client, macOf, startRunner } from "./client.ts";

let client: Client;
afterEach(() => client.close());

const start = async (code: string): Promise<Client> => (client = await startRunner(code));

const ECHO = `export default {
  async initialize(config, ctx) { this.seen = config; return true; },
  tools: { async echo(input, ctx) { return { input, call: ctx.call, plugin: ctx.plugin, config: ctx.config, data: ctx.data }; } },
}`;

describe("handshake", () => {
  it("echoes the launch token with an HMAC over both nonces [S1-36] [S1-38]", async () => {
    await start(ECHO);
    const token = randomBytes(32).toString("hex");
    const nonce = randomBytes(16).toString("hex");
    const { result } = await client.request("hello", { protocols: [1], token, nonce });
    expect(result).toEqual({
      protocol: 1,
      token,
      nonce: expect.stringMatching(/^[0-9a-f]{32}$/),
      mac: macOf(token, nonce, result.nonce),
    });
    expect(client.lines).toHaveLength(1);
  });

  it("ends when the first line is anything but hello", async () => {
    await start(ECHO);
    client.raw('{"jsonrpc":"2.0","id":1,"method":"ping","params":{}}\n');
    expect(await client.exited).toBe(1);
    expect(client.lines).toEqual([]);
  });

  it("refuses a second hello", async () => {
    await start(ECHO);
    await client.hello();
    expect((await client.hello()).error.code).toBe(-32600);
  });

  it("ends on a line that is no JSON", async () => {
    await start(ECHO);
    await client.hello();
    client.raw("{nonsense\n");
    expect(await client.exited).toBe(1);
  });

  it("ends when the host is gone", async () => {
    await start(ECHO);
    await client.hello();
    client.child.stdin?.end();
    expect(await client.exited).toBe(0);
  });
});

describe("bind and initialize", () => {
  it("lists what the code offers, declared or not [S1-42]", async () => {
    await start(`export default { tools: { a() {}, b() {} }, hooks: { onCall() {} } }`);
    expect((await client.bind(["a"])).result).toEqual({ tools: ["a", "b"], hooks: ["onCall"] });
  });

  it("passes the configuration to initialize once [S0-22] [S3-42] [S3-100]", async () => {
    await start(
      `let n = 0; export default { initialize(config) { n++; return config.timeout === 30; }, tools: { count() { return n; } } }`,
    );
    await client.bind(["count"], { config: { timeout: 30 } });
    expect((await client.request("initialize", {})).result).toEqual({ ok: true });
    expect((await client.request("initialize", {})).error.code).toBe(-32600);
    expect((await client.call("count")).result).toEqual({ output: 1 });
  });

  it.each([
    ["false", "return false", "initialize() returned false"],
    ["nothing", "", "initialize() returned undefined"],
    ["a truthy value", "return 1", "initialize() returned 1"],
  ])("takes %s from initialize as a failure and logs it", async (_, body, reason) => {
    await start(`export default { initialize() { ${body} }, tools: { a() {} } }`);
    await client.bind(["a"]);
    expect((await client.request("initialize", {})).result).toEqual({ ok: false });
    expect(client.logs().join()).toContain(reason);
  });

  it("reports the message of a throw in initialize, and no stack", async () => {
    await start(`export default { async initialize() { throw new Error("HA_TOKEN is absent"); }, tools: { a() {} } }`);
    await client.bind(["a"]);
    const { error } = await client.request("initialize", {});
    expect(error).toEqual({ code: -32000, message: "HA_TOKEN is absent", data: { kind: "initialize_failed" } });
  });

  it.each([
    ["no default export", "export const x = 1", /no default export/],
    ["a function", "export default () => 1", /is a function/],
    ["a syntax error", "export default {", /.+/],
    ["a throw at import", "throw new Error('import went wrong')", /import went wrong/],
    ["a tool that is no function", "export default { tools: { a: 1 } }", /tools\.a/],
    [
      "an import of a file outside",
      "import x from '/etc/passwd' with { type: 'text' }; export default { tools: { a: () => x } }",
      /read access/i,
    ],
    ["a remote import", "import x from 'https://example.com/x.js'; export default {}", /.+/],
  ])("fails bind on %s", async (_, code, message) => {
    await start(code);
    const { error } = await client.bind(["a"]);
    expect(error.data).toEqual({ kind: "load_failed" });
    expect(error.message).toMatch(message);
  });
});

it("says nothing about where the plugin or the runner lies on the host", async () => {
  await start(
    `export default { initialize() { console.error(new Error("x")); throw new Error("at " + import.meta.url); }, tools: { a() { null.x } } }`,
  );
  await client.bind(["a"]);
  const { error } = await client.request("initialize", {});
  await client.call("a");
  expect(error.message).toBe("at plugin:bundle.mjs");
  const said = JSON.stringify(client.lines.filter((line) => line.method === "log" || line.error));
  expect(said).not.toMatch(/file:|\/tmp\/|runner\.mjs/);
});

describe("call", () => {
  it("gives the tool its input and a context that names the call [S0-27]", async () => {
    await start(ECHO);
    await client.bind(["echo"], { config: { units: "metric" } });
    await client.request("initialize", {});
    const { result } = await client.call("echo", { city: "Bern" }, { call_id: "call_x", agent: "claude" });
    expect(result.output).toEqual({
      input: { city: "Bern" },
      call: { id: "call_x", tool: "echo", agent: "claude" },
      plugin: { id: "probe", version: "1.0.0", digest: "sha256:0" },
      config: { units: "metric" },
      data: "${data}",
    });
  });

  it("carries four megabytes of a line in odd pieces", async () => {
    await start(`export default { tools: { size({ text }) { return text.length; } } }`);
    await client.bind(["size"]);
    const text = "é".repeat(1_500_000);
    expect((await client.call("size", { text })).result.output).toBe(1_500_000);
  });

  it("reports a throw as tool_failed with its message; the stack goes to the log", async () => {
    await start(`export default { tools: { boom() { throw new Error("no such city"); } } }`);
    await client.bind(["boom"]);
    const { error } = await client.call("boom");
    expect(error).toEqual({ code: -32000, message: "no such city", data: { kind: "tool_failed" } });
    expect(client.logs().join()).toMatch(/^debug: Error: no such city\n    at .*boom.*plugin:bundle\.mjs:1:\d+\)?$/);
  });

  it.each([
    ["a circular answer", "const x = {}; x.x = x; return x", /cannot be sent/],
    ["a bigint", "return 1n", /cannot be sent/],
    ["a throw of nothing", "throw undefined", /no error/],
    [
      "an error with a hostile message",
      "throw Object.defineProperty(new Error(), 'message', { get() { throw 1 } })",
      /cannot be read/,
    ],
    ["an answer with a hostile toJSON", "return { toJSON() { throw new Error('mine') } }", /mine/],
    ["an answer over the cap of a line", "return 'é'.repeat(2_100_000)", /4 MiB/],
  ])("answers %s with a failure", async (_, body, message) => {
    await start(`export default { tools: { odd() { ${body} } } }`);
    await client.bind(["odd"]);
    const { error } = await client.call("odd");
    expect(error.data).toEqual({ kind: "tool_failed" });
    expect(error.message).toMatch(message);
  });

  it("aborts ctx.signal on cancel, and still answers once", async () => {
    await start(`export default { tools: { wait: (_, ctx) => new Promise((done) => {
      console.log("waiting"); ctx.signal.addEventListener("abort", () => done(ctx.signal.reason.name + ": " + ctx.signal.reason.message)); }) } }`);
    await client.bind(["wait"]);
    const answer = client.call("wait", {}, { call_id: "call_w" });
    await client.line((line) => line.params?.message === "waiting");
    client.notify("cancel", { call_id: "call_w", reason: "cancelled" });
    expect((await answer).result.output).toBe("AbortError: The call was stopped: cancelled.");
    client.notify("cancel", { call_id: "call_w", reason: "again" });
    expect((await client.request("ping", {})).result).toEqual({});
  });

  it("refuses a tool that the code has not, and a method that there is not", async () => {
    await start(ECHO);
    await client.bind(["echo"]);
    expect((await client.call("other")).error.message).toContain('"other"');
    expect((await client.request("reboot", {})).error.code).toBe(-32601);
    expect((await client.bind(["echo"])).error.code).toBe(-32600);
  });

  it("runs shutdown and ends [S3-45]", async () => {
    await start(`export default { tools: { a() {} }, async shutdown() { console.log("bye"); } }`);
    await client.bind(["a"]);
    expect((await client.request("shutdown", { grace_ms: 100 })).result).toEqual({});
    expect(await client.exited).toBe(0);
    expect(client.logs()).toEqual(["info: bye"]);
  });
});

describe("class-style plugins", () => {
  const CLASS = `export default class {
    initialize(config) { this.factor = config.factor ?? 2; return true; }
    multiply({ data }, ctx) { return { success: true, result: data.map((x) => x * this.factor) }; }
    execute(action, params) {
      if (action === "fail") return { success: false, error: "no data" };
      if (action === "silent") return { success: false };
      return { success: true, result: [action, params, this.factor] };
    }
    getAvailableActions() { return [{ name: "multiply", description: "d", parameters: {} }, { name: "fail" }]; }
    getMetadata() { return { name: "x", version: "1.0.0" }; }
    shutdown() { return true; }
  }`;

  it("answers a declared tool by its method, or else by execute [S3-23] [S3-43]", async () => {
    await start(CLASS);
    expect((await client.bind(["multiply", "other", "shutdown"])).result.tools).toEqual([
      "multiply",
      "other",
      "shutdown",
      "fail",
    ]);
    await client.request("initialize", {});
    expect((await client.call("multiply", { data: [1, 2] })).result).toEqual({ output: [2, 4] });
    expect((await client.call("other", { a: 1 })).result).toEqual({ output: ["other", { a: 1 }, 2] });
    expect((await client.call("shutdown", {})).result).toEqual({ output: ["shutdown", {}, 2] });
  });

  it("counts { success: false } as a failure of the call", async () => {
    await start(CLASS);
    await client.bind(["fail", "silent"]);
    expect((await client.call("fail")).error).toEqual({
      code: -32000,
      message: "no data",
      data: { kind: "tool_failed" },
    });
    expect((await client.call("silent")).error.data).toEqual({ kind: "tool_failed" });
  });

  it("lists an action that the manifest does not declare, for the host to refuse [S3-44]", async () => {
    await start(CLASS);
    expect((await client.bind(["multiply"])).result.tools).toContain("fail");
  });
});
