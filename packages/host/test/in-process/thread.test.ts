import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createLab, fakeBroker, type Lab, toolCall, until } from "../supervisor/support.ts";

const ME = { level: "in-process" } as const;
const plugin = (body: string, more = ""): string =>
  `${more}\nexport default { tools: { async echo(input, ctx) { ${body} } } };`;

let lab: Lab;
beforeEach(async () => {
  lab = await createLab({ allowInProcess: true });
});
afterEach(() => lab.close());

describe("a plugin in a thread of the host", () => {
  it("speaks the same protocol: its tools, its configuration, its calls", async () => {
    const process = await lab.start(
      `let units; export default { initialize(config) { units = config.units; return true; }, tools: { echo: (input) => ({ input, units }) } };`,
      { ...ME, config: { units: "metric" } },
    );
    expect(process.level).toBe("in-process");
    expect((await process.call(toolCall("echo", { a: [1, "ü"] }))).output).toEqual({
      input: { a: [1, "ü"] },
      units: "metric",
    });
    await process.stop(1000);
    expect(await process.exited).toMatchObject({ expected: true });
  });

  it("asks the same broker, as part of the call that it works on", async () => {
    lab.broker.answer = async (method, params) => {
      if (method === "kv.get") return { value: "kept", found: true };
      expect(params).toMatchObject({ url: "https://api.example.com/" });
      return { status: 200, status_text: "", headers: [], url: "", redirected: false, body: btoa("hi"), stream: null };
    };
    const process = await lab.start(
      plugin(
        `const answer = await fetch("https://api.example.com/"); await null; return [await answer.text(), await ctx.kv.get("a")];`,
      ),
      ME,
    );
    const calls = [toolCall("echo"), toolCall("echo")];
    for (const { output } of await Promise.all(calls.map((call) => process.call(call)))) {
      expect(output).toEqual(["hi", "kept"]);
    }
    expect(new Set(lab.broker.requests.map(({ context }) => context?.callId))).toEqual(
      new Set(calls.map(({ callId }) => callId)),
    );
    expect(lab.broker.requests).toHaveLength(4);
  });

  it("is given no variable of the host's environment, and globals that go through the broker", async () => {
    const process = await lab.start(
      plugin(
        `return { env: Object.keys(globalThis.process.env), exit: String(globalThis.process.exit), socket: typeof WebSocket };`,
      ),
      ME,
    );
    const { output } = await process.call(toolCall("echo"));
    expect(output).toMatchObject({ env: [], exit: expect.stringContaining("not available") });
  });

  it("a call is not sent before its intent is durable, nor at all when that fails", async () => {
    const process = await lab.start(plugin(`console.log("started"); return 1;`), ME);
    let durable: () => void = () => undefined;
    const intent = new Promise<void>((resolve) => (durable = resolve));
    const answer = process.call(toolCall("echo", {}, { intent }));
    expect(process.served).toBe(0);
    const failed = process.call(toolCall("echo", {}, { intent: Promise.reject(new Error("disk full")) }));
    await expect(failed).rejects.toMatchObject({ code: "audit_unavailable", data: { started: false } });
    expect([process.served, lab.broker.notes]).toEqual([0, []]);
    durable();
    expect((await answer).output).toBe(1);
    expect(process.served).toBe(1);
  });

  it("ends at once when it is stopped, whatever it does", async () => {
    const process = await lab.start(plugin(`for (;;);`), ME);
    const call = process.call(toolCall("echo")).catch((error: { code: string }) => error.code);
    await until(() => process.served === 1, "the call started");
    await process.stop(0);
    expect([await call, (await process.exited).expected]).toEqual(["cancelled", true]);
  });

  it("ends when it does not end a call that was given up", async () => {
    const process = await lab.start(plugin(`await new Promise(() => {});`), { ...ME, bounds: { drainGraceMs: 50 } });
    await expect(process.call(toolCall("echo", {}, { timeoutMs: 50 }))).rejects.toMatchObject({
      code: "deadline_exceeded",
    });
    expect(await process.exited).toMatchObject({
      expected: false,
      reason: "the thread did not end a call that was given up",
    });
  });

  it("goes on when it ends a call that was given up", async () => {
    const process = await lab.start(
      plugin(
        `if (!input.wait) return new Promise((done) => setTimeout(done, 400, "next")); await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve));`,
      ),
      { ...ME, bounds: { drainGraceMs: 200 } },
    );
    await expect(process.call(toolCall("echo", { wait: true }, { timeoutMs: 50 }))).rejects.toMatchObject({
      code: "deadline_exceeded",
    });
    // A call that outlives what is left of the grace.
    expect((await process.call(toolCall("echo"))).output).toBe("next");
    expect(process.state).toBe("running");
  });
});

describe("a thread that ends does not take the host along", () => {
  const real = `const { default: node } = await import("node:" + "process");`;
  it("by process.exit()", async () => {
    const process = await lab.start(plugin(`${real} node.exit(7);`), ME);
    await expect(process.call(toolCall("echo"))).rejects.toMatchObject({ code: "plugin_crashed" });
    expect(await process.exited).toMatchObject({ expected: false, reason: "the thread ended by itself with code 7" });
  });

  it("an error that nobody catches costs a line in the log", async () => {
    const process = await lab.start(
      plugin(
        `setTimeout(() => { throw new Error("boom"); }); Promise.reject(new Error("bang")); await new Promise((done) => setTimeout(done, 20)); return "on";`,
      ),
      ME,
    );
    expect((await process.call(toolCall("echo"))).output).toBe("on");
    const lines = lab.broker.notes.map(({ params }) => JSON.stringify(params)).join("\n");
    expect(lines).toMatch(/Uncaught error.*boom/);
    expect(lines).toMatch(/Unhandled rejection.*bang/);
  });

  it("endless recursion is an error of the call", async () => {
    const process = await lab.start(plugin(`const down = () => down() + 1; return down();`), ME);
    await expect(process.call(toolCall("echo"))).rejects.toMatchObject({ code: "tool_failed" });
    expect(process.state).toBe("running");
  });

  it("nor does one that never starts", async () => {
    const broken = lab.start(`throw new Error("no");`, ME);
    await expect(broken).rejects.toMatchObject({ code: "load_failed" });
    const hung = lab.start(`for (;;);`, { ...ME, bounds: { importMs: 300 } });
    await expect(hung).rejects.toMatchObject({ code: "load_failed", detail: expect.stringContaining("300 ms") });
  });
});

describe("no thread starts", () => {
  const QUIET = plugin("return 1;");

  it("unless the host was told to allow it, as it is now", async () => {
    const strict = await createLab();
    try {
      await expect(strict.start(QUIET, ME)).rejects.toMatchObject({ code: "isolation_unavailable" });
    } finally {
      await strict.close();
    }
  });

  it("on a system where nobody has tried it", async () => {
    const { platform } = process;
    Object.defineProperty(process, "platform", { value: "darwin" });
    try {
      await expect(lab.start(QUIET, ME)).rejects.toMatchObject({ code: "isolation_unavailable" });
    } finally {
      Object.defineProperty(process, "platform", { value: platform });
    }
  });

  it("for a program", async () => {
    const program = { interpreter: "node", args: [] } as const;
    await expect(lab.start(QUIET, { ...ME, program })).rejects.toMatchObject({
      code: "isolation_unavailable",
      message: expect.stringContaining("program"),
    });
  });

  it.each(["tasks", "processors"] as const)(
    "when limits.%s was asked for, which nothing bounds there",
    async (name) => {
      const broker = fakeBroker();
      const started = lab.start(QUIET, { ...ME, broker, limits: { memoryMb: 64, concurrency: 1, [name]: 64 } });
      await expect(started).rejects.toMatchObject({
        code: "isolation_unavailable",
        message: expect.stringContaining(`limits.${name}`),
      });
      expect(broker.closed).toBe(true);
    },
  );
});
