import { type PluginRef, SallyportError } from "../kernel/index.ts";
import type { PluginProcess } from "../supervisor/index.ts";

/** The place of one plugin's process: what runs, what is on its way in, and what is on its way out. */
export interface Slot {
  readonly ref: PluginRef;
  process?: PluginProcess;
  starting?: Promise<PluginProcess>;
  /** Ends the start that is under way, or the restart that is about to be. */
  abort?: AbortController;
  /** While a process is on its way out or its end is accounted for. Never rejects; a start waits for it. */
  ending?: Promise<void>;
  crashes: number[];
}

/** One slot an id, so that there is never more than one process of a plugin. */
export interface Slots {
  /** The slot of exactly these bytes, if there is one. */
  of(ref: PluginRef): Slot | undefined;
  /** The same, made if need be. @throws {SallyportError} `conflict` while another version has the id's place. */
  take(ref: PluginRef): Slot;
  /** Forgets a slot in which nothing is left. */
  release(slot: Slot): void;
  all(): readonly Slot[];
}

export function createSlots(): Slots {
  const slots = new Map<string, Slot>();
  return {
    of(ref) {
      const slot = slots.get(ref.id);
      return slot && sameBytes(slot.ref, ref) ? slot : undefined;
    },
    take(ref) {
      const known = slots.get(ref.id);
      if (known && sameBytes(known.ref, ref)) return known;
      if (known && isInUse(known)) {
        throw new SallyportError("conflict", `Another version of ${ref.id} is running.`, {
          fix: `Unload it first: sallyport plugin unload ${ref.id}`,
        });
      }
      const slot: Slot = { ref, crashes: [] };
      slots.set(ref.id, slot);
      return slot;
    },
    release(slot) {
      if (slots.get(slot.ref.id) === slot && !isInUse(slot)) slots.delete(slot.ref.id);
    },
    all: () => [...slots.values()],
  };
}

/** Lets nothing start in the slot until `work` has settled. */
export function hold(slot: Slot, work: Promise<unknown>): void {
  const ending: Promise<void> = Promise.allSettled([slot.ending, work]).then(() => {
    if (slot.ending === ending) delete slot.ending;
  });
  slot.ending = ending;
}

function isInUse(slot: Slot): boolean {
  return slot.process !== undefined || slot.starting !== undefined || slot.ending !== undefined;
}

function sameBytes(a: PluginRef, b: PluginRef): boolean {
  return a === b || (a.id === b.id && a.version === b.version && a.digest === b.digest);
}
