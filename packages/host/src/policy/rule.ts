import { compileConditions, type CompiledConditions } from "./conditions.ts";
import { compileFlow, type FlowTest } from "./flow.ts";
import { nameMatcher } from "./names.ts";
import { compileTime, type Met, type PolicyTime } from "./time.ts";
import type { CallFacts, PolicyDecision, PolicyLayer, PolicyQuery, PolicyRule } from "./types.ts";

/** What is decided of one rule for one call. */
export interface RuleAnswer {
  readonly met: Met;
  readonly after: readonly string[];
}

export interface CompiledRule {
  readonly rule: PolicyRule;
  readonly layer: string;
  readonly temporary: boolean;
  /** Whether it depends on more than agent and tool. */
  readonly conditional: boolean;
  readonly because: NonNullable<PolicyDecision["because"]>;
  appliesTo(query: PolicyQuery): boolean;
  heldAt(time: PolicyTime): Met;
  test(agent: string, facts: CallFacts): RuleAnswer;
}

const NONE: readonly string[] = [];

/** @throws {SallyportError} `usage` for a part that does not compile. */
export function compileRule(rule: PolicyRule, layer: PolicyLayer): CompiledRule {
  const parts = applicability(rule, layer);
  const time = rule.time && compileTime(rule.time);
  const when = rule.when && compileConditions(rule.when);
  const after = rule.after && compileFlow(rule.after);
  const because: ("arguments" | "time" | "earlier calls")[] = [];
  if (when) because.push("arguments");
  if (time) because.push("time");
  if (after) because.push("earlier calls");
  return {
    rule,
    layer: layer.name,
    temporary: layer.temporary === true,
    conditional: because.length > 0,
    because,
    appliesTo: (query) => parts.every((part) => part(query)),
    heldAt: (moment) => time?.(moment) ?? "yes",
    test: (agent, facts) => testRule(agent, facts, time, when, after),
  };
}

function applicability(rule: PolicyRule, layer: PolicyLayer): readonly ((query: PolicyQuery) => boolean)[] {
  const parts: ((query: PolicyQuery) => boolean)[] = [];
  const { effect, risk } = rule;
  if (layer.agent !== undefined) parts.push(({ agent }) => agent === layer.agent);
  if (rule.agent !== undefined) parts.push(on(nameMatcher(rule.agent), (query) => query.agent));
  if (rule.tool !== undefined) parts.push(on(nameMatcher(rule.tool), (query) => query.tool));
  if (rule.plugin !== undefined) parts.push(on(nameMatcher(rule.plugin), (query) => query.plugin));
  if (effect !== undefined) parts.push((query) => effect.includes(query.effect));
  if (risk !== undefined) parts.push((query) => risk.includes(query.risk));
  if (rule.permission !== undefined) {
    const matches = nameMatcher(rule.permission);
    parts.push((query) => query.permissions.some(matches));
  }
  return parts;
}

function on(matches: (name: string) => boolean, part: (query: PolicyQuery) => string): (query: PolicyQuery) => boolean {
  return (query) => matches(part(query));
}

function testRule(
  agent: string,
  facts: CallFacts,
  time: ((moment: PolicyTime) => Met) | undefined,
  when: CompiledConditions | undefined,
  after: FlowTest | undefined,
): RuleAnswer {
  const held = time?.(facts.time) ?? "yes";
  if (held === "no" || when?.mayMatch(facts.input) === false) return { met: "no", after: NONE };
  const flow = after?.(agent, facts.time.now, facts.flow);
  if (flow?.met === "no") return { met: "no", after: NONE };
  const timed = held === "yes" && (after === undefined || facts.time.certain);
  const certain = timed && when?.matches(facts.input) !== false && flow?.met !== "unclear";
  return { met: certain ? "yes" : "unclear", after: flow?.calls ?? NONE };
}
