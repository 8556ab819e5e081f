import { digestOf } from "../kernel/index.ts";
import { exactNames } from "./names.ts";
import { type CompiledRule, compileRule, type RuleAnswer } from "./rule.ts";
import { createSelector } from "./selector.ts";
import type { PolicyTime } from "./time.ts";
import type {
  Policy,
  PolicyDecision,
  PolicyDefaults,
  PolicyLayer,
  PolicyQuery,
  RuleExplanation,
  ToolPolicy,
} from "./types.ts";

/**
 * Compiles layers of rules into decisions. Of all rules that match, the strictest wins (deny, then require_approval, then allow); without
 * a match the default of the tool's effect holds; without that, deny. A rule whose conditions cannot be told with certainty counts as the
 * stricter: a deny applies, an allow does not, and a require_approval never makes milder what would hold without it.
 * @throws {SallyportError} `usage` for a rule that does not compile.
 */
export function compilePolicy(layers: readonly PolicyLayer[], defaults: PolicyDefaults): Policy {
  const compiled = layers.map(compileLayer);
  const rules = compiled.flatMap((layer) => layer.rules);
  const find = createIndex(rules);
  return {
    snapshot: digestOf("sallyport-policy-v2", { layers: compiled.map(({ digest }) => digest), defaults }),
    layers,
    defaults,
    lookBackMs: compiled.reduce((most, { lookBackMs }) => Math.max(most, lookBackMs), 0),
    forTool: (query) => compileTool(query, find(query), defaultDecision(defaults, query)),
  };
}

/** A policy that could not be compiled: it denies everything, and says why. */
export function denyEverything(reason: string): Policy {
  const fixed: PolicyDecision = { decision: "deny", rule: "policy-error", reason };
  return {
    snapshot: digestOf("sallyport-policy-v2", { error: reason }),
    layers: [],
    defaults: {},
    lookBackMs: 0,
    forTool: () => fixedPolicy(fixed),
  };
}

interface CompiledLayer {
  readonly rules: readonly CompiledRule[];
  readonly digest: string;
  readonly lookBackMs: number;
}

/** Layers are compiled again at every change of a plugin or a grant; those of config.yml are the same objects then. */
const compiledLayers = new WeakMap<PolicyLayer, CompiledLayer>();

function compileLayer(layer: PolicyLayer): CompiledLayer {
  const known = compiledLayers.get(layer);
  if (known) return known;
  const rules = layer.rules.map((rule) => compileRule(rule, layer));
  const compiled: CompiledLayer = {
    rules,
    digest: digestOf("sallyport-policy-layer-v1", withoutLines(layer)),
    lookBackMs: rules.reduce((most, { rule }) => Math.max(most, rule.after?.withinMs ?? 0), 0),
  };
  compiledLayers.set(layer, compiled);
  return compiled;
}

/** Moving a rule to another line changes nothing that it decides. */
function withoutLines(layer: PolicyLayer): unknown {
  return { ...layer, rules: layer.rules.map((rule) => ({ ...rule, line: undefined })) };
}

/** Rules that name tools or plugins are found by a look-up, so that a thousand of them cost no more than ten. */
function createIndex(rules: readonly CompiledRule[]): (query: PolicyQuery) => readonly CompiledRule[] {
  const byTool = new Map<string, CompiledRule[]>();
  const byPlugin = new Map<string, CompiledRule[]>();
  const byAgent = new Map<string, CompiledRule[]>();
  const rest: CompiledRule[] = [];
  for (const rule of rules) {
    const { tool, plugin, agent } = rule.rule;
    const [index, names] =
      [
        [byTool, exactNames(tool)] as const,
        [byPlugin, exactNames(plugin)] as const,
        [byAgent, exactNames(agent)] as const,
      ].find(([, exact]) => exact !== undefined) ?? [];
    if (index === undefined || names === undefined) rest.push(rule);
    else for (const name of new Set(names)) append(index, name, rule);
  }
  return (query) =>
    [byTool.get(query.tool), byPlugin.get(query.plugin), byAgent.get(query.agent), rest].flatMap(
      (found) => found?.filter((rule) => rule.appliesTo(query)) ?? [],
    );
}

function append(index: Map<string, CompiledRule[]>, key: string, rule: CompiledRule): void {
  const rules = index.get(key);
  if (rules) rules.push(rule);
  else index.set(key, [rule]);
}

function defaultDecision(defaults: PolicyDefaults, query: PolicyQuery): PolicyDecision {
  const decision = defaults[query.effect];
  return decision ? { decision, rule: `default:${query.effect}` } : { decision: "deny", rule: "default-deny" };
}

const CERTAIN: RuleAnswer = { met: "yes", after: [] };
const UNMET: RuleAnswer = { met: "no", after: [] };
type Answers = (rule: CompiledRule) => RuleAnswer;

function compileTool(query: PolicyQuery, rules: readonly CompiledRule[], byDefault: PolicyDecision): ToolPolicy {
  const certain = rules.find((rule) => !rule.conditional && rule.rule.decision === "deny");
  const conditional = certain === undefined && rules.some((rule) => rule.conditional);
  if (!conditional) {
    const fixed = combine(certain ? [certain] : rules, byDefault, () => CERTAIN);
    return { ...fixedPolicy(fixed), explain: () => rules.map((rule) => explained(rule, CERTAIN)) };
  }
  const ordered = [...rules].toSorted((a, b) => Number(a.conditional) - Number(b.conditional));
  const mayMatch = createSelector(ordered);
  return {
    fixed: undefined,
    exposed(time) {
      const mildest = combine(ordered, byDefault, (rule) => atBest(rule, time, false));
      // What asks can also be what keeps the default from denying.
      return mildest.decision === "deny" ? combine(ordered, byDefault, (rule) => atBest(rule, time, true)) : mildest;
    },
    decide(facts) {
      try {
        return combine(mayMatch(facts.input), byDefault, (rule) =>
          rule.conditional ? rule.test(query.agent, facts) : CERTAIN,
        );
      } catch {
        return NOT_EVALUATED;
      }
    },
    explain: (facts) =>
      ordered.map((rule) => explained(rule, rule.conditional ? rule.test(query.agent, facts) : CERTAIN)),
  };
}

/** One decision for every call. */
export function fixedPolicy(fixed: PolicyDecision): ToolPolicy {
  return { fixed, exposed: () => fixed, decide: () => fixed, explain: () => [] };
}

function explained({ rule, layer, temporary }: CompiledRule, { met }: RuleAnswer): RuleExplanation {
  return { rule, layer, temporary, met };
}

const NOT_EVALUATED: PolicyDecision = {
  decision: "deny",
  rule: "policy-error",
  reason: "A rule could not be evaluated for this call.",
};

/** The answer of a rule to the call that it is mildest to: what allows is met, what denies is not, unless the time alone decides. */
function atBest(rule: CompiledRule, time: PolicyTime, asking: boolean): RuleAnswer {
  if (!rule.conditional) return CERTAIN;
  const held = rule.heldAt(time);
  const strict = rule.rule.decision !== "allow";
  const met = strict && isByTimeAlone(rule) ? held !== "no" : held === "yes" && (!strict || (asking && !denies(rule)));
  return met ? CERTAIN : UNMET;
}

function denies({ rule }: CompiledRule): boolean {
  return rule.decision === "deny";
}

function isByTimeAlone({ because }: CompiledRule): boolean {
  return because.length === 1 && because[0] === "time";
}

function isFlow({ rule }: CompiledRule): boolean {
  return rule.after !== undefined;
}

/** The one place where decisions are put together. */
function combine(rules: readonly CompiledRule[], byDefault: PolicyDecision, answerOf: Answers): PolicyDecision {
  let asks: Match | undefined;
  let mayAsk: Match | undefined;
  let allows: Match | undefined;
  let asking: string[] | undefined;
  const temporary: { asks?: Match; allows?: Match } = {};
  for (const rule of rules) {
    const answer = answerOf(rule);
    if (answer.met === "no") continue;
    const match = { rule, answer };
    const { decision } = rule.rule;
    if (decision === "deny") return decided(match);
    const sure = answer.met === "yes";
    if (decision === "require_approval") (asking ??= []).push(rule.rule.id);
    if (rule.temporary) {
      if (decision === "require_approval") temporary.asks ??= match;
      else if (sure) temporary.allows ??= match;
    } else if (decision === "require_approval") {
      // What asks because of what was done before is the question to answer: a yes to any other rule is none to it.
      if (sure && (asks === undefined || (isFlow(rule) && !isFlow(asks.rule)))) asks = match;
      else mayAsk ??= match;
    } else if (sure) allows ??= match;
  }
  if (asks) return decided(asks, asking);
  const without = allows ? decided(allows) : byDefault;
  if (without.decision === "deny") return without;
  const stricter = mayAsk ?? temporary.asks;
  if (stricter && without.decision !== "require_approval") return decided(stricter, asking);
  if (stricter && asking) return { ...without, asking: [without.rule, ...asking] };
  return temporary.allows ? decided(temporary.allows) : without;
}

interface Match {
  readonly rule: CompiledRule;
  readonly answer: RuleAnswer;
}

/** The rules that a yes has to answer. */
export function askingRules({ rule, asking }: PolicyDecision): readonly string[] {
  return asking ?? [rule];
}

function decided({ rule: { rule, because }, answer }: Match, asking?: readonly string[]): PolicyDecision {
  return {
    decision: rule.decision,
    rule: rule.id,
    ...(rule.reason === undefined ? {} : { reason: rule.reason }),
    ...(because.length === 0 ? {} : { because }),
    ...(answer.met === "unclear" ? { unclear: true } : {}),
    ...(answer.after.length === 0 ? {} : { after: answer.after }),
    ...(asking === undefined || asking.length < 2 ? {} : { asking }),
  };
}
