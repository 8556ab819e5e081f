import type { Clock } from "../kernel/index.ts";
import type { DataUsage } from "./data-usage.ts";
import { createDataUsage } from "./data-usage.ts";
import type { NetworkLimits } from "./network-limits.ts";
import { createQueue, type Queue } from "./queue.ts";
import { createRateLimit, type RateLimit } from "./rate.ts";

/** What all processes of one plugin share, so that a restart resets no limit. */
export interface PluginState {
  readonly requests: RateLimit;
  readonly files: Queue;
  readonly kv: Queue;
  readonly dataUsage: DataUsage;
}

export function createPluginState(clock: Clock, limits: NetworkLimits): PluginState {
  return {
    requests: createRateLimit(clock, limits.perSecond, limits.burst),
    files: createQueue(),
    kv: createQueue(),
    dataUsage: createDataUsage(),
  };
}
