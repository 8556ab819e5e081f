import type { Clock } from "../kernel/index.ts";
import type { Timers } from "../rpc/index.ts";

/** Crashes of one plugin within the window; that many, and it is given up until a person acts. */
export const CRASH_BUDGET = 3;
const CRASH_WINDOW_MS = 5 * 60 * 1000;
/** How long the host waits before it starts a plugin again, by the crashes within the window. */
const RESTART_AFTER_MS: readonly number[] = [0, 0, 1_000];

export interface Crashes {
  /** Counts one. @returns how many there were in the window. */
  add(id: string): number;
  forget(id: string): void;
  /** Resolves when the host may start the plugin again. @throws when `signal` aborts. */
  backOff(id: string, signal: AbortSignal): Promise<void>;
}

export function createCrashes(clock: Clock, timers: Timers): Crashes {
  const times = new Map<string, readonly number[]>();
  const recent = (id: string): readonly number[] =>
    (times.get(id) ?? []).filter((time) => clock.monotonic() - time < CRASH_WINDOW_MS);
  return {
    add(id) {
      const all = [...recent(id), clock.monotonic()];
      times.set(id, all);
      return all.length;
    },
    forget: (id) => void times.delete(id),
    backOff(id, signal) {
      const crashes = recent(id);
      const delay = RESTART_AFTER_MS[Math.min(crashes.length, RESTART_AFTER_MS.length - 1)] ?? 0;
      const left = (crashes.at(-1) ?? -Infinity) + delay - clock.monotonic();
      return left > 0 ? pause(timers, left, signal) : Promise.resolve();
    },
  };
}

function pause(timers: Timers, milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      cancel();
      reject(signal.reason instanceof Error ? signal.reason : new Error("aborted"));
    };
    const cancel = timers.set(() => {
      signal.removeEventListener("abort", abort);
      resolve();
    }, milliseconds);
    signal.addEventListener("abort", abort, { once: true });
  });
}
