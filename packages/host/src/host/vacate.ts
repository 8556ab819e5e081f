import { LIMITS, SallyportError } from "../kernel/index.ts";
import type { PluginProcess } from "../supervisor/index.ts";
import { hold, leave, type Seat, type Slot } from "./slots.ts";

/** A process that came up for a call is left to it for so long. */
const UNUSED_MS = 1_000;

/**
 * Ends the process that was not asked for the longest, when there are as many as there may be.
 * @returns what to wait for, if anything. @throws {SallyportError} `busy` when all of them work.
 */
export function makeRoom(slot: Slot, most: number, now: number): Promise<unknown> | undefined {
  const seats = [...slot.seats.values()].filter(
    ({ process, starting, leaving }) => process !== undefined || starting !== undefined || leaving !== undefined,
  );
  if (seats.length < most) return undefined;
  const [idlest] = seats
    .filter(({ process, since }) => process && !process.busy && (process.served > 0 || now - since > UNUSED_MS))
    .toSorted((a, b) => a.used - b.used);
  if (idlest) return vacate(slot, idlest);
  const going = seats.find((seat) => seat.leaving !== undefined);
  if (going?.leaving) return going.leaving.exited;
  throw new SallyportError("busy", `All ${most} processes of ${slot.ref.id} work for other agents.`, {
    detail: "Each agent has its own process, and the call never reached the plugin.",
    fix: "Try again later; `isolation.processes_per_plugin` in config.yml sets how many there may be.",
  });
}

/** Ends one process of a plugin that goes on running. */
export async function vacate(slot: Slot, seat: Seat): Promise<void> {
  const process = dismiss(seat);
  await process?.stop(LIMITS.shutdownGraceMs);
  if (process) forget(slot, seat, process);
}

/** Takes the process out of service. Whoever calls this ends it, and then forgets it. */
export function dismiss(seat: Seat): PluginProcess | undefined {
  const process = seat.process ?? seat.leaving;
  delete seat.process;
  if (process) seat.leaving = process;
  return process;
}

export function forget(slot: Slot, seat: Seat, process: PluginProcess): void {
  if (seat.leaving === process) delete seat.leaving;
  leave(slot, seat);
}

/** Kills every process and start of a plugin that is no longer live. */
export function endAll(slot: Slot, reason: string): void {
  slot.loaded = false;
  for (const seat of slot.seats.values()) {
    seat.abort?.abort();
    const process = dismiss(seat);
    if (process)
      hold(
        slot,
        process.kill(reason).finally(() => forget(slot, seat, process)),
      );
  }
}
