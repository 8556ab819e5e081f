import type { Decision, Effect } from "../kernel/index.ts";
import type { Conditions } from "./conditions.ts";

/** One rule of the operator's. A field that is absent matches everything; all that are present must match. */
export interface PolicyRule {
  /** Where the rule stands, for people: `config.yml policy.rules[2]`, `tool rule weather__forecast`. */
  readonly id: string;
  /** `<plugin>__<tool>`; one trailing `*` matches any rest. */
  readonly tool?: string | undefined;
  readonly plugin?: string | undefined;
  readonly agent?: string | undefined;
  readonly effect?: readonly Effect[] | undefined;
  /** Conditions on the canonical input, after its schema. */
  readonly when?: Conditions | undefined;
  readonly decision: Decision;
  readonly reason?: string | undefined;
}

/**
 * Rules of one origin. All layers are one set: of the rules that match, in whichever layer, the strictest wins, so that neither the order
 * of layers nor that of rules means anything. An agent's profile is a layer with `agent`: its rules are that agent's alone.
 */
export interface PolicyLayer {
  /** For people: `config.yml`, `agent builder`. */
  readonly name: string;
  readonly agent?: string | undefined;
  readonly rules: readonly PolicyRule[];
}

/** What holds for a tool that no rule matches, by its computed effect. An absent effect is denied. */
export type PolicyDefaults = { readonly [E in Effect]?: Decision | undefined };

export interface PolicyQuery {
  readonly agent: string;
  readonly plugin: string;
  readonly tool: string;
  readonly effect: Effect;
}

export interface PolicyDecision {
  readonly decision: Decision;
  /** Id of the rule that decided, `default:<effect>`, or `default-deny`. */
  readonly rule: string;
  readonly reason?: string | undefined;
}

export interface Policy {
  /** sha256 over every rule and default. */
  readonly snapshot: string;
  decide(query: PolicyQuery): PolicyDecision;
}
