import { type AgentProfile, agentProfileShape, type AgentsConfig, toAgentProfile } from "../config/index.ts";
import { digestOf, type Effect, EFFECTS } from "../kernel/index.ts";
import type { PolicyDecision } from "../policy/index.ts";
import type { StoredAgent } from "../store/index.ts";

/** What agents may see, as config.yml and the operators' layer over it say together. Compiled once, and again after a change. */
export interface AgentProfiles {
  /** sha256 of all that they say. */
  readonly digest: string;
  /** Whether calls under this name are taken at all. */
  admits(agent: string): boolean;
  /** The profile that is in force; an agent without one of its own has the default one. */
  of(agent: string): AgentProfile;
  /** Names with a profile of their own, in order, and where it is from. */
  readonly defined: ReadonlyMap<string, readonly ("config" | "store")[]>;
  /** Why a tool is not there for an agent; `undefined` when the profile leaves it to policy. */
  hides(agent: string, tool: string, effect: Effect): PolicyDecision | undefined;
}

/** The rule of a tool above `read` that nobody enabled. */
export const NOT_ENABLED = "agents.enabled_tools";

/** Agents whose compiled profile is kept; any number of names may be used. */
const KEPT = 1000;

/**
 * @param enabled full names of tools above `read` that operators turned on for every agent, beside those of config.yml.
 */
export function compileProfiles(
  config: AgentsConfig,
  stored: readonly StoredAgent[],
  enabled: readonly string[],
): AgentProfiles {
  const layers = new Map(stored.map(({ name, profile }) => [name, readProfile(profile)]));
  const forEveryone = matcher([...config.enabledTools, ...enabled]);
  const names = [...new Set([...config.profiles.keys(), ...layers.keys()])].toSorted();
  let compiled = new Map<string, Compiled>();

  const profileOf = (agent: string): AgentProfile => {
    const own = config.profiles.get(agent);
    const layer = layers.get(agent);
    if (own === undefined && layer === undefined) return config.fallback;
    return merged(own ?? {}, layer ?? {});
  };
  const compiledOf = (agent: string): Compiled => {
    const known = compiled.get(agent);
    if (known) return known;
    if (compiled.size >= KEPT) compiled = new Map();
    const made = compile(profileOf(agent));
    compiled.set(agent, made);
    return made;
  };

  return {
    digest: digestOf("sallyport-agents-v1", {
      knownOnly: config.knownOnly,
      enabled: [...config.enabledTools, ...enabled],
      fallback: config.fallback,
      profiles: names.map((name) => [name, profileOf(name)]),
    }),
    admits: (agent) => !config.knownOnly || config.profiles.has(agent) || layers.has(agent),
    of: (agent) => compiledOf(agent).profile,
    defined: new Map(
      names.map((name) => [
        name,
        [...(config.profiles.has(name) ? ["config" as const] : []), ...(layers.has(name) ? ["store" as const] : [])],
      ]),
    ),
    hides(agent, tool, effect) {
      const profile = compiledOf(agent);
      if (profile.deny(tool)) return hidden(`agent ${agent}: deny`, "its profile denies this tool");
      if (!profile.tools(tool)) return hidden(`agent ${agent}: tools`, "its profile does not list this tool");
      if (EFFECTS.indexOf(effect) > profile.strongest)
        return hidden(`agent ${agent}: strongest_effect`, `its profile stops below ${effect}`);
      if (effect === "read" || forEveryone(tool) || profile.enabled(tool)) return undefined;
      return hidden(
        NOT_ENABLED,
        `a tool that can do more than read is there for agents only once it is enabled: sallyport tool enable ${tool}`,
      );
    },
  };
}

/** The operators' layer over that of config.yml: a field of it stands in for the other, but what either denies is denied. */
function merged(config: AgentProfile, layer: AgentProfile): AgentProfile {
  const given = Object.fromEntries(Object.entries(layer).filter(([, value]) => value !== undefined));
  const deny = [...(config.deny ?? []), ...(layer.deny ?? [])];
  return { ...config, ...given, deny: deny.length === 0 ? undefined : deny };
}

/** One that cannot be read admits nothing. */
function readProfile(stored: unknown): AgentProfile {
  const read = agentProfileShape.safeParse(stored);
  return read.success ? toAgentProfile(read.data) : { tools: [] };
}

interface Compiled {
  readonly profile: AgentProfile;
  readonly tools: Matcher;
  readonly deny: Matcher;
  readonly enabled: Matcher;
  /** The place of the strongest effect that it allows among all effects. */
  readonly strongest: number;
}

function compile(profile: AgentProfile): Compiled {
  const { tools, deny, enabledTools, strongestEffect } = profile;
  return {
    profile,
    tools: tools === undefined ? () => true : matcher(tools),
    deny: matcher(deny ?? []),
    enabled: matcher(enabledTools ?? []),
    strongest: strongestEffect === undefined ? EFFECTS.length : EFFECTS.indexOf(strongestEffect),
  };
}

type Matcher = (tool: string) => boolean;

function matcher(patterns: readonly string[]): Matcher {
  const exact = new Set(patterns.filter((pattern) => !pattern.endsWith("*")));
  const prefixes = patterns.filter((pattern) => pattern.endsWith("*")).map((pattern) => pattern.slice(0, -1));
  return (tool) => exact.has(tool) || prefixes.some((prefix) => tool.startsWith(prefix));
}

function hidden(rule: string, reason: string): PolicyDecision {
  return { decision: "deny", rule, reason };
}
