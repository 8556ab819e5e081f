import { z } from "zod";
import { type Effect, EFFECTS } from "../kernel/index.ts";
import { type PolicyLayer, ruleShape, toRule } from "../policy/index.ts";

/** `<plugin>__<tool>`, or a prefix and `*`. */
const toolPattern = z
  .string()
  .min(1)
  .max(64)
  .regex(/^(?:\*|[a-z][a-z0-9_-]*\*?)$/, "is not the name of a tool, nor a prefix and *");
const patterns = z.array(toolPattern).max(1000);

/** What an agent's name may be. */
export const AGENT_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** What an agent may do, as `config.yml`, the store and REST write it. Nothing in it widens what policy decides. */
export const agentProfileShape = z.strictObject({
  tools: patterns.optional(),
  deny: patterns.optional(),
  strongest_effect: z.enum(EFFECTS).optional(),
  enabled_tools: patterns.optional(),
  calls_per_minute: z.number().int().min(1).max(6000).optional(),
  calls_in_flight: z.number().int().min(1).max(1000).optional(),
});
export type AgentProfileFile = z.infer<typeof agentProfileShape>;

/** In config.yml a profile also has rules, which are that agent's alone. */
const configProfileShape = agentProfileShape.extend({
  rules: z
    .array(ruleShape.refine(({ agent }) => agent === undefined, "a rule of a profile is that agent's; leave agent out"))
    .max(1000)
    .optional(),
});

export const agentsShape = z
  .strictObject({
    known_only: z.boolean().default(false),
    enabled_tools: patterns.default([]),
    default: agentProfileShape.default({}),
    profiles: z.record(z.string().regex(AGENT_NAME, "is not the name of an agent"), configProfileShape).default({}),
  })
  .prefault({});

/** A profile; what is absent does not limit. */
export interface AgentProfile {
  /** Patterns of the tools that the agent may see at all. */
  readonly tools?: readonly string[] | undefined;
  /** Patterns of tools that it never sees, whatever else says so. */
  readonly deny?: readonly string[] | undefined;
  readonly strongestEffect?: Effect | undefined;
  /** Patterns of tools above `read` that this agent may use beside those that every agent may. */
  readonly enabledTools?: readonly string[] | undefined;
  readonly callsPerMinute?: number | undefined;
  readonly callsInFlight?: number | undefined;
}

export interface AgentsConfig {
  /** Whether names that nobody gave a profile are refused. */
  readonly knownOnly: boolean;
  /** Patterns of tools above `read` that every agent may use. */
  readonly enabledTools: readonly string[];
  /** Of agents that have no profile of their own. */
  readonly fallback: AgentProfile;
  readonly profiles: ReadonlyMap<string, AgentProfile>;
  /** The rules of profiles, a layer for each agent that has some. */
  readonly layers: readonly PolicyLayer[];
}

export function toAgentProfile(file: AgentProfileFile): AgentProfile {
  return {
    tools: file.tools,
    deny: file.deny,
    strongestEffect: file.strongest_effect,
    enabledTools: file.enabled_tools,
    callsPerMinute: file.calls_per_minute,
    callsInFlight: file.calls_in_flight,
  };
}

/** @param lineOf the line on which what is at a path begins. */
export function toAgentsConfig(
  file: z.infer<typeof agentsShape>,
  lineOf: (path: readonly PropertyKey[]) => number | undefined,
): AgentsConfig {
  return {
    knownOnly: file.known_only,
    enabledTools: file.enabled_tools,
    fallback: toAgentProfile(file.default),
    profiles: new Map(Object.entries(file.profiles).map(([name, profile]) => [name, toAgentProfile(profile)])),
    layers: Object.entries(file.profiles).flatMap(([agent, { rules = [] }]): readonly PolicyLayer[] => {
      if (rules.length === 0) return [];
      const name = `config.yml agent ${agent}`;
      const read = rules.map((rule, index) =>
        toRule(rule, `${name} ${rule.id ?? `rules[${index}]`}`, {
          line: lineOf(["agents", "profiles", agent, "rules", index]),
        }),
      );
      return [{ name, agent, rules: read }];
    }),
  };
}
