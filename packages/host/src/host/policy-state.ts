import type { AuditLog } from "../audit/index.ts";
import { riskOf, scopeKey, type Scope } from "../capability/index.ts";
import type { Clock, Effect, Risk } from "../kernel/index.ts";
import type { ConfigState } from "./config-state.ts";
import { createFlowTracker, type FlowTracker } from "./flow.ts";
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

/** Time for policy, from the last moment that the audit knows: a clock put back while the host was down is seen too. */
export async function openPolicyClock(audit: AuditLog, clock: Clock): Promise<PolicyClock> {
  const [last] = await audit.query({ limit: 1 });
  return createPolicyClock(clock, last?.time ?? 0);
}

/** What agents did before, as far back as any rule asks; read again when a changed rule asks further. */
export async function openFlow(audit: AuditLog, state: ConfigState): Promise<FlowTracker> {
  const flow = createFlowTracker(state.time);
  await flow.recall(audit, state.decisions.policy.lookBackMs);
  // Until it is read, rules that ask further back are unclear, and the stricter holds.
  state.onChange(() => void flow.recall(audit, state.decisions.policy.lookBackMs).catch(() => undefined));
  return flow;
}
