import { decidedEvent } from "../approval/index.ts";
import { grantedScopes, isLive, type Move } from "../catalog/index.ts";
import { type Grant, parseScopeArgument, type Scope, scopeKey } from "../capability/index.ts";
import type { ApproveRequest, Operator, PluginInfo } from "../host-api.ts";
import { newId, SallyportError } from "../kernel/index.ts";
import {
  decideApproval,
  insertGrant,
  saveAllowed,
  saveCeiling,
  saveToolRule,
  type Statement,
  type StoredPlugin,
  withdrawGrantsOf,
} from "../store/index.ts";
import { eventOf, pendingApproval, pendingOf, type PluginsDeps } from "./plugins-deps.ts";
import { toolName } from "./route.ts";
import { infoOf } from "./views.ts";

export async function approve(
  deps: PluginsDeps,
  operator: Operator,
  id: string,
  request: ApproveRequest,
): Promise<PluginInfo> {
  const { catalog, clock } = deps;
  const actor = `operator:${operator.name}`;
  const record = await approvable(deps, pendingOf(deps, id) ?? catalog.get(id), actor);
  const scopes = (request.scopes ?? []).map(parseScopeArgument);
  const { scopes: granted } = grantedScopes(id, record.manifest.permissions, { only: request.only, scopes });
  const tools = (request.allowTools ?? []).map((name) => declaredTool(record, name));
  const now = clock.now();
  const grant: Grant = {
    id: newId("grt"),
    pluginId: record.ref.id,
    version: record.ref.version,
    manifestDigest: record.manifestDigest,
    treeDigest: record.ref.digest,
    scopes: granted,
    grantedBy: operator.name,
    grantedAt: now,
    ...(request.expiresAt === undefined ? {} : { expiresAt: request.expiresAt }),
  };
  const pending = await pendingApproval(deps, record);
  const more = request.grantOnly === true ? [] : oneYes(deps, record, granted, tools, operator.name);
  const move: Move = {
    actor,
    lastError: null,
    statements: [
      withdrawGrantsOf(record.ref, operator.name, now),
      insertGrant(grant),
      ...more,
      ...(pending ? [decideApproval(pending.id, { state: "approved", by: operator.name, at: now })] : []),
    ],
    events: [
      eventOf(clock, "grant.written", actor, {
        plugin: record.ref,
        scope: granted.map(scopeKey).join(" "),
        data: { grant: grant.id, tools, ...(request.grantOnly === true ? { grant_only: true } : {}) },
      }),
      ...(pending ? [decidedEvent(clock, pending, { state: "approved", operator: operator.name })] : []),
    ],
  };
  const approved = await catalog.move(record, "approved", move);
  await deps.refresh();
  return infoOf(deps.views, approved);
}

/** Allow-list entry, host ceiling and tool rules: with the grant, all that it takes to use the plugin. */
function oneYes(
  deps: PluginsDeps,
  record: StoredPlugin,
  granted: readonly Scope[],
  tools: readonly string[],
  by: string,
): readonly Statement[] {
  const at = deps.clock.now();
  return [
    saveAllowed({
      pluginId: record.ref.id,
      versionRange: null,
      treeDigest: null,
      publisher: null,
      addedBy: by,
      addedAt: at,
    }),
    saveCeiling({ pluginId: record.ref.id, scopes: granted, setBy: by, setAt: at }),
    ...tools.map((tool) => saveToolRule({ tool, agent: null, decision: "allow", setBy: by, setAt: at })),
  ];
}

function declaredTool(record: StoredPlugin, name: string): string {
  const tool = record.manifest.tools.find((own) => own.name === name || toolName(record.ref.id, own.name) === name);
  if (tool) return toolName(record.ref.id, tool.name);
  throw new SallyportError("usage", `${record.ref.id} has no tool "${name}".`, {
    fix: `It has: ${record.manifest.tools.map((own) => own.name).join(", ")}.`,
  });
}

/** Brings a plugin to `pending_approval` from wherever an operator may answer it again; a running one is stopped first. */
async function approvable(deps: PluginsDeps, record: StoredPlugin, actor: string): Promise<StoredPlugin> {
  const { catalog, runtime } = deps;
  const move: Move = { actor, reason: "asked_again" };
  let current = record;
  if (current.state !== "pending_approval" && current.state !== "denied" && current.state !== "validated") {
    current = isLive(current.state)
      ? await runtime.stop(current, "validated", move)
      : await catalog.move(current, "validated", move);
  }
  return current.state === "pending_approval" ? current : catalog.move(current, "pending_approval", move);
}

export async function denyPlugin(
  deps: PluginsDeps,
  operator: Operator,
  record: StoredPlugin,
  reason?: string,
): Promise<StoredPlugin> {
  const actor = `operator:${operator.name}`;
  const current = await approvable(deps, record, actor);
  const pending = await pendingApproval(deps, current);
  const now = deps.clock.now();
  const denied = await deps.catalog.move(current, "denied", {
    actor,
    reason: reason ?? "denied",
    statements: [
      withdrawGrantsOf(record.ref, operator.name, now),
      ...(pending ? [decideApproval(pending.id, { state: "denied", by: operator.name, at: now, reason })] : []),
    ],
    events: pending ? [decidedEvent(deps.clock, pending, { state: "denied", operator: operator.name, reason })] : [],
  });
  await deps.refresh();
  return denied;
}
