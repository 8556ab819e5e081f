import type { Meter } from "../approval/index.ts";
import type { PromptStats } from "../host-api.ts";
import { countApprovals, type Database } from "../store/index.ts";

/** How often operators are asked: the measure of whether the rules fit what the agents do. */
export async function promptStats(db: Database, meter: Meter): Promise<PromptStats> {
  const [open, counts] = await Promise.all([countApprovals(db), meter.counts()]);
  const calls = counts.reduce((sum, count) => sum + count.calls, 0);
  const prompts = counts.reduce((sum, count) => sum + count.prompts, 0);
  return {
    ...open,
    calls,
    prompts,
    promptsPer100: per100(calls, prompts),
    agents: counts.map((count) => ({ ...count, promptsPer100: per100(count.calls, count.prompts) })),
  };
}

function per100(calls: number, prompts: number): number | null {
  return calls === 0 ? null : Math.round((1000 * prompts) / calls) / 10;
}
