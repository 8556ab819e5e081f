import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { SallyportError } from "../../src/kernel/index.ts";
import { createLab, type Lab, toolCall, until } from "./support.ts";

let lab: Lab;
beforeEach(async () => {
  lab = await createLab();
});
afterEach(() => lab.close());

/** Tools that wait until the host answers a request, so that a test decides how long a call lasts. */
const HOLD = `const running = []; export default { tools: {
  async hold(input, ctx) {
    running.push(ctx.call.agent);
    const beside = [...running];
    await ctx.kv.get("hold");
    running.splice(running.indexOf(ctx.call.agent), 1);
    return { input, beside };
  },
  echo: (input) => input,
} };`;

interface Held {
  input: number;
  /** Agents of the calls in flight when this one began, its own included. */
  beside: string[];
}

interface Gate {
  open(): void;
  /** Tools that wait at the gate, in the order of their arrival. */
  arrived: string[];
}

/** Makes \`hold\` wait until the gate is opened. */
function holdCalls(): Gate {
  const arrived: string[] = [];
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  lab.broker.answer = async (_method, _params, context) => {
    arrived.push(context?.agent ?? "");
    await opened;
    return { value: null, found: false };
  };
  return { arrived, open };
}

const start = (source: string, concurrency = 4, bounds = {}) =>
  lab.start(source, { tools: ["hold", "echo"], limits: { memoryMb: 128, concurrency }, bounds });

describe("admission", () => {
  it("runs as many calls at once as the plugin may, queues the rest, and says `busy` beyond that [S1-13]", async () => {
    const gate = holdCalls();
    const process = await start(HOLD, 2, { queuedCalls: 1 });
    const calls = [1, 2, 3].map((n) => process.call(toolCall("hold", n)));
    await until(() => gate.arrived.length === 2, "two calls in flight");
    await expect(process.call(toolCall("hold", 4))).rejects.toMatchObject({ code: "busy" });
    expect(gate.arrived).toHaveLength(2);
    gate.open();
    const outputs = (await Promise.all(calls)).map((answer) => answer.output as Held);
    expect(outputs.map(({ input }) => input)).toEqual([1, 2, 3]);
    expect(Math.max(...outputs.map(({ beside }) => beside.length))).toBe(2);
  });

  it("never has calls of two agents in flight together", async () => {
    const gate = holdCalls();
    const process = await start(HOLD);
    const calls = ["a", "b", "a", "a", "b"].map((agent, n) => process.call(toolCall("hold", n, { agent })));
    await until(() => gate.arrived.length === 1, "the first call");
    gate.open();
    for (const { output } of await Promise.all(calls)) expect(new Set((output as Held).beside).size).toBe(1);
    expect(gate.arrived).toEqual(["a", "b", "a", "a", "b"]);
  });

  it("never has an exclusive call in flight with any other", async () => {
    const gate = holdCalls();
    const process = await start(HOLD);
    const calls = [false, true, false, false].map((exclusive, n) => process.call(toolCall("hold", n, { exclusive })));
    await until(() => gate.arrived.length === 1, "the first call");
    gate.open();
    const held = (await Promise.all(calls)).map(({ output }) => (output as Held).beside.length);
    expect(held).toEqual([1, 1, 1, 2]);
  });

  it("lets a call wait no longer than its own deadline, and then it never reached the plugin", async () => {
    const gate = holdCalls();
    const process = await start(HOLD, 1);
    const running = process.call(toolCall("hold", 1));
    await until(() => gate.arrived.length === 1, "the first call");
    await expect(process.call(toolCall("hold", 2, { timeoutMs: 100 }))).rejects.toMatchObject({ code: "busy" });
    const controller = new AbortController();
    const cancelled = process.call(toolCall("hold", 3, { signal: controller.signal }));
    controller.abort();
    await expect(cancelled).rejects.toMatchObject({ code: "cancelled", detail: "It had not started." });
    gate.open();
    await running;
    await process.call(toolCall("echo"));
    expect(gate.arrived).toHaveLength(1);
  });
});

describe("a call's end", () => {
  it("at its deadline tells the plugin, refuses its requests from then on, and leaves the plugin usable", async () => {
    const source = `let told; export default { tools: {
      hold: (input, ctx) => new Promise((_, reject) => {
        ctx.signal.addEventListener("abort", async () => {
          const late = await ctx.kv.get("late").then(() => "served", (error) => error.message);
          told = { reason: String(ctx.signal.reason?.name), late };
          reject(new Error("stopped"));
        });
      }),
      echo: async () => { while (!told) await new Promise((resolve) => setTimeout(resolve, 1)); return told; },
    } };`;
    const process = await start(source);
    await expect(process.call(toolCall("hold", {}, { timeoutMs: 200 }))).rejects.toMatchObject({
      code: "deadline_exceeded",
    });
    expect((await process.call(toolCall("echo"))).output).toEqual({
      reason: "TimeoutError",
      late: "The request names no call in flight.",
    });
    expect(lab.broker.requests).toEqual([]);
  });

  it("by cancellation does the same, also for many calls that share a signal", async () => {
    const controller = new AbortController();
    const gate = holdCalls();
    const process = await start(HOLD, 8);
    const calls = [1, 2, 3].map((n) => process.call(toolCall("hold", n, { signal: controller.signal })));
    await until(() => gate.arrived.length === 3, "three calls in flight");
    controller.abort();
    for (const call of calls) await expect(call).rejects.toMatchObject({ code: "cancelled" });
    expect(lab.broker.requests.map(({ signal }) => signal.aborted)).toEqual([true, true, true]);
    expect(lab.broker.ended.filter((id) => id.startsWith("call_"))).toHaveLength(3);
    await expect(process.call(toolCall("echo", 1, { signal: controller.signal }))).rejects.toMatchObject({
      code: "cancelled",
    });
    gate.open();
    expect((await process.call(toolCall("echo", "still here"))).output).toBe("still here");
  });

  it("aborts and ends what it asked the broker for", async () => {
    const source = `export default { tools: { hold: (input, ctx) => { ctx.kv.get("never awaited").catch(() => {}); return 1; }, echo: (input) => input } };`;
    lab.broker.answer = () => new Promise(() => undefined);
    const process = await start(source);
    const call = toolCall("hold");
    await process.call(call);
    await process.call(toolCall("echo"));
    for (const { signal } of lab.broker.requests) expect(signal.aborted).toBe(true);
    expect(lab.broker.requests.length === 0 || lab.broker.ended.includes(call.callId)).toBe(true);
  });

  it("waits for its intent, and without it no answer leaves", async () => {
    const process = await start(HOLD);
    let durable = (): void => undefined;
    let answered = false;
    const intent = new Promise<void>((resolve) => (durable = resolve));
    const call = process.call(toolCall("echo", "x", { intent })).then((answer) => {
      answered = true;
      return answer.output;
    });
    await process.call(toolCall("echo"));
    expect(answered).toBe(false);
    durable();
    expect(await call).toBe("x");
    const refused = Promise.reject(new SallyportError("audit_unavailable", "No."));
    refused.catch(() => undefined);
    for (const tool of ["echo", "missing"]) {
      await expect(process.call(toolCall(tool, "x", { intent: refused }))).rejects.toMatchObject({
        code: "audit_unavailable",
      });
    }
  });

  it("by a failure of the tool carries the plugin's words, escaped and cut, and no stack", async () => {
    const source = `export default { tools: { hold() { throw new Error("bad \u001b[31m" + "x".repeat(50_000)); }, echo() { throw null; } } };`;
    const process = await start(source);
    const error: SallyportError = await process.call(toolCall("hold")).then(
      () => expect.unreachable(),
      (thrown: SallyportError) => thrown,
    );
    expect(error).toMatchObject({ code: "tool_failed", message: expect.stringMatching(/^bad \\u\{1b\}/) });
    expect(error.message.length).toBeLessThan(20_100);
    await expect(process.call(toolCall("echo"))).rejects.toMatchObject({ code: "tool_failed" });
    expect(process.state).toBe("running");
  });

  it("with an answer over the cap is refused, and costs only that call [S4-35]", async () => {
    const process = await start(
      `export default { tools: { hold: () => ({ text: "x".repeat(500) }), echo: (input) => input } };`,
      4,
      { outputBytes: 400 },
    );
    await expect(process.call(toolCall("hold"))).rejects.toMatchObject({
      code: "output_too_large",
      data: { limit: 400 },
    });
    expect((await process.call(toolCall("echo", 1))).output).toBe(1);
    // A text may be cut, which is for the gate of outputs to do.
    const text = "y".repeat(500);
    expect((await process.call(toolCall("echo", text))).output).toBe(text);
  });
});

describe("requests of the plugin", () => {
  it("are served only under a call in flight in that very process [S1-9] [S1-11]", async () => {
    const forge = (callId: string): string =>
      `await behave(async (message) => {
        if (message.method === "call") {
          globalThis.pending = message.id;
          send({ jsonrpc: "2.0", id: 1, method: "fetch", params: { call: ${callId} } });
        } else if (message.id === 1) answer(pending, { output: message.error?.message ?? "served" });
      });`;
    const gate = holdCalls();
    const other = await start(HOLD);
    const othersCall = toolCall("hold");
    const held = other.call(othersCall);
    await until(() => gate.arrived.length === 1, "a call in the other process");
    for (const callId of [JSON.stringify(othersCall.callId), '"made up"', "7", "undefined", "{}"]) {
      const process = await lab.startRaw(forge(callId));
      expect((await process.call(toolCall("echo"))).output).toBe("The request names no call in flight.");
    }
    expect(lab.broker.requests).toHaveLength(1);
    gate.open();
    await held;
  });

  it("of the tool itself carry its context", async () => {
    const process = await start(HOLD);
    const call = toolCall("hold", 1, { agent: "ann" });
    await process.call(call);
    expect(lab.broker.requests[0]).toMatchObject({
      method: "kv.get",
      context: { callId: call.callId, agent: "ann", tool: "hold" },
    });
  });

  it("outside a call reach the broker without a context, and end with the process", async () => {
    lab.broker.answer = () => new Promise(() => undefined);
    const process = await lab.startRaw(
      `await behave((message) => { answer(message.id, { output: 1 }); send({ jsonrpc: "2.0", id: 1, method: "kv.get", params: { call: null, key: "k" } }); });`,
    );
    await process.call(toolCall("echo"));
    await until(() => lab.broker.requests.length === 1, "a request");
    expect(lab.broker.requests[0]?.context).toBeNull();
    await process.kill("done");
    expect(lab.broker.requests[0]?.signal.aborted).toBe(true);
    expect(lab.broker.closed).toBe(true);
  });

  it("log lines of a call that is over are said outside of it", async () => {
    const source = `export default { tools: { hold: (input, ctx) => { setTimeout(() => ctx.log.info("late"), 20); ctx.log.info("in time"); }, echo: () => new Promise((resolve) => setTimeout(resolve, 60)) } };`;
    const process = await start(source);
    const call = toolCall("hold");
    await process.call(call);
    await process.call(toolCall("echo"));
    const said = lab.broker.notes.map(({ params, context }) => [
      (params as { message: string }).message,
      context?.callId ?? null,
    ]);
    expect(said).toEqual([
      ["in time", call.callId],
      ["late", null],
    ]);
  });
});
