import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { PluginProcess } from "../../src/supervisor/index.ts";
import { createLab, type Lab, toolCall, until } from "./support.ts";

let lab: Lab;
beforeEach(async () => {
  lab = await createLab();
});
afterEach(() => lab.close());

/** Looks often, gives little grace: what takes the host seconds takes a test moments. */
const QUICK = { watchMs: 20, pingGraceMs: 150, heartbeatGraceMs: 150 };
/** `wait` leaves the event loop free until the host answers; `block` keeps it busy; `doze` blocks it after its answer. */
const SOURCE = `
const busy = (ms) => { for (const end = Date.now() + ms; Date.now() < end;); };
export default { tools: {
  wait: async (input, ctx) => { await ctx.kv.get("wait"); return input; },
  block: (ms) => { busy(ms); return ms; },
  doze: (ms) => { setTimeout(() => busy(ms), 0); return ms; },
} };`;

const start = (bounds = {}) =>
  lab.start(SOURCE, {
    tools: ["wait", "block", "doze"],
    bounds: { ...QUICK, ...bounds },
    limits: { memoryMb: 128, concurrency: 2 },
  });

/** What the process was judged to be, in order. */
function health(process: PluginProcess): boolean[] {
  const seen: boolean[] = [];
  process.onHealth((responsive) => seen.push(responsive));
  return seen;
}

/** Answers `wait` when told to. */
function hold(): { open(): void; readonly waiting: () => number } {
  let open = (): void => undefined;
  let waiting = 0;
  const opened = new Promise<void>((resolve) => (open = resolve));
  lab.broker.answer = async () => {
    waiting++;
    await opened;
    return { value: null, found: false };
  };
  return { open, waiting: () => waiting };
}

describe("the heartbeat", () => {
  it("leaves a plugin alone that is only slow, for many times the grace", async () => {
    const gate = hold();
    const process = await start();
    const seen = health(process);
    const slow = process.call(toolCall("wait", "done"));
    const since = performance.now();
    await until(() => performance.now() - since > 10 * QUICK.pingGraceMs, "many graces to pass");
    gate.open();
    expect((await slow).output).toBe("done");
    expect(seen).toEqual([]);
    expect(process.state).toBe("running");
  });

  it("calls a plugin with a blocked event loop unresponsive, and lets its call end within its deadline", async () => {
    const process = await start();
    const seen = health(process);
    expect((await process.call(toolCall("block", 1500))).output).toBe(1500);
    await until(() => seen.length === 2, "the plugin to answer again");
    expect(seen).toEqual([false, true]);
    expect(process.responsive).toBe(true);
    expect(process.state).toBe("running");
  });

  it("ends it once a call is over its deadline and the loop is still blocked", async () => {
    const process = await start();
    const seen = health(process);
    await expect(process.call(toolCall("block", 60_000, { timeoutMs: 800 }))).rejects.toMatchObject({
      code: "deadline_exceeded",
    });
    expect(seen).toEqual([false]);
    expect(await process.exited).toMatchObject({ expected: false, reason: "the process no longer answers" });
  });

  it("ends a plugin that blocks its loop with no call in flight", async () => {
    const process = await start({ idleProcessorShare: 100 });
    await process.call(toolCall("doze", 60_000));
    expect(await process.exited).toMatchObject({ expected: false, reason: "the process no longer answers" });
  });
});

describe("a stop that drains", () => {
  it("takes no new call, fails what waits as never started, and lets what runs succeed", async () => {
    const gate = hold();
    const process = await start();
    const running = [1, 2].map((n) => process.call(toolCall("wait", n)));
    const queued = process.call(toolCall("wait", 3));
    await until(() => gate.waiting() === 2, "two calls in flight");
    const stopped = process.stop(1000, 60_000);
    await expect(queued).rejects.toMatchObject({ code: "plugin_not_running" });
    await expect(process.call(toolCall("wait", 4))).rejects.toMatchObject({ code: "plugin_not_running" });
    gate.open();
    expect((await Promise.all(running)).map(({ output }) => output)).toEqual([1, 2]);
    await stopped;
    expect(await process.exited).toMatchObject({ expected: true, code: 0 });
  });

  it("gives up what is left when its time is over, or when a second stop does not wait", async () => {
    for (const [drainMs, again] of [
      [50, false],
      [60_000, true],
    ] as const) {
      const gate = hold();
      const process = await start();
      const running = process.call(toolCall("wait", 1));
      await until(() => gate.waiting() === 1, "a call in flight");
      const stopped = process.stop(1000, drainMs);
      const second = again ? process.stop(1000) : undefined;
      await expect(running).rejects.toMatchObject({ code: "cancelled", message: expect.stringContaining("stopped") });
      await Promise.all([stopped, second]);
      expect(await process.exited).toMatchObject({ expected: true });
      gate.open();
    }
  });

  it("is over with the process, whatever time is left", async () => {
    const gate = hold();
    const process = await start();
    const running = process.call(toolCall("wait", 1));
    await until(() => gate.waiting() === 1, "a call in flight");
    const stopped = process.stop(1000, 600_000);
    await Promise.all([expect(running).rejects.toMatchObject({ code: "cancelled" }), process.kill("revoked"), stopped]);
    gate.open();
  });
});
