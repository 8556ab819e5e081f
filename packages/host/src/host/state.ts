import type { Grant, Scope } from "../capability/index.ts";
import type { AllowListEntry, HostConfig } from "../config/index.ts";
import type { Catalog } from "../catalog/index.ts";
import { compilePolicy, type Policy, type PolicyRule } from "../policy/index.ts";
import type { PluginRef } from "../kernel/index.ts";
import { type LoadedTool, toolName } from "./route.ts";
import {
  type Database,
  listAllowed,
  listCeilings,
  listGrants,
  listToolRules,
  type StoredPlugin,
} from "../store/index.ts";

/** What operators decided, as it is in force now: read from the store once, and again after each change. */
export interface Decisions {
  readonly allowList: readonly AllowListEntry[];
  readonly policy: Policy;
  ceilingOf(pluginId: string): readonly Scope[] | undefined;
  /** The grant for exactly these bytes, expired or not. */
  grantOf(record: StoredPlugin): Grant | undefined;
}

export async function readDecisions(db: Database, config: HostConfig): Promise<Decisions> {
  const [allowed, ceilings, grants, toolRules] = await Promise.all([
    listAllowed(db),
    listCeilings(db),
    listGrants(db),
    listToolRules(db),
  ]);
  const ceilingOf = new Map(ceilings.map((ceiling) => [ceiling.pluginId, ceiling.scopes]));
  const byBytes = new Map<string, Grant>();
  // Newest first: the first one of the same bytes is the one in force.
  for (const grant of grants) {
    const key = `${grant.pluginId}\n${grant.version}\n${grant.treeDigest}`;
    if (!byBytes.has(key)) byBytes.set(key, grant);
  }
  const rules = toolRules.map((rule): PolicyRule => ({
    id: `tool rule ${rule.tool}${rule.agent === null ? "" : ` for ${rule.agent}`}`,
    tool: rule.tool,
    agent: rule.agent ?? undefined,
    decision: rule.decision,
  }));
  return {
    allowList: [
      ...config.plugins.allowList,
      ...allowed.map((entry) => ({
        id: entry.pluginId,
        version: entry.versionRange ?? undefined,
        digest: entry.treeDigest ?? undefined,
      })),
    ],
    policy: compilePolicy([...config.policy.rules, ...rules], config.policy.defaults),
    ceilingOf: (pluginId) => ceilingOf.get(pluginId),
    grantOf: (record) => byBytes.get(`${record.ref.id}\n${record.ref.version}\n${record.ref.digest}`),
  };
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

/**
 * Tools that agents may call: of active plugins that run or can be woken, with the grant that they have now.
 * @param presence of a plugin that is on its way: see `Runtime`
 */
export function loadedTools(
  catalog: Catalog,
  decisions: Decisions,
  presence: (plugin: PluginRef) => "listed" | "waiting" | null,
): ReadonlyMap<string, LoadedTool> {
  const tools = new Map<string, LoadedTool>();
  for (const record of catalog.all()) {
    const here = record.active ? presenceOf(record, presence) : null;
    if (here === null) continue;
    const grant = decisions.grantOf(record);
    if (!grant) continue;
    for (const tool of record.manifest.tools) {
      tools.set(toolName(record.ref.id, tool.name), {
        plugin: record.ref,
        tool,
        scopes: grant.scopes,
        expiresAt: grant.expiresAt,
        listed: here === "listed",
      });
    }
  }
  return tools;
}

function presenceOf(
  { ref, state }: StoredPlugin,
  presence: (plugin: PluginRef) => "listed" | "waiting" | null,
): "listed" | "waiting" | null {
  if (state === "running" || state === "idle") return "listed";
  return state === "starting" || state === "unhealthy" ? presence(ref) : null;
}
