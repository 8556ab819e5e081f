import type { AuditLog } from "../audit/index.ts";
import { riskOf, scopeKey, type Scope } from "../capability/index.ts";
import type { Clock, Effect, Risk } from "../kernel/index.ts";
import type { ConfigState } from "./config-state.ts";
import { createFlowTracker, type FlowTracker } from "./flow.ts";
import { createSettings, type Database, deleteSetting } from "../store/index.ts";
import { createPolicyClock, type PolicyClock, type PolicyQuery } from "../policy/index.ts";

const RISKS: readonly Risk[] = ["low", "medium", "high", "critical"];

/** A tool as policy sees it: who calls it, and what its plugin is granted. */
export function policyQuery(
  agent: string,
  plugin: string,
  tool: string,
  effect: Effect,
  scopes: readonly Scope[],
): PolicyQuery {
  const strongest = scopes.reduce((most, scope) => Math.max(most, RISKS.indexOf(riskOf(scope))), 0);
  return {
    agent,
    plugin,
    tool,
    effect,
    risk: RISKS[strongest] ?? "critical",
    permissions: [...new Set(scopes.flatMap((scope) => [scope.capability, scopeKey(scope)]))],
  };
}

/** The latest moment that was ever seen, where the clock was behind it; it outlasts whatever was written since by that clock. */
const HIGHEST = "policy.clock";

/** Time for policy, from the latest moment that this home knows: a clock put back while the host was down is seen too, at each start. */
export async function openPolicyClock(db: Database, audit: AuditLog, clock: Clock): Promise<PolicyClock> {
  const settings = createSettings(db);
  const [last] = await audit.query({ limit: 1 });
  const kept = Number((await settings.get(HIGHEST)) ?? 0);
  const highest = Math.max(last?.time ?? 0, Number.isSafeInteger(kept) ? kept : 0);
  if (highest > clock.now() && highest !== kept) await settings.set(HIGHEST, String(highest));
  return createPolicyClock(clock, highest);
}

/** An operator believes the clock as it is now, also at the next start. */
export async function acceptClock(db: Database, time: PolicyClock): Promise<void> {
  await db.atomically([deleteSetting(HIGHEST)]);
  time.accept();
}

/** What agents did before, as far back as any rule asks; read again when a changed rule asks further. */
export async function openFlow(audit: AuditLog, state: ConfigState): Promise<FlowTracker> {
  const flow = createFlowTracker(state.time);
  await flow.recall(audit, state.decisions.policy.lookBackMs);
  // Until it is read, rules that ask further back are unclear, and the stricter holds.
  state.onChange(() => void flow.recall(audit, state.decisions.policy.lookBackMs).catch(() => undefined));
  return flow;
}
