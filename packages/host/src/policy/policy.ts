import { type Decision, digestOf } from "../kernel/index.ts";
import type { Policy, PolicyDecision, PolicyDefaults, PolicyQuery, PolicyRule } from "./types.ts";

const STRENGTH: Record<Decision, number> = { allow: 0, require_approval: 1, deny: 2 };

/**
 * Compiles rules into a decision function: of all matching rules the strictest wins (deny, then require_approval, then
 * allow); without a match the default of the tool's effect holds; without that, deny. Rules that name one tool or one
 * plugin are found by a look-up, so that a thousand of them cost no more than ten.
 */
export function compilePolicy(rules: readonly PolicyRule[], defaults: PolicyDefaults): Policy {
  const byTool = new Map<string, PolicyRule[]>();
  const byPlugin = new Map<string, PolicyRule[]>();
  const rest: PolicyRule[] = [];
  for (const rule of rules) {
    if (rule.tool !== undefined && !rule.tool.endsWith("*")) append(byTool, rule.tool, rule);
    else if (rule.plugin !== undefined) append(byPlugin, rule.plugin, rule);
    else rest.push(rule);
  }
  return {
    snapshot: digestOf("sallyport-policy-v1", { rules, defaults }),
    decide: (query) =>
      strictest([byTool.get(query.tool) ?? [], byPlugin.get(query.plugin) ?? [], rest], query) ??
      defaultDecision(defaults, query),
  };
}

function append(index: Map<string, PolicyRule[]>, key: string, rule: PolicyRule): void {
  const rules = index.get(key);
  if (rules) rules.push(rule);
  else index.set(key, [rule]);
}

function strictest(candidates: readonly (readonly PolicyRule[])[], query: PolicyQuery): PolicyDecision | undefined {
  let winner: PolicyRule | undefined;
  for (const rules of candidates) {
    for (const rule of rules) {
      if (winner && STRENGTH[rule.decision] <= STRENGTH[winner.decision]) continue;
      if (matches(rule, query)) winner = rule;
    }
  }
  if (!winner) return undefined;
  return { decision: winner.decision, rule: winner.id, reason: winner.reason };
}

function matches(rule: PolicyRule, query: PolicyQuery): boolean {
  return (
    (rule.tool === undefined || matchesPattern(rule.tool, query.tool)) &&
    (rule.plugin === undefined || rule.plugin === query.plugin) &&
    (rule.agent === undefined || rule.agent === query.agent) &&
    (rule.effect === undefined || rule.effect.includes(query.effect))
  );
}

function matchesPattern(pattern: string, text: string): boolean {
  return pattern.endsWith("*") ? text.startsWith(pattern.slice(0, -1)) : pattern === text;
}

function defaultDecision(defaults: PolicyDefaults, query: PolicyQuery): PolicyDecision {
  const decision = defaults[query.effect];
  return decision ? { decision, rule: `default:${query.effect}` } : { decision: "deny", rule: "default-deny" };
}
