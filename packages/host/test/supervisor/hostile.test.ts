import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { PluginProcess } from "../../src/supervisor/index.ts";
import { createLab, type Lab, LEVELS, processesMentioning, toolCall, until } from "./support.ts";

let lab: Lab;
beforeEach(async () => {
  lab = await createLab();
});
afterEach(() => lab.close());

/** Reacts to the first call with `code`; \`message\` is the call. */
const onCall = (code: string): string =>
  `await behave(async (message) => { if (message.method === "call") { ${code} } });`;

const FRIEND = "export default { tools: { echo: (input) => input } };";

/** A process that is condemned rejects its calls, says why, is gone with its group, and costs others nothing. */
async function expectDeath(process: PluginProcess, codes: string[], reason: RegExp, timeoutMs = 20_000): Promise<void> {
  const friend = await lab.start(FRIEND);
  const error: { code: string } = await process.call(toolCall("echo", {}, { timeoutMs })).then(
    () => ({ code: "answered" }),
    (thrown: { code: string }) => thrown,
  );
  expect(codes).toContain(error.code);
  const exit = await process.exited;
  expect(exit.expected).toBe(false);
  expect(exit.reason).toMatch(reason);
  expect(process.state).toBe("gone");
  expect((await friend.call(toolCall("echo", "fine"))).output).toBe("fine");
  await friend.kill("done");
  expect(processesMentioning(lab.path)).toEqual([]);
  await expect(process.call(toolCall("echo"))).rejects.toMatchObject({ code: "plugin_not_running" });
}

describe("a process that lies on the wire is killed, and only that one [S1-9] [S1-12] [S1-13]", () => {
  const lies: [string, string][] = [
    ["answers twice", `answer(message.id, { output: 1 }); answer(message.id, { output: 2 });`],
    ["answers an id that is not its own", `answer(message.id + 1000, { output: 1 });`],
    ["answers a call with no output", `answer(message.id, {});`],
    ["answers a call with a list", `answer(message.id, [1]);`],
    [
      "sends a batch",
      `send("[" + JSON.stringify({ jsonrpc: "2.0", id: message.id, result: { output: 1 } }) + "]\\n");`,
    ],
    ["sends text", `send("not json\\n");`],
    [
      "sends deep JSON",
      `send('{"jsonrpc":"2.0","id":' + message.id + ',"result":' + "[".repeat(100000) + "]".repeat(100000) + "}\\n");`,
    ],
    [
      "sends a prototype key",
      `send('{"jsonrpc":"2.0","id":' + message.id + ',"result":{"output":{"__proto__":{"admin":true}}}}\\n');`,
    ],
    ["sends a notification that does not exist", `note("shutdown", {});`],
    [
      "repeats a request id",
      `for (const id of [1, 1]) send({ jsonrpc: "2.0", id, method: "kv.get", params: { call: null } });`,
    ],
    ["sends a line of a gigabyte", `const block = "x".repeat(1 << 20); for (let n = 0; n < 1024; n++) send(block);`],
    ["floods with log lines", `for (;;) note("log", { call: null, level: "info", message: "x" });`],
    [
      "floods with large log lines",
      `const text = "x".repeat(1 << 20); for (;;) note("log", { call: null, level: "info", message: text });`,
    ],
    [
      "floods with requests",
      `for (let id = 1; ; id++) send({ jsonrpc: "2.0", id, method: "kv.get", params: { call: null } });`,
    ],
  ];
  it.each(lies)("one that %s", async (_what, code) => {
    lab.broker.answer = () => new Promise(() => undefined);
    await expectDeath(await lab.startRaw(onCall(code)), ["protocol_violation", "answered"], /broke the protocol/);
  });

  it("one that floods its error output", async () => {
    const process = await lab.startRaw(
      onCall(`const text = new Uint8Array(1 << 16).fill(97); for (;;) Deno.stderr.writeSync(text);`),
    );
    await expectDeath(process, ["plugin_crashed"], /flooded its error output/);
  });

  it("one that answers a ping at length, which somebody has to read", async () => {
    const process = await lab.startRaw(
      `const greet = answer;
for await (const message of messages()) {
  if (message.method === "hello") greet(message.id, await proof(message.params));
  else if (message.method === "bind") greet(message.id, { tools: message.params.tools, hooks: [] });
  else if (message.method === "initialize") greet(message.id, { ok: true });
  else if (message.method === "ping") greet(message.id, { more: Array(100000).fill([]) });
}`,
      { bounds: { watchMs: 20 } },
    );
    expect((await process.exited).reason).toMatch(/ping is too long/);
  });

  it("one that asks and never reads the answers", async () => {
    lab.broker.answer = () => Promise.resolve({ data: "x".repeat(1 << 20) });
    const process = await lab.startRaw(
      onCall(
        `for (let id = 1; ; id++) { send({ jsonrpc: "2.0", id, method: "kv.get", params: { call: message.params.call_id } }); await new Promise((r) => setTimeout(r, 1)); if (id > 40) for (;;); }`,
      ),
    );
    await expectDeath(process, ["protocol_violation"], /does not read its answers/);
  });
});

describe("a late answer", () => {
  it("to a cancelled call is dropped, and the process lives on; a second one kills it", async () => {
    const process = await lab.startRaw(`
      let given = null;
      await behave(async (message) => {
        if (message.method === "cancel") { answer(given, { output: "late" }); }
        else if (message.params.input === "wait") given = message.id;
        else if (message.params.input === "again") answer(given, { output: "lie" });
        else answer(message.id, { output: message.params.input });
      });`);
    const controller = new AbortController();
    const cancelled = process.call(toolCall("echo", "wait", { signal: controller.signal }));
    controller.abort();
    await expect(cancelled).rejects.toMatchObject({ code: "cancelled" });
    expect((await process.call(toolCall("echo", "next"))).output).toBe("next");
    await expect(process.call(toolCall("echo", "again"))).rejects.toMatchObject({ code: "protocol_violation" });
  });
});

describe.each(LEVELS)("at level $level $note", ({ level, available }) => {
  const it_ = it.skipIf(!available);

  it_("a crash fails the calls in flight, says why, and touches no other plugin [S1-12]", async () => {
    const source = `export default { tools: { echo: () => Deno.exit(3) } };`;
    await expectDeath(await lab.start(source, { level }), ["plugin_crashed"], /ended by itself with code 3/);
  });

  it_("a busy loop is killed after its deadline [S1-13]", async () => {
    const process = await lab.start(`export default { tools: { echo() { for (;;); } } };`, {
      level,
      bounds: { pingGraceMs: 200 },
    });
    await expectDeath(process, ["deadline_exceeded"], /no longer answers/, 200);
  });

  it_("a memory bomb ends at its limit [S1-13]", async () => {
    const source = `const kept = []; export default { tools: { echo() { for (;;) { kept.push(new Array(1 << 20).fill({})); } } } };`;
    const process = await lab.start(source, { level, limits: { memoryMb: 64, concurrency: 1 } });
    await expectDeath(process, ["plugin_crashed"], /memory limit/);
  });

  it_(
    "a call that never ends costs the agent that made it a deadline, and others a restart at most [S1-13]",
    async () => {
      const source = `export default { tools: { echo: (input) => input === "hang" ? new Promise(() => {}) : input } };`;
      const process = await lab.start(source, { level, bounds: { drainGraceMs: 300 } });
      await expect(process.call(toolCall("echo", "hang", { timeoutMs: 100 }))).rejects.toMatchObject({
        code: "deadline_exceeded",
      });
      expect((await process.call(toolCall("echo", "same agent"))).output).toBe("same agent");
      await expect(process.call(toolCall("echo", "x", { agent: "other" }))).rejects.toMatchObject({
        code: "plugin_not_running",
      });
      expect(await process.exited).toMatchObject({
        expected: false,
        reason: expect.stringContaining("did not end a call"),
      });
    },
  );

  it_("a plugin that closes its output and goes on is killed", async () => {
    const process = await lab.startRaw(onCall("Deno.stdout.close(); for (;;);"), {
      level,
      bounds: { pingGraceMs: 200 },
    });
    await expectDeath(process, ["plugin_crashed", "deadline_exceeded"], /./, 200);
  });

  it_("a plugin that works with no call in flight is killed", async () => {
    const source = `export default { tools: { echo(input) { setTimeout(() => { const end = Date.now() + 60000; const turn = () => { const until = Date.now() + 20; while (Date.now() < until); if (Date.now() < end) setTimeout(turn, 0); }; turn(); }, 0); return input; } } };`;
    const process = await lab.start(source, { level, bounds: { watchMs: 100, idleProcessorShare: 0.05 } });
    await process.call(toolCall("echo"));
    expect(await process.exited).toMatchObject({
      expected: false,
      reason: expect.stringContaining("no call in flight"),
    });
  });

  it_("a plugin over its resident memory is killed even where nothing else stops it", async () => {
    const source = `const kept = []; export default { tools: { echo() { kept.push(new Uint8Array(64 << 20).fill(1)); return new Promise(() => {}); } } };`;
    const process = await lab.start(source, {
      level,
      groups: null,
      bounds: { watchMs: 20, runtimeMemoryBytes: 0 },
      limits: { memoryMb: 60, concurrency: 1 },
    });
    await expectDeath(process, ["plugin_crashed", "answered"], /memory limit/);
  });
});

describe("a silent plugin", () => {
  it("that no longer answers pings with no call in flight is killed", async () => {
    const process = await lab.startRaw(
      `let silent = false; for await (const message of messages()) {
        if (message.method === "hello") answer(message.id, await proof(message.params));
        else if (message.method === "bind") answer(message.id, { tools: message.params.tools, hooks: [] });
        else if (message.method === "initialize") { answer(message.id, { ok: true }); }
      }`,
      { bounds: { watchMs: 20, heartbeatGraceMs: 100 } },
    );
    expect(await process.exited).toMatchObject({
      expected: false,
      reason: expect.stringContaining("no longer answers"),
    });
  });

  it("says what it writes to its error output as log lines, up to a rate", async () => {
    const process = await lab.startRaw(
      onCall(`for (let n = 0; n < 500; n++) console.error("line " + n); answer(message.id, { output: 1 });`),
      {
        bounds: { stderrLinesPerSecond: 10 },
      },
    );
    await process.call(toolCall("echo"));
    await until(() => lab.broker.notes.length >= 10, "lines");
    await process.kill("done");
    expect(lab.broker.notes.length).toBeLessThan(40);
    expect(lab.broker.notes[0]).toMatchObject({
      method: "log",
      params: { call: null, level: "error", message: "line 0" },
      context: null,
    });
  });
});
