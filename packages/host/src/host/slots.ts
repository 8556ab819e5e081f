import { type PluginRef, SallyportError } from "../kernel/index.ts";
import type { PluginProcess } from "../supervisor/index.ts";

/** Whose a process is that serves every agent, or that has not served any. No agent's name is empty. */
export const SHARED = "";

/** The place of one process: what runs, what is on its way in, and what is on its way out. */
export interface Seat {
  agent: string;
  process?: PluginProcess;
  starting?: Promise<PluginProcess>;
  /** Ends the start that is under way, or the restart that is about to be. */
  abort?: AbortController;
  /** A process that was told to stop and may still be there. */
  leaving?: PluginProcess;
  /** When it was last asked for; greater is later. */
  used: number;
  /** When its process came up, monotonic milliseconds. */
  since: number;
}

/** The processes of one plugin: one, or one for each agent. */
export interface Slot {
  readonly ref: PluginRef;
  readonly seats: Map<string, Seat>;
  /** The start that moves the plugin; others wait for it and then add a process to a plugin that runs. */
  carrier?: Promise<unknown>;
  /** While the plugin is being stopped or the end of a process is accounted for. Never rejects; a start waits for it. */
  ending?: Promise<void>;
  /** A load succeeded, and nobody took the plugin down since: what is not running now will be at a call. */
  loaded: boolean;
  /** Its last process ended by itself. */
  crashed: boolean;
}

/** Slots by id and bytes. Processes of two versions of an id exist only while one takes the place of the other. */
export interface Slots {
  /** The slot of exactly these bytes, if there is one. */
  of(ref: PluginRef): Slot | undefined;
  /**
   * The same, made if need be; `beside` another version that is in use, where one takes the place of the other.
   * @throws {SallyportError} `conflict` while another version has the id's place.
   */
  take(ref: PluginRef, beside?: boolean): Slot;
  /** Forgets a slot in which nothing is left. */
  release(slot: Slot): void;
  all(): readonly Slot[];
}

export function createSlots(): Slots {
  const slots = new Map<string, readonly Slot[]>();
  const ofId = (id: string): readonly Slot[] => slots.get(id) ?? [];
  return {
    of: (ref) => ofId(ref.id).find((slot) => sameBytes(slot.ref, ref)),
    take(ref, beside = false) {
      const known = ofId(ref.id).find((slot) => sameBytes(slot.ref, ref));
      if (known) return known;
      const others = ofId(ref.id).filter(isInUse);
      if (others.length > 0 && !beside) {
        throw new SallyportError("conflict", `Another version of ${ref.id} is running.`, {
          fix: `Unload it first: sallyport plugin unload ${ref.id}`,
        });
      }
      const slot: Slot = { ref, seats: new Map(), loaded: false, crashed: false };
      slots.set(ref.id, [...others, slot]);
      return slot;
    },
    release(slot) {
      if (isInUse(slot)) return;
      const others = ofId(slot.ref.id).filter((other) => other !== slot);
      if (others.length > 0) slots.set(slot.ref.id, others);
      else slots.delete(slot.ref.id);
    },
    all: () => [...slots.values()].flat(),
  };
}

/** Lets nothing start in the slot until `work` has settled. */
export function hold(slot: Slot, work: Promise<unknown>): void {
  const ending: Promise<void> = Promise.allSettled([slot.ending, work]).then(() => {
    if (slot.ending === ending) delete slot.ending;
  });
  slot.ending = ending;
}

/** Seats with a process, or with one that starts. */
export function occupied(slot: Slot): readonly Seat[] {
  return [...slot.seats.values()].filter((seat) => seat.process !== undefined || seat.starting !== undefined);
}

export function processesOf(slot: Slot): readonly PluginProcess[] {
  return [...slot.seats.values()].flatMap(({ process }) => (process?.state === "running" ? [process] : []));
}

/** The seat of an agent, made if need be. */
export function seatOf(slot: Slot, agent: string): Seat {
  let seat = slot.seats.get(agent);
  if (!seat) slot.seats.set(agent, (seat = { agent, used: 0, since: 0 }));
  return seat;
}

/** Gives a process that has served nobody yet to an agent. */
export function claim(slot: Slot, agent: string): Seat | undefined {
  const seat = slot.seats.get(SHARED);
  if (seat?.process === undefined || seat.process.served > 0 || slot.seats.has(agent)) return undefined;
  slot.seats.delete(SHARED);
  slot.seats.set(agent, seat);
  seat.agent = agent;
  return seat;
}

/** Forgets a seat in which nothing is left. */
export function leave(slot: Slot, seat: Seat): void {
  const empty = seat.process === undefined && seat.starting === undefined && seat.leaving === undefined;
  if (empty && slot.seats.get(seat.agent) === seat) slot.seats.delete(seat.agent);
}

function isInUse(slot: Slot): boolean {
  return slot.seats.size > 0 || slot.ending !== undefined;
}

function sameBytes(a: PluginRef, b: PluginRef): boolean {
  return a === b || (a.id === b.id && a.version === b.version && a.digest === b.digest);
}
