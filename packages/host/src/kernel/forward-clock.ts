import type { Clock } from "./clock.ts";

/** A wall clock this far behind was set back; less is a correction, during which time stands still. Milliseconds. */
const SET_BACK_MS = 60_000;

/**
 * A clock whose `now()` never goes back: what was over stays over. When the wall clock is set back, time goes on from the
 * latest that was seen, by the monotonic clock; when it is set forward, time jumps with it.
 */
export function createForwardClock(clock: Clock): Clock {
  let latest = clock.now();
  let seenAt = clock.monotonic();
  return {
    monotonic: () => clock.monotonic(),
    now() {
      const at = clock.monotonic();
      const expected = latest + Math.max(0, at - seenAt);
      const wall = clock.now();
      seenAt = at;
      latest = expected - wall > SET_BACK_MS ? expected : Math.max(latest, wall);
      return Math.floor(latest);
    },
  };
}
