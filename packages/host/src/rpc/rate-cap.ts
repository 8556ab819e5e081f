import type { Clock } from "../kernel/index.ts";

export interface RateCap {
  /** @returns false once this second's count or bytes are used up. */
  admit(bytes: number): boolean;
}

/** Counts messages and bytes in windows of one second. */
export function createRateCap(clock: Clock, perSecond: number, bytesPerSecond: number): RateCap {
  let windowStart = -Infinity;
  let count = 0;
  let total = 0;
  return {
    admit(bytes) {
      const now = clock.monotonic();
      if (now - windowStart >= 1000) {
        windowStart = now;
        count = 0;
        total = 0;
      }
      count++;
      total += bytes;
      return count <= perSecond && total <= bytesPerSecond;
    },
  };
}
