import { throwIfAborted } from "./aborting.ts";

/** Runs one piece of work at a time, in order. What was not begun when its signal fires is not begun. */
export type Queue = <T>(signal: AbortSignal, work: () => Promise<T>) => Promise<T>;

export function createQueue(): Queue {
  let last: Promise<unknown> = Promise.resolve();
  return (signal, work) => {
    const result = last.then(() => {
      throwIfAborted(signal);
      return work();
    });
    last = result.catch(() => undefined);
    return result;
  };
}
