import type { Grant, Scope } from "../capability/index.ts";
import type { AllowListEntry, HostConfig } from "../config/index.ts";
import type { Catalog } from "../catalog/index.ts";
import { toSallyportError } from "../kernel/index.ts";
import { compilePolicy, denyEverything, type Policy, type PolicyLayer } from "../policy/index.ts";
import {
  type Database,
  listAgents,
  listAllowed,
  listCeilings,
  listEnabledTools,
  listGrants,
  listOverrides,
  listToolRules,
  type StoredOverride,
  type StoredPlugin,
  type ToolRule,
} from "../store/index.ts";
import { type AgentProfiles, compileProfiles } from "./agent-profiles.ts";
import { overrideLayer } from "./policy-overrides.ts";

/** What operators decided, as it is in force now: read from the store once, and again after each change. */
export interface Decisions {
  readonly allowList: readonly AllowListEntry[];
  readonly policy: Policy;
  readonly agents: AgentProfiles;
  ceilingOf(pluginId: string): readonly Scope[] | undefined;
  /** Ids of plugins with a grant, of some version, to hear of calls, states or events. */
  readonly hearing: ReadonlySet<string>;
  /** The grant for exactly these bytes, expired or not. */
  grantOf(record: StoredPlugin): Grant | undefined;
}

export async function readDecisions(db: Database, config: HostConfig): Promise<Decisions> {
  const [allowed, ceilings, grants, toolRules, agents, enabledTools, overrides] = await Promise.all([
    listAllowed(db),
    listCeilings(db),
    listGrants(db),
    listToolRules(db),
    listAgents(db),
    listEnabledTools(db),
    listOverrides(db),
  ]);
  const ceilingOf = new Map(ceilings.map((ceiling) => [ceiling.pluginId, ceiling.scopes]));
  const grantsOf = new Map<string, Grant[]>();
  for (const grant of grants) {
    const known = grantsOf.get(grant.pluginId);
    if (known) known.push(grant);
    else grantsOf.set(grant.pluginId, [grant]);
  }
  const profiles = compileProfiles(config.agents, agents, enabledTools);
  return {
    allowList: [
      ...config.plugins.allowList,
      ...allowed.map((entry) => ({
        id: entry.pluginId,
        version: entry.versionRange ?? undefined,
        digest: entry.treeDigest ?? undefined,
        publisher: entry.publisher ?? undefined,
      })),
    ],
    policy: policyOf(config, profiles, toolRules, overrides),
    agents: profiles,
    ceilingOf: (pluginId) => ceilingOf.get(pluginId),
    hearing: new Set(grants.filter(({ scopes }) => scopes.some(hears)).map(({ pluginId }) => pluginId)),
    // Newest first: the first one of the same bytes is the one in force.
    grantOf: ({ ref }) =>
      grantsOf.get(ref.id)?.find((grant) => grant.version === ref.version && grant.treeDigest === ref.digest),
  };
}

function toolRuleLayer(rules: readonly ToolRule[]): PolicyLayer {
  return {
    name: "tool rules",
    rules: rules.map((rule) => ({
      id: `tool rule ${rule.tool}${rule.agent === null ? "" : ` for ${rule.agent}`}`,
      tool: rule.tool,
      agent: rule.agent ?? undefined,
      decision: rule.decision,
    })),
  };
}

/** What cannot be compiled must not be left out: a rule that denies may be in it. */
function policyOf(
  config: HostConfig,
  profiles: AgentProfiles,
  toolRules: readonly ToolRule[],
  overrides: readonly StoredOverride[],
): Policy {
  try {
    const layers = [
      config.policy.layer,
      ...config.agents.layers,
      // No rules: what profiles hide is decided before; but it decides, so the snapshot covers it.
      { name: `profiles of agents ${profiles.digest}`, rules: [] },
      toolRuleLayer(toolRules),
      overrideLayer(overrides),
    ];
    return compilePolicy(layers, config.policy.defaults);
  } catch (error) {
    return denyEverything(`The policy cannot be evaluated: ${toSallyportError(error).message}`);
  }
}

function hears(scope: Scope): boolean {
  return scope.capability === "hooks" || (scope.capability === "events" && scope.direction === "consume");
}

/** The active version of each plugin, when it is approved or live: what a dependant may count on. */
export function installedVersions(catalog: Catalog): ReadonlyMap<string, string> {
  const usable = ["approved", "starting", "running", "idle", "stopped", "unhealthy"];
  return new Map(
    catalog
      .all()
      .flatMap((record) =>
        record.active && usable.includes(record.state) ? [[record.ref.id, record.ref.version] as const] : [],
      ),
  );
}
