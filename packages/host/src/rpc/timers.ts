/** Timers, passed in so that tests own time. `set` returns the way to cancel. */
export interface Timers {
  set(callback: () => void, milliseconds: number): () => void;
}

export const systemTimers: Timers = {
  set(callback, milliseconds) {
    const timer = setTimeout(callback, milliseconds);
    return () => clearTimeout(timer);
  },
};

export interface Alarm {
  /** Makes sure that the alarm rings at `at` (monotonic milliseconds) or earlier. */
  setFor(at: number): void;
  stop(): void;
}

/**
 * One timer for any number of deadlines. `ring` is told the time and answers when the next deadline is (`Infinity`: none).
 * A deadline that was met early leaves the timer alone, so that a fast call never touches it.
 */
export function createAlarm(timers: Timers, now: () => number, ring: (time: number) => number): Alarm {
  let armedFor = Infinity;
  let cancel: (() => void) | undefined;

  const arm = (at: number): void => {
    armedFor = at;
    cancel = timers.set(fire, Math.max(1, Math.ceil(at - now())));
  };
  const fire = (): void => {
    cancel = undefined;
    armedFor = Infinity;
    const next = ring(now());
    if (next < armedFor) setFor(next);
  };
  const setFor = (at: number): void => {
    if (at >= armedFor) return;
    cancel?.();
    arm(at);
  };
  return {
    setFor,
    stop() {
      cancel?.();
      cancel = undefined;
      armedFor = -Infinity;
    },
  };
}
