import { type Caller, type Clock, type PluginRef, SallyportError, type Via } from "../kernel/index.ts";
import type { PluginProcess, ToolCall } from "../supervisor/index.ts";

/** A call that a process was given, and the calls that wait for it. */
export interface Flight {
  readonly callId: string;
  readonly caller: Caller;
  readonly plugin: PluginRef;
  /** `<plugin>__<tool>`. */
  readonly tool: string;
  readonly trace: string | undefined;
  /** Monotonic time when it is given up. */
  readonly deadline: number;
  /** The call that asks for it. */
  readonly parent: Flight | undefined;
  readonly process: PluginProcess;
  /** It has its place in the process, and is not waiting for one. */
  running: boolean;
  /** Calls made below an agent's own call, on that one. */
  made: number;
}

/** What `invoke()` is told of a call that a plugin makes. */
export interface MadeBy {
  readonly parent: Flight;
  readonly via: Via;
}

export interface Flights {
  /**
   * From now on the call is in flight. @returns what its process has to know of its place there.
   * @throws {SallyportError} `deadline_exceeded` when the call that asks for it has no time left.
   */
  begin(facts: Omit<Flight, "running" | "made" | "deadline"> & { readonly timeoutMs: number }): Place;
  end(callId: string): void;
  find(callId: string): Flight | undefined;
}

type Place = Pick<ToolCall, "timeoutMs" | "onStart" | "mayWait">;

/** The calls in flight of an open home. */
export function createFlights(clock: Clock): Flights {
  const flights = new Map<string, Flight>();

  const isBelow = (flight: Flight, other: Flight): boolean => {
    for (let above = flight.parent; above !== undefined; above = above.parent) if (above === other) return true;
    return false;
  };

  /**
   * Whether some call that has a place in `process` ends only after `waiting`: it waits, itself or by what it asked for, for this very call.
   * Then neither would end before its deadline.
   */
  function holds(process: PluginProcess, waiting: Flight, seen: Set<PluginProcess>): boolean {
    if (seen.has(process)) return false;
    seen.add(process);
    for (const holder of flights.values()) {
      if (holder.process !== process || !holder.running) continue;
      if (isBelow(waiting, holder)) return true;
      for (const other of flights.values()) {
        if (other.running || other === waiting || !isBelow(other, holder)) continue;
        if (holds(other.process, waiting, seen)) return true;
      }
    }
    return false;
  }

  return {
    begin({ timeoutMs: most, ...facts }) {
      const { parent } = facts;
      const now = clock.monotonic();
      const timeoutMs = parent === undefined ? most : Math.min(most, parent.deadline - now);
      if (timeoutMs <= 0) throw noTimeLeft();
      const flight: Flight = { ...facts, deadline: now + timeoutMs, running: false, made: 0 };
      flights.set(flight.callId, flight);
      return {
        timeoutMs,
        onStart: () => {
          flight.running = true;
        },
        ...(parent === undefined ? {} : { mayWait: () => !holds(flight.process, flight, new Set()) }),
      };
    },
    end: (callId) => void flights.delete(callId),
    find: (callId) => flights.get(callId),
  };
}

function noTimeLeft(): SallyportError {
  return new SallyportError("deadline_exceeded", "The call that asks for this one has no time left.", {
    data: { started: false },
  });
}

/** The agent's own call that all of this goes back to. */
export function rootOf(flight: Flight): Flight {
  let root = flight;
  while (root.parent !== undefined) root = root.parent;
  return root;
}
