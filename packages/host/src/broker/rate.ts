import type { Clock } from "../kernel/index.ts";

/** A token bucket: `burst` at once, then `perSecond`. */
export interface RateLimit {
  take(amount?: number): boolean;
}

export function createRateLimit(clock: Clock, perSecond: number, burst: number): RateLimit {
  let tokens = burst;
  let last = clock.monotonic();
  return {
    take(amount = 1) {
      const now = clock.monotonic();
      tokens = Math.min(burst, tokens + ((now - last) / 1000) * perSecond);
      last = now;
      if (tokens < amount) return false;
      tokens -= amount;
      return true;
    },
  };
}

/** A fixed number of places; who finds none waits in line. */
export interface Places {
  /** @returns how to give the place back; may be called more than once. Rejects when the signal fires first. */
  enter(signal: AbortSignal): Promise<() => void>;
}

export function createPlaces(count: number): Places {
  let free = count;
  const waiting = new Set<() => void>();

  const leaver = (): (() => void) => {
    let left = false;
    return () => {
      if (left) return;
      left = true;
      const [next] = waiting;
      if (next === undefined) {
        free++;
      } else {
        waiting.delete(next);
        next();
      }
    };
  };

  return {
    enter(signal) {
      if (signal.aborted) return Promise.reject(signal.reason);
      if (free > 0) {
        free--;
        return Promise.resolve(leaver());
      }
      return new Promise((resolve, reject) => {
        const onAbort = (): void => {
          waiting.delete(go);
          reject(signal.reason);
        };
        const go = (): void => {
          signal.removeEventListener("abort", onAbort);
          resolve(leaver());
        };
        waiting.add(go);
        signal.addEventListener("abort", onAbort, { once: true });
      });
    },
  };
}
