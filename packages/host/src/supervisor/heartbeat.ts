import type { Clock } from "../kernel/index.ts";
import type { Timers } from "../rpc/index.ts";
import type { SupervisorLimits } from "./limits.ts";

export interface Beating {
  /** Sends a ping; `settle` is called once, with whether an answer came. */
  ping(settle: (answered: boolean) => void): void;
  /** Calls in flight or draining. */
  busy(): boolean;
  /** The process began, or ceased, to answer in time. */
  onHealth(responsive: boolean): void;
  /** Kills the process, with the reason in plain words. */
  condemn(reason: string): void;
}

export interface HeartbeatOptions {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly limits: Pick<SupervisorLimits, "watchMs" | "pingGraceMs" | "heartbeatGraceMs">;
}

/** A look that comes this late says that the host was busy or the machine asleep, and nothing about the plugin. */
const LATE_MS = 1_000;

/**
 * Tells slow from hung: a process whose event loop turns answers a ping however long its calls last. One that leaves a
 * ping unanswered for `pingGraceMs` is unresponsive until it answers. It is killed for that alone only with no call in
 * flight, after `heartbeatGraceMs`; with calls in flight their deadlines decide. Returns the way to stop.
 */
export function watchHeartbeat(process: Beating, { clock, timers, limits }: HeartbeatOptions): () => void {
  let stopped = false;
  let responsive = true;
  /** A ping waits for its answer; and since when, as far as it counts. */
  let asked = false;
  let waitingSince: number | null = null;
  let idleSince: number | null = null;
  let lastLook = clock.monotonic();
  let cancel = timers.set(look, limits.watchMs);

  function look(): void {
    const now = clock.monotonic();
    const late = now - lastLook > Math.max(2 * limits.watchMs, LATE_MS);
    lastLook = now;
    idleSince = process.busy() ? null : (idleSince ?? now);
    if (late && waitingSince !== null) {
      waitingSince = now;
      if (idleSince !== null) idleSince = now;
    } else if (waitingSince !== null) judge(now, waitingSince);
    if (!asked && !stopped) ask(now);
    if (!stopped) cancel = timers.set(look, limits.watchMs);
  }

  function ask(now: number): void {
    asked = true;
    waitingSince ??= now;
    process.ping((answered) => {
      asked = false;
      if (stopped || !answered) return;
      waitingSince = null;
      setResponsive(true);
    });
  }

  function judge(now: number, since: number): void {
    if (now - since >= limits.pingGraceMs) setResponsive(false);
    if (idleSince === null || now - Math.max(since, idleSince) < limits.heartbeatGraceMs) return;
    stop();
    process.condemn("the process no longer answers");
  }

  function setResponsive(now: boolean): void {
    if (responsive === now) return;
    responsive = now;
    process.onHealth(now);
  }

  function stop(): void {
    stopped = true;
    cancel();
  }
  return stop;
}
