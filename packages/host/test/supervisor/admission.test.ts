import * as fc from "fast-check";
import { expect, it } from "vitest";
import { createAdmission } from "../../src/supervisor/admission.ts";

interface Call {
  agent: string;
  exclusive: boolean;
  id: number;
}

type Step =
  | { do: "enter"; agent: string; exclusive: boolean }
  | { do: "end" | "give up" | "drained" | "withdraw"; which: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant("enter" as const), agent: fc.constantFrom("a", "b"), exclusive: fc.boolean() }),
  fc.record({
    do: fc.constantFrom("end" as const, "give up" as const, "drained" as const, "withdraw" as const),
    which: fc.nat(),
  }),
);

it("keeps agents apart and exclusive calls alone, bounded, in order, and starts each call once or not at all", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 3 }), (steps, concurrency) => {
      const running: Call[] = [];
      const draining: Call[] = [];
      const waiting: Call[] = [];
      const started: number[] = [];
      const admission = createAdmission<Call>({ concurrency, queued: 4 }, (call) => {
        const at = waiting.indexOf(call);
        if (at !== -1) expect(waiting.splice(at, 1) && at).toBe(0);
        running.push(call);
        started.push(call.id);
        const together = [...running, ...draining];
        expect(running.length).toBeLessThanOrEqual(concurrency);
        expect(new Set(together.map((one) => one.agent)).size).toBe(1);
        if (together.some((one) => one.exclusive)) expect(together).toHaveLength(1);
      });
      steps.forEach((action, id) => {
        if (action.do === "enter") {
          const call: Call = { agent: action.agent, exclusive: action.exclusive, id };
          if (waiting.length < 4) {
            const before = started.length;
            waiting.push(call);
            const at = waiting.length - 1;
            // It starts at once only if nobody waits.
            if (at > 0) expect(admission.enter(call)).toBe(false);
            else expect(admission.enter(call)).toBe(started.length > before);
          } else expect(() => admission.enter(call)).toThrow(expect.objectContaining({ code: "busy" }));
        } else if (action.do === "withdraw") {
          const call = waiting[action.which % Math.max(1, waiting.length)];
          if (call === undefined) return;
          waiting.splice(waiting.indexOf(call), 1);
          admission.withdraw(call);
        } else if (action.do === "drained") {
          if (draining.pop() !== undefined) admission.drained();
        } else {
          const call = running[action.which % Math.max(1, running.length)];
          if (call === undefined) return;
          running.splice(running.indexOf(call), 1);
          if (action.do === "give up") draining.push(call);
          admission.leave(call, action.do === "give up");
        }
        expect([admission.running, admission.draining]).toEqual([running.length, draining.length]);
      });
      // Nothing waits for ever: when all that runs has ended, all that waits has started.
      for (let left = 200; left > 0 && (running.length > 0 || draining.length > 0); left--) {
        const call = running.pop();
        if (call !== undefined) admission.leave(call, false);
        else if (draining.pop() !== undefined) admission.drained();
      }
      expect(waiting).toEqual([]);
      expect(new Set(started).size).toBe(started.length);
    }),
    { numRuns: 1000 },
  );
});
