import type { Timers } from "../rpc/index.ts";
import type { PluginProcess } from "../supervisor/index.ts";

/** A process is looked at this often within the time after which it sleeps: it may sleep that part of the time late. */
const LOOKS = 4;
/** How often the setting is read again while it is off. */
const OFF_MS = 60_000;

/**
 * Calls `onIdle` each time that a process had no call for `idleAfterMs()` (0: never), until it is gone. Counts calls
 * instead of being told of them, so that a call costs nothing here.
 */
export function watchIdle(process: PluginProcess, timers: Timers, idleAfterMs: () => number, onIdle: () => void): void {
  let cancel: (() => void) | undefined;
  let served = process.served;
  let quiet = 0;
  const look = (): void => {
    const still = !process.busy && process.served === served;
    served = process.served;
    quiet = still && idleAfterMs() > 0 ? quiet + 1 : 0;
    arm();
    if (quiet < LOOKS) return;
    quiet = 0;
    onIdle();
  };
  const arm = (): void => {
    const after = idleAfterMs();
    cancel = timers.set(look, after > 0 ? after / LOOKS : OFF_MS);
  };
  arm();
  void process.exited.finally(() => cancel?.());
}
