import { SallyportError } from "../kernel/index.ts";

/** What admission must know of a call. */
export interface Admittee {
  readonly agent: string;
  readonly exclusive?: boolean;
}

export interface AdmissionLimits {
  readonly concurrency: number;
  readonly queued: number;
}

/** Decides which calls of one process are in flight together. First come, first served. */
export interface Admission<Call extends Admittee> {
  /** @returns true when the call started now, false when it waits. @throws {SallyportError} `busy` when the queue is full. */
  enter(call: Call): boolean;
  /** A call in flight has ended, or (`draining`) was given up while the plugin may still work on it. */
  leave(call: Call, draining: boolean): void;
  /** The plugin has ended a call that was draining. */
  drained(): void;
  /** Takes a call out of the queue. */
  withdraw(call: Call): void;
  readonly running: number;
  readonly draining: number;
  /** A call waits for nothing but calls that were given up. */
  readonly blockedByDraining: boolean;
}

/**
 * Calls of different agents are never in flight together, nor is an exclusive call with any other, and a call that was
 * given up counts until the plugin has ended it: a request names the call it belongs to, and that is the plugin's word.
 */
export function createAdmission<Call extends Admittee>(
  limits: AdmissionLimits,
  start: (call: Call) => void,
): Admission<Call> {
  const queue: Call[] = [];
  let running = 0;
  let draining = 0;
  let agent = "";
  let exclusive = false;

  const fits = (call: Call): boolean => {
    if (running + draining === 0) return true;
    return !exclusive && call.exclusive !== true && call.agent === agent && running < limits.concurrency;
  };
  const begin = (call: Call): void => {
    running++;
    agent = call.agent;
    exclusive = call.exclusive === true;
    start(call);
  };
  const advance = (): void => {
    for (let head = queue[0]; head !== undefined && fits(head); head = queue[0]) {
      queue.shift();
      begin(head);
    }
  };

  return {
    enter(call) {
      if (queue.length === 0 && fits(call)) {
        begin(call);
        return true;
      }
      if (queue.length >= limits.queued) {
        throw new SallyportError("busy", "Too many calls wait for this plugin.", {
          detail: `${running} run and ${queue.length} wait.`,
          fix: "Try again when some of them have ended.",
        });
      }
      queue.push(call);
      return false;
    },
    leave(_call, isDraining) {
      running--;
      if (isDraining) draining++;
      if (queue.length > 0) advance();
    },
    drained() {
      draining--;
      if (queue.length > 0) advance();
    },
    withdraw(call) {
      const at = queue.indexOf(call);
      if (at === -1) return;
      queue.splice(at, 1);
      advance();
    },
    get running() {
      return running;
    },
    get draining() {
      return draining;
    },
    get blockedByDraining() {
      return queue.length > 0 && running === 0 && draining > 0;
    },
  };
}
