import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { AgentProfile } from "../../src/config/index.ts";
import { createAgentCalls } from "../../src/host/agent-calls.ts";
import { SallyportError } from "../../src/kernel/index.ts";

function world(profile: AgentProfile) {
  const time = { now: 0 };
  const calls = createAgentCalls({ monotonic: () => time.now }, () => profile);
  const refusal = (agent = "bot", nested = false): SallyportError | undefined => {
    try {
      calls.enter(agent, nested);
      return undefined;
    } catch (error) {
      if (error instanceof SallyportError) return error;
      throw error;
    }
  };
  return { time, calls, refusal };
}

describe("calls a minute", () => {
  it("are at most so many, and the refusal says when the next one fits", () => {
    const { time, calls, refusal } = world({ callsPerMinute: 2 });
    expect(refusal()).toBeUndefined();
    time.now = 20_000;
    expect(refusal()).toBeUndefined();
    expect(refusal()).toMatchObject({
      code: "limit_exceeded",
      fix: "Try again in 40 s.",
      data: { retry_after_ms: 40_000 },
    });
    expect(refusal("other")).toBeUndefined();
    time.now = 59_999;
    expect(refusal()).toMatchObject({ data: { retry_after_ms: 1 } });
    time.now = 60_000;
    expect(refusal()).toBeUndefined();
    expect(refusal()).toMatchObject({ data: { retry_after_ms: 20_000 } });
    expect(calls.of("bot")).toEqual({ inFlight: 3, lastMinute: 2, limited: 3 });
  });

  it("are never more in any minute, whenever calls come", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.array(fc.integer({ min: 0, max: 30_000 })), (most, gaps) => {
        const { time, refusal } = world({ callsPerMinute: most });
        const begun: number[] = [];
        for (const gap of gaps) {
          time.now += gap;
          const refused = refusal();
          if (refused === undefined) begun.push(time.now);
          else {
            const wait = Number(refused.data["retry_after_ms"]);
            expect(begun.filter((at) => at > time.now - 60_000)).toHaveLength(most);
            expect(begun.filter((at) => at > time.now + wait - 60_000).length).toBeLessThan(most);
          }
        }
        for (const at of begun)
          expect(begun.filter((other) => other > at - 60_000 && other <= at).length).toBeLessThanOrEqual(most);
      }),
    );
  });

  it("count what a plugin calls on the agent's behalf", () => {
    const { refusal } = world({ callsPerMinute: 2 });
    expect(refusal()).toBeUndefined();
    expect(refusal("bot", true)).toBeUndefined();
    expect(refusal("bot", true)).toMatchObject({ code: "limit_exceeded" });
  });
});

describe("calls in flight", () => {
  it("are at most so many, and a place is free again when one ends", () => {
    const { calls, refusal } = world({ callsInFlight: 2 });
    expect([refusal(), refusal()]).toEqual([undefined, undefined]);
    expect(refusal()).toMatchObject({ code: "busy", data: { retry_after_ms: 1000 } });
    calls.leave("bot");
    expect(refusal()).toBeUndefined();
    expect(calls.of("bot").inFlight).toBe(2);
  });

  it("do not count what runs inside one of them, which would wait for itself", () => {
    const { calls, refusal } = world({ callsInFlight: 1 });
    expect(refusal()).toBeUndefined();
    expect(refusal("bot", true)).toBeUndefined();
    calls.leave("bot", true);
    expect(calls.of("bot").inFlight).toBe(1);
  });

  it("that a rate refused take no place", () => {
    const { calls, refusal } = world({ callsInFlight: 1, callsPerMinute: 1 });
    expect(refusal()).toBeUndefined();
    calls.leave("bot");
    expect(refusal()).toMatchObject({ code: "limit_exceeded" });
    expect(calls.of("bot").inFlight).toBe(0);
  });
});

describe("what is kept", () => {
  it("is bounded: names that are idle make room, and when none is, a new one is refused", () => {
    const { time, calls, refusal } = world({ callsInFlight: 10 });
    for (let n = 0; n < 10_000; n++) calls.enter(`agent-${n}`);
    expect(refusal("one-more")).toMatchObject({ code: "busy" });
    calls.leave("agent-77");
    time.now += 1;
    expect(refusal("one-more")).toBeUndefined();
    expect(calls.names()).toHaveLength(10_000);
    expect(calls.names()).not.toContain("agent-77");
  });
});
