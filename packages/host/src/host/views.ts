import type { DatabaseConnection } from "../broker/index.ts";
import { type Catalog, unenforceableAt, unenforceableScopes } from "../catalog/index.ts";
import {
  answersRequest,
  type Grant,
  type PermissionRequest,
  riskOf,
  type Scope,
  scopeKey,
  sentenceOf,
} from "../capability/index.ts";
import type { PermissionView, PluginInfo, PluginSummary, SignerView, ToolSummary, TrustView } from "../host-api.ts";
import {
  displayLine,
  displayText,
  HOST_RIGHTS,
  isContained,
  type IsolationLevel,
  type PluginRef,
} from "../kernel/index.ts";
import { maskConfig } from "../manifest/index.ts";
import type { StoredPlugin } from "../store/index.ts";
import type { PolicyDecision, PolicyTime } from "../policy/index.ts";
import { NOT_ENABLED } from "./agent-profiles.ts";
import { connectionNote } from "./databases.ts";
import { policyQuery } from "./policy-state.ts";
import { programEnforcement, wishSentence } from "./program.ts";
import { effectOf } from "./effects.ts";
import type { LoadedTools } from "./loaded-tools.ts";
import { type CallRoute, toolName } from "./route.ts";
import type { Decisions } from "./state.ts";

/** What the views need to know of the rest of the host. */
export interface ViewSources {
  readonly catalog: Catalog;
  /** Calls since the host started; the record has those before. */
  countsOf(plugin: PluginRef): { readonly executions: number; readonly errors: number };
  grantOf(record: StoredPlugin): Grant | undefined;
  /** The level of its process, or the one it would get here; `null` when none here is enough. */
  levelOf(record: StoredPlugin): IsolationLevel | null;
  effectiveConfig(record: StoredPlugin): Promise<Readonly<Record<string, unknown>>>;
  toolsOf(record: StoredPlugin): readonly ToolSummary[];
  signerOf(record: StoredPlugin): SignerView;
  trustOf(record: StoredPlugin): Promise<TrustView>;
  /** To databases, as config.yml names them now. */
  connections(): ReadonlyMap<string, DatabaseConnection>;
}

const HEALTH: Readonly<Record<string, PluginSummary["health"]["status"]>> = {
  running: "healthy",
  starting: "healthy",
  idle: "idle",
  unhealthy: "unhealthy",
  failed: "failed",
};

export function summaryOf(sources: ViewSources, record: StoredPlugin): PluginSummary {
  const counts = sources.countsOf(record.ref);
  return {
    id: record.ref.id,
    name: displayLine(record.manifest.name),
    version: record.ref.version,
    description: displayText(record.manifest.description),
    state: record.state,
    enabled: !["disabled", "denied", "revoked"].includes(record.state),
    digest: record.ref.digest,
    source: record.source,
    ...isolationOf(sources.levelOf(record)),
    health: { status: HEALTH[record.state] ?? "stopped" },
    executionCount: record.executionCount + counts.executions,
    errorCount: record.errorCount + counts.errors,
    lastError: record.lastError === null ? null : displayText(record.lastError),
    categories: record.manifest.categories,
    signer: sources.signerOf(record),
  };
}

function isolationOf(level: IsolationLevel | null) {
  return { isolation: level, contained: isContained(level) };
}

export async function infoOf(sources: ViewSources, record: StoredPlugin): Promise<PluginInfo> {
  const grant = sources.grantOf(record);
  return {
    ...summaryOf(sources, record),
    manifest: record.manifest,
    requested: record.manifest.permissions,
    granted: grant?.scopes ?? [],
    permissions: permissionsOf(sources, record),
    tools: sources.toolsOf(record),
    config: maskConfig(record.manifest.configSchema, await sources.effectiveConfig(record).catch(() => ({}))),
    installedAt: record.installedAt,
    trust: await sources.trustOf(record),
    grant: grant
      ? {
          id: grant.id,
          grantedBy: grant.grantedBy,
          grantedAt: grant.grantedAt,
          ...(grant.expiresAt === undefined ? {} : { expiresAt: grant.expiresAt }),
          ...(grant.inProcess === true ? { inProcess: true } : {}),
        }
      : null,
  };
}

/** One line for each request, and one for each scope that an operator filled in. */
export function permissionsOf(sources: ViewSources, record: StoredPlugin): readonly PermissionView[] {
  const granted = sources.grantOf(record)?.scopes ?? [];
  const level = sources.levelOf(record);
  return record.manifest.permissions.map((request) =>
    permissionOf(record, request, granted, level, sources.connections()),
  );
}

function permissionOf(
  record: StoredPlugin,
  request: PermissionRequest,
  granted: readonly Scope[],
  level: IsolationLevel | null,
  connections: ReturnType<ViewSources["connections"]>,
): PermissionView {
  const sentence = (scope: Scope): string => sentenceOf(scope) + connectionNote(connections, scope);
  const scopes = granted.filter((scope) => belongsTo(scope, request));
  const [first] = scopes;
  return {
    key: request.key,
    capability: request.capability,
    risk: riskOf(first ?? request),
    sentence:
      scopes.length > 0 && request.capability !== "tools"
        ? scopes.map(sentence).join("; ")
        : wishSentence(record.manifest, request) + (request.scope ? connectionNote(connections, request.scope) : ""),
    ...(request.reason === undefined ? {} : { reason: displayLine(request.reason, 300) }),
    required: request.required,
    needsScope: request.scope === null && scopes.length === 0,
    granted: scopes.length > 0,
    enforced: enforcementOf(record, request, level),
  };
}

function belongsTo(scope: Scope, request: PermissionRequest): boolean {
  if (scope.capability !== request.capability) return false;
  if (request.scope === null || scopeKey(scope) === request.key) return true;
  return answersRequest(scope, request);
}

const ENFORCED_BY: Readonly<Record<string, string>> = {
  network:
    "no network in the process; each request passes the broker, which checks host, port, method, path and address",
  filesystem: "no files in the process; each access passes the broker, which walks the path without following links",
  exec: "no process can be started in the plugin's own; the host starts the approved file, with arguments that fit, in a jail of its own",
  system: "nothing of the machine in the process; the host tells the granted fact",
  secrets: "the value stays in the vault; the host writes it into requests to the bound origin only",
  tools: "calls pass invoke()",
  database:
    "no file or connection in the process; a SQLite file is opened by a process of its own behind walls, a server by a role that is looked at before each use",
  agent:
    "a call of another tool passes invoke() for the agent that began it; a note is escaped, marked and rate-limited",
  events: "the broker passes on what was granted, bounded, to plugins that were granted to hear it",
  hooks: "the host asks it of the granted tools only, and takes from it a no, or the one mark that was granted",
};

function enforcementOf(
  record: StoredPlugin,
  request: PermissionRequest,
  level: IsolationLevel | null,
): PermissionView["enforced"] {
  const [missing] = request.scope ? unenforceableScopes(record.manifest, [request.scope]) : [];
  if (missing !== undefined)
    return { not: `this version of Sallyport does not serve ${missing}, so the plugin does not start with it` };
  if (level === null)
    return { not: "no isolation level that is available here is enough, so the plugin does not start" };
  const uncontained = unenforceableAt(level, request.scope ? [request.scope] : []);
  if (uncontained !== undefined) return { not: `it was granted ${uncontained}, so the plugin does not start with it` };
  if (!isContained(level)) return { not: `it ${HOST_RIGHTS}` };
  const by = programEnforcement(record.manifest, request.capability, level) ?? ENFORCED_BY[request.capability];
  if (typeof by === "object") return by;
  if (by === undefined) return { not: `this version of Sallyport does not serve "${request.capability}"` };
  return { by: level === "runtime" ? `${by}; only the JavaScript runtime keeps the process from going around it` : by };
}

/** The tools of a manifest, with the effect and the decision that they have, or would have once loaded, for the agent `local`. */
export function declaredTools(
  record: StoredPlugin,
  decisions: Decisions,
  level: IsolationLevel | null,
  time: PolicyTime,
  find: LoadedTools["find"],
): readonly ToolSummary[] {
  const asked = record.manifest.permissions.flatMap((request) => (request.scope ? [request.scope] : []));
  const grant = decisions.grantOf(record);
  const scopes = grant?.scopes ?? asked;
  return record.manifest.tools.map((tool) => {
    const name = toolName(record.ref.id, tool.name);
    const effect = effectOf({ tool, scopes }, find);
    const hidden = decisions.agents.hides("local", name, effect);
    // A yes enables them unless it says otherwise.
    const open = hidden?.rule === NOT_ENABLED && grant === undefined;
    const { decision } =
      (open ? undefined : hidden) ??
      decisions.policy.forTool(policyQuery("local", record.ref.id, name, effect, scopes)).exposed(time);
    return toolOf({ name, plugin: record.ref, tool, effect, decision: { decision } }, level);
  });
}

type ToolFacts = Pick<CallRoute, "name" | "plugin" | "tool" | "effect"> & {
  readonly decision: Pick<PolicyDecision, "decision">;
};

export function toolOf(route: ToolFacts, level: IsolationLevel | null): ToolSummary {
  return {
    name: route.name,
    plugin: route.plugin.id,
    tool: route.tool.name,
    description: displayText(route.tool.description),
    effect: route.effect,
    decision: route.decision.decision,
    inputSchema: route.tool.inputSchema,
    ...(route.tool.outputSchema === undefined ? {} : { outputSchema: route.tool.outputSchema }),
    ...isolationOf(level),
  };
}
