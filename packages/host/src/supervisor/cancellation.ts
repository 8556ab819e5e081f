import { setMaxListeners } from "node:events";

/** Something that an abort signal ends. */
export interface Cancellable {
  readonly cancel: () => void;
}

/**
 * One listener for each signal, in the whole process: most calls share one signal that never aborts, and a listener for
 * each call or each plugin would stay on it for ever.
 */
const waiting = new WeakMap<AbortSignal, Set<Cancellable>>();

/** Until `offAbort`, an abort of `signal` calls `item.cancel`. */
export function onAbort(signal: AbortSignal, item: Cancellable): void {
  const known = waiting.get(signal);
  if (known !== undefined) {
    known.add(item);
    return;
  }
  const items = new Set([item]);
  waiting.set(signal, items);
  signal.addEventListener("abort", () => {
    for (const one of items) one.cancel();
  });
}

export function offAbort(signal: AbortSignal, item: Cancellable): void {
  waiting.get(signal)?.delete(item);
}

/** A controller whose signal all requests of a call listen to. How many there are is bounded elsewhere; Node need not take them for a leak. */
export function createSharedController(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}
