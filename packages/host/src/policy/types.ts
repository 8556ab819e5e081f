import type { Decision, Effect, Risk } from "../kernel/index.ts";
import type { Conditions } from "./conditions.ts";
import type { FlowCondition, FlowMemory } from "./flow.ts";
import type { Met, PolicyTime, TimeWindow } from "./time.ts";

/** A name, or several; one trailing `*` matches any rest. */
export type Names = string | readonly string[];

/** One rule of the operator's. A field that is absent matches everything; all that are present must match. */
export interface PolicyRule {
  /** Where the rule stands, for people: `config.yml policy.rules[2]`, `tool rule weather__forecast`. */
  readonly id: string;
  /** `<plugin>__<tool>`. */
  readonly tool?: Names | undefined;
  readonly plugin?: Names | undefined;
  readonly agent?: Names | undefined;
  readonly effect?: readonly Effect[] | undefined;
  /** The highest risk of what is granted to the plugin. */
  readonly risk?: readonly Risk[] | undefined;
  /** A capability or a scope's key that is granted to the plugin: `network`, `network:api.example.com:443`, `filesystem:/srv*`. */
  readonly permission?: Names | undefined;
  readonly time?: TimeWindow | undefined;
  /** Conditions on the canonical input, after its schema. */
  readonly when?: Conditions | undefined;
  /** What this agent's calls did before. */
  readonly after?: FlowCondition | undefined;
  readonly decision: Decision;
  readonly reason?: string | undefined;
  /** Line in its file. */
  readonly line?: number | undefined;
}

/**
 * Rules of one origin. All layers are one set: of the rules that match, in whichever layer, the strictest wins, so that neither the order
 * of layers nor that of rules means anything. An agent's profile is a layer with `agent`: its rules are that agent's alone.
 */
export interface PolicyLayer {
  /** For people: `config.yml`, `agent builder`. */
  readonly name: string;
  readonly agent?: string | undefined;
  /** Its rules lift no deny, not even a default's, and no approval that another rule asks for. */
  readonly temporary?: boolean | undefined;
  readonly rules: readonly PolicyRule[];
}

/** What holds for a tool that no rule matches, by its computed effect. An absent effect is denied. */
export type PolicyDefaults = { readonly [E in Effect]?: Decision | undefined };

/** A tool as one agent may call it. */
export interface PolicyQuery {
  readonly agent: string;
  readonly plugin: string;
  readonly tool: string;
  readonly effect: Effect;
  readonly risk: Risk;
  /** Capabilities and scope keys of the grant. */
  readonly permissions: readonly string[];
}

/** What only the call itself tells. */
export interface CallFacts {
  /** Canonical, after the tool's schema. */
  readonly input: unknown;
  readonly time: PolicyTime;
  readonly flow: FlowMemory;
}

export interface PolicyDecision {
  readonly decision: Decision;
  /** Id of the rule that decided, `default:<effect>`, or `default-deny`. */
  readonly rule: string;
  readonly reason?: string | undefined;
  /** Of a rule with conditions: what of the call decided. */
  readonly because?: readonly ("arguments" | "time" | "earlier calls")[] | undefined;
  /** Something that the rule asks for could not be told with certainty, so it counts as the stricter. */
  readonly unclear?: true | undefined;
  /** Of `require_approval`, when several rules ask: the ids of all, or of a default and rules. A yes has to answer each. */
  readonly asking?: readonly string[] | undefined;
  /** Ids of the earlier calls that a data-flow rule was decided by, newest first. */
  readonly after?: readonly string[] | undefined;
}

/** Policy for one (agent, tool): everything that does not depend on the call is decided already. */
export interface ToolPolicy {
  /** The decision of every call, when none depends on what is in it; then `decide` answers the same. */
  readonly fixed: PolicyDecision | undefined;
  /** The mildest decision that a call may get at this time, whatever its arguments: `deny` hides the tool. */
  exposed(time: PolicyTime): PolicyDecision;
  decide(facts: CallFacts): PolicyDecision;
  /** Every rule that is about this tool and agent, and whether this call meets it. */
  explain(facts: CallFacts): readonly RuleExplanation[];
}

export interface RuleExplanation {
  readonly rule: PolicyRule;
  readonly layer: string;
  readonly temporary: boolean;
  readonly met: Met;
}

export interface Policy {
  /** sha256 over every rule and default. */
  readonly snapshot: string;
  readonly layers: readonly PolicyLayer[];
  readonly defaults: PolicyDefaults;
  /** The longest time that a rule looks back on earlier calls, milliseconds; 0: none does. */
  readonly lookBackMs: number;
  forTool(query: PolicyQuery): ToolPolicy;
}
