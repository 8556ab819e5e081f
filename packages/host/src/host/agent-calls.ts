import type { AgentProfile } from "../config/index.ts";
import { type Clock, PolicyViolationError, SallyportError } from "../kernel/index.ts";

/** What agents do now, counted over the whole host. */
export interface AgentCalls {
  /**
   * Counts a call that begins; each needs one `leave`. A call that a plugin makes for the agent counts for its rate only: it
   * runs inside one that is in flight already.
   * @throws {SallyportError} `limit_exceeded` for its calls a minute, `busy` for its calls in flight; `retry_after_ms` in `data`.
   */
  enter(agent: string, nested?: boolean): void;
  leave(agent: string, nested?: boolean): void;
  of(agent: string): AgentActivity;
  /** Agents with a call in flight, a counted one within the last minute, or one that a limit refused. */
  names(): readonly string[];
}

export interface AgentActivity {
  readonly inFlight: number;
  /** Calls that began within the last minute; 0 for an agent without a limit, for which nobody counts. */
  readonly lastMinute: number;
  /** Calls that a limit refused since the host started. */
  readonly limited: number;
}

interface Activity {
  inFlight: number;
  /** Times of calls within the last minute, in order, from `first` on. */
  times: number[];
  first: number;
  limited: number;
}

const MINUTE_MS = 60_000;
/** Agents that are counted at the same time; names are anybody's to choose unless `agents.known_only` is on. */
const MOST_AGENTS = 10_000;
/** Nobody knows when a place gets free. */
const BUSY_RETRY_MS = 1000;

/** Memory is bounded by the calls of the last minute that the limits let through, and by `MOST_AGENTS`. */
export function createAgentCalls(
  clock: Pick<Clock, "monotonic">,
  profileOf: (agent: string) => AgentProfile,
): AgentCalls {
  const activities = new Map<string, Activity>();

  function activityOf(agent: string): Activity {
    const known = activities.get(agent);
    if (known) return known;
    if (activities.size >= MOST_AGENTS) forgetIdle();
    if (activities.size >= MOST_AGENTS)
      throw new SallyportError("busy", `More than ${MOST_AGENTS} agents are at work.`, {
        fix: "Try again in a minute.",
        data: { retry_after_ms: MINUTE_MS },
      });
    const made = { inFlight: 0, times: [], first: 0, limited: 0 };
    activities.set(agent, made);
    return made;
  }

  function forgetIdle(): void {
    for (const [agent, activity] of activities) {
      if (isIdle(activity, clock.monotonic())) activities.delete(agent);
    }
  }

  return {
    enter(agent, nested = false) {
      const { callsPerMinute, callsInFlight } = profileOf(agent);
      const activity = activityOf(agent);
      if (!nested && callsInFlight !== undefined && activity.inFlight >= callsInFlight) {
        activity.limited++;
        throw tooManyInFlight(agent, callsInFlight);
      }
      if (callsPerMinute !== undefined) {
        const now = clock.monotonic();
        dropOld(activity, now);
        const wait = waitFor(activity, callsPerMinute, now);
        if (wait > 0) {
          activity.limited++;
          throw tooMany(agent, callsPerMinute, wait);
        }
        activity.times.push(now);
      }
      if (!nested) activity.inFlight++;
    },
    leave(agent, nested = false) {
      const activity = activities.get(agent);
      if (!activity || nested) return;
      activity.inFlight--;
    },
    of(agent) {
      const activity = activities.get(agent);
      if (!activity) return { inFlight: 0, lastMinute: 0, limited: 0 };
      dropOld(activity, clock.monotonic());
      return {
        inFlight: activity.inFlight,
        lastMinute: activity.times.length - activity.first,
        limited: activity.limited,
      };
    },
    names: () =>
      [...activities].flatMap(([agent, activity]) =>
        activity.limited > 0 || !isIdle(activity, clock.monotonic()) ? [agent] : [],
      ),
  };
}

function isIdle(activity: Activity, now: number): boolean {
  dropOld(activity, now);
  return activity.inFlight === 0 && activity.times.length === 0;
}

function dropOld(activity: Activity, now: number): void {
  const { times } = activity;
  while (activity.first < times.length && (times[activity.first] ?? 0) <= now - MINUTE_MS) activity.first++;
  // Moved together now and then, so that each time is touched a bounded number of times.
  if (activity.first > 0 && activity.first * 2 >= times.length) {
    times.splice(0, activity.first);
    activity.first = 0;
  }
}

/** How long until one more call fits into the minute before it, milliseconds; 0: it does now. */
function waitFor({ times, first }: Activity, most: number, now: number): number {
  if (times.length - first < most) return 0;
  return Math.max(1, Math.ceil((times[times.length - most] ?? now) + MINUTE_MS - now));
}

function tooMany(agent: string, most: number, wait: number): SallyportError {
  return new PolicyViolationError("limit_exceeded", `The agent ${agent} may make ${most} calls a minute.`, {
    fix: `Try again in ${Math.ceil(wait / 1000)} s.`,
    data: { retry_after_ms: wait },
  });
}

function tooManyInFlight(agent: string, most: number): SallyportError {
  return new PolicyViolationError("busy", `The agent ${agent} may have ${most} calls in flight.`, {
    fix: "Try again when one of them is done.",
    data: { retry_after_ms: BUSY_RETRY_MS },
  });
}
