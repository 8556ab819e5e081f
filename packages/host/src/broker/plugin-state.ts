import type { Clock } from "../kernel/index.ts";
import { NOTE_LIMITS } from "./agent.ts";
import { EVENT_LIMITS } from "./events.ts";
import { createDataUsage, type DataUsage } from "./data-usage.ts";
import type { NetworkLimits } from "./network-limits.ts";
import type { ExecLimits } from "./exec-limits.ts";
import { createQueue, type Queue } from "./queue.ts";
import { createRateLimit, type RateLimit } from "./rate.ts";
import type { WebSocketLimits } from "./websocket-limits.ts";
import type { OpenSocket } from "./websocket-socket.ts";

/** What all processes of one plugin share, so that a restart resets no limit. */
export interface PluginState {
  /** Requests to the network. */
  readonly requests: RateLimit;
  /** Everything that the audit hears of. */
  readonly actions: RateLimit;
  readonly files: Queue;
  readonly kv: Queue;
  readonly dataUsage: DataUsage;
  /** Notes to the operators. */
  readonly notes: RateLimit;
  /** Events for other plugins. */
  readonly published: RateLimit;
  /** Starts of commands. */
  readonly commands: RateLimit;
  /** WebSockets that are open, or were not read to their end. */
  readonly sockets: Set<OpenSocket>;
  /** Messages that they send. */
  readonly sending: RateLimit;
}

/** More than any honest plugin needs, and few enough that a hostile one does not fill the audit's disk. */
const ACTIONS_PER_SECOND = 1_000;
const ACTIONS_BURST = 4_000;

export function createPluginState(
  clock: Clock,
  limits: NetworkLimits,
  sockets: WebSocketLimits,
  commands: ExecLimits,
): PluginState {
  return {
    requests: createRateLimit(clock, limits.perSecond, limits.burst),
    actions: createRateLimit(clock, ACTIONS_PER_SECOND, ACTIONS_BURST),
    files: createQueue(),
    kv: createQueue(),
    dataUsage: createDataUsage(),
    notes: createRateLimit(clock, NOTE_LIMITS.perMinute / 60, NOTE_LIMITS.burst),
    published: createRateLimit(clock, EVENT_LIMITS.perSecond, EVENT_LIMITS.burst),
    commands: createRateLimit(clock, commands.perSecond, commands.burst),
    sockets: new Set(),
    sending: createRateLimit(clock, sockets.perSecond, sockets.burst),
  };
}
