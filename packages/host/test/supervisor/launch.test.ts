import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createChallenge } from "../../src/supervisor/handshake.ts";
import { bundleUrl } from "../../src/supervisor/bundle-url.ts";
import { createLab, type Lab, LEVELS, processesMentioning, toolCall } from "./support.ts";

let lab: Lab;
beforeEach(async () => {
  lab = await createLab();
});
afterEach(() => lab.close());

const ECHO = "export default { tools: { echo: (input) => input } };";

describe.each(LEVELS)("a start at level $level $note", ({ level, available }) => {
  const it_ = it.skipIf(!available);

  it_(
    "does handshake, bind and initialize, then serves calls, each plugin in its own process [S1-8] [S1-36] [S1-37] [S1-38] [S1-39] [S1-42] [S1-43]",
    async () => {
      const source = `const steps = []; export default {
      initialize(config) { steps.push("initialize " + config.unit); return true; },
      tools: { echo: (input) => ({ input, steps }) } };`;
      const first = await lab.start(source, { level, config: { unit: "metric" } });
      const second = await lab.start(ECHO, { level });
      expect(first.state).toBe("running");
      expect(first.level).toBe(level);
      expect(first.pid).not.toBe(second.pid);
      expect((await first.call(toolCall("echo", { a: 1 }))).output).toEqual({
        input: { a: 1 },
        steps: ["initialize metric"],
      });
      expect((await second.call(toolCall("echo", { b: 2 }))).output).toEqual({ b: 2 });
    },
  );

  it_("leaves no process behind when it fails at any step, and says at which [S1-13]", async () => {
    const failures: [string, string, Parameters<Lab["start"]>[1]][] = [
      ["load_failed", "export default {", {}],
      ["load_failed", "throw new Error('at import');", {}],
      ["load_failed", "await new Promise(() => {});", { bounds: { importMs: 500 } }],
      ["load_failed", "for (;;);", { bounds: { importMs: 500 } }],
      ["load_failed", "Deno.exit(3);", {}],
      ["undeclared_tool", "export default { tools: { echo() {}, extra() {} } };", {}],
      ["missing_tool", ECHO, { tools: ["echo", "more"] }],
      ["initialize_failed", "export default { initialize: () => false, tools: { echo() {} } };", {}],
      [
        "initialize_failed",
        "export default { initialize() { throw new Error('no key'); }, tools: { echo() {} } };",
        {},
      ],
      [
        "initialize_failed",
        "export default { initialize: () => new Promise(() => {}), tools: { echo() {} } };",
        { bounds: { initializeMs: 500 } },
      ],
      ["initialize_failed", "export default { initialize: () => Deno.exit(0), tools: { echo() {} } };", {}],
    ];
    for (const [code, source, options] of failures) {
      await expect(lab.start(source, { level, ...options }), source).rejects.toMatchObject({ code });
      expect(processesMentioning(lab.path)).toEqual([]);
      expect(lab.broker.closed).toBe(true);
    }
  });
});

describe("a handshake", () => {
  const refused: [string, string][] = [
    ["a wrong token", `({ ...await proof(message.params), token: "0".repeat(64) })`],
    ["no token", `(({ token, ...rest }) => rest)(await proof(message.params))`],
    ["a wrong mac", `({ ...await proof(message.params), mac: "0".repeat(64) })`],
    ["the mac of another token", `await proof({ ...message.params, token: "1".repeat(64) })`],
    ["another protocol", `({ ...await proof(message.params), protocol: 2 })`],
    ["an extra member", `({ ...await proof(message.params), extra: 1 })`],
    ["no object", `null`],
  ];
  it.each(refused)("with %s is refused, and the process is gone [S1-40]", async (_what, reply) => {
    const start = lab.startRaw(`for await (const message of messages()) answer(message.id, ${reply});`);
    await expect(start).rejects.toMatchObject({ code: "handshake_failed" });
    expect(processesMentioning(lab.path)).toEqual([]);
  });

  it("answered with what an earlier launch was given is refused [S1-41]", async () => {
    const earlier = createChallenge();
    const own = "ab".repeat(16);
    const { token, nonce } = earlier.params;
    const mac = createHmac("sha256", Buffer.from(token, "hex"))
      .update(`sallyport-handshake-v1\n1\n${nonce}\n${own}`)
      .digest("hex");
    const reply = { protocol: 1, token, nonce: own, mac };
    expect(() => earlier.check(reply)).not.toThrow();
    expect(() => earlier.check(reply)).toThrow(expect.objectContaining({ code: "handshake_failed" }));
    const start = lab.startRaw(`for await (const message of messages()) answer(message.id, ${JSON.stringify(reply)});`);
    await expect(start).rejects.toMatchObject({ code: "handshake_failed" });
  });

  it("has one try: a wrong answer followed by the right one is refused [S1-41]", async () => {
    const start = lab.startRaw(
      `for await (const message of messages()) { answer(message.id, {}); answer(message.id, await proof(message.params)); }`,
    );
    await expect(start).rejects.toMatchObject({ code: "handshake_failed" });
  });

  it.each([
    ["a request", `send({ jsonrpc: "2.0", id: 1, method: "kv.get", params: { call: null, key: "a" } });`],
    ["a log line", `note("log", { call: null, level: "info", message: "hi" });`],
    ["text", `send("hello\\n");`],
  ])("comes before everything else: %s first is refused [S1-39]", async (_what, code) => {
    await expect(lab.startRaw(`${code} await behave(() => {});`)).rejects.toMatchObject({ code: "handshake_failed" });
    expect(lab.broker.requests).toEqual([]);
    expect(
      lab.broker.notes.filter((entry) => entry.method === "log" && JSON.stringify(entry.params).includes("hi")),
    ).toEqual([]);
  });

  it("that never comes ends at its deadline", async () => {
    const start = lab.startRaw("for await (const message of messages());", { bounds: { handshakeMs: 1000 } });
    await expect(start).rejects.toMatchObject({ code: "handshake_failed", detail: expect.stringContaining("1000 ms") });
    expect(processesMentioning(lab.path)).toEqual([]);
  });

  it("keeps its token out of arguments and environment [S1-37]", async () => {
    const process = await lab.start(ECHO);
    const pids = processesMentioning(lab.path);
    expect(pids).toContain(process.pid);
    for (const pid of pids) {
      expect(readFileSync(`/proc/${pid}/cmdline`, "latin1")).not.toMatch(/[0-9a-f]{64}(?!\/)/);
      expect(readFileSync(`/proc/${pid}/environ`, "latin1")).not.toMatch(/[0-9a-f]{64}/);
    }
    expect(process.state).toBe("running");
  });
});

describe("a start", () => {
  it("of a program that does not come up is `launch_failed` with its last words", async () => {
    const start = lab.startRaw("console.error('last words \\u001b[31m'); Deno.exit(7);");
    await expect(start).rejects.toMatchObject({
      code: "launch_failed",
      detail: expect.stringContaining("code 7"),
      data: { stderr: expect.stringMatching(/^last words \\u\{1b\}/) },
    });
  });

  it("at a level that is not there is refused, and nothing starts", async () => {
    await expect(lab.start(ECHO, { level: "in-process" })).rejects.toMatchObject({ code: "isolation_unavailable" });
    expect(lab.processes).toEqual([]);
    expect(lab.broker.closed).toBe(true);
  });

  it("that is cancelled leaves no process", async () => {
    const early = new AbortController();
    early.abort();
    await expect(lab.start(ECHO, { signal: early.signal })).rejects.toMatchObject({ code: "cancelled" });
    const late = new AbortController();
    lab.broker.notify = () => late.abort();
    const start = lab.start("console.log('importing'); await new Promise(() => {});", { signal: late.signal });
    await expect(start).rejects.toMatchObject({ code: "cancelled" });
    expect(processesMentioning(lab.path)).toEqual([]);
  });

  it("shows an undeclared tool's name escaped", async () => {
    const start = lab.start('export default { tools: { echo() {}, "evil\\u202e\\u001b[2J": () => 1 } };');
    await expect(start).rejects.toMatchObject({
      code: "undeclared_tool",
      message: expect.stringContaining("evil\\u{202e}"),
    });
  });

  it("lets initialize ask the host, under an id of its own that ends with it [S0-23]", async () => {
    const source = `let keep; export default {
      async initialize(config, ctx) { keep = ctx; await ctx.kv.get("in"); return true; },
      tools: { echo: async () => { try { await keep.kv.get("after"); return "served"; } catch (error) { return error.message; } } } };`;
    lab.broker.answer = () => Promise.resolve({ value: null, found: false });
    const process = await lab.start(source);
    const [request] = lab.broker.requests;
    expect(request?.context).toMatchObject({ tool: "initialize" });
    expect(lab.broker.ended).toEqual([request?.context?.callId]);
    await process.call(toolCall("echo"));
    expect(lab.broker.requests.filter(({ context }) => context?.tool === "initialize")).toHaveLength(1);
  });
});

describe("the bundle's address", () => {
  it("stays below the plugin's root", () => {
    expect(bundleUrl("file:///plugin/", "dist/a b#c?.js")).toBe("file:///plugin/dist/a%20b%23c%3F.js");
    for (const path of ["../x", "a/../../x", "/etc/passwd", "a//b", "", ".", "a\\b", "a\0b"]) {
      expect(() => bundleUrl("file:///plugin/", path), path).toThrow(
        expect.objectContaining({ code: "entry_invalid" }),
      );
    }
  });
});
