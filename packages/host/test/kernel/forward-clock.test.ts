import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createForwardClock } from "../../src/kernel/index.ts";

function clocks(start: number) {
  const at = { wall: start, monotonic: 0 };
  return { at, clock: createForwardClock({ now: () => at.wall, monotonic: () => at.monotonic }) };
}

const HOUR = 3_600_000;

describe("a clock that only goes forward", () => {
  it("follows the wall clock, also when that jumps ahead", () => {
    const { at, clock } = clocks(1000);
    at.wall += HOUR;
    at.monotonic += 5;
    expect(clock.now()).toBe(1000 + HOUR);
    expect(clock.monotonic()).toBe(5);
  });

  it("goes on from what it had reached when the wall clock is set back", () => {
    const { at, clock } = clocks(10 * HOUR);
    expect(clock.now()).toBe(10 * HOUR);
    at.wall -= 5 * HOUR;
    at.monotonic += 100;
    expect(clock.now()).toBe(10 * HOUR + 100);
    at.wall += 200;
    at.monotonic += 200.5;
    expect(clock.now()).toBe(10 * HOUR + 300);
  });

  it("is not held up by a wall clock that was set back while nobody looked", () => {
    const { at, clock } = clocks(10 * HOUR);
    at.wall += 2 * HOUR - HOUR;
    at.monotonic += 2 * HOUR;
    expect(clock.now()).toBe(12 * HOUR);
  });

  it("never goes back, whatever both clocks do", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: -HOUR, max: HOUR }), fc.double({ min: 0, max: HOUR, noNaN: true }))),
        (steps) => {
          const { at, clock } = clocks(10 * HOUR);
          let before = clock.now();
          for (const [wall, elapsed] of steps) {
            at.wall += wall;
            at.monotonic += elapsed;
            const now = clock.now();
            expect(now).toBeGreaterThanOrEqual(before);
            before = now;
          }
        },
      ),
    );
  });
});
