import { decidedEvent } from "../approval/index.ts";
import type { Grant, Scope } from "../capability/index.ts";
import { scopeKey } from "../capability/index.ts";
import type { Operator, UpgradeDifference } from "../host-api.ts";
import { newId } from "../kernel/index.ts";
import {
  decideApproval,
  deleteToolRule,
  enableTool,
  insertGrant,
  listToolRules,
  saveToolRule,
  type Statement,
  type StoredPlugin,
} from "../store/index.ts";
import { admission } from "./approve.ts";
import { derivedScopes } from "./difference.ts";
import { boundCommands, grantable } from "./grantable.ts";
import { definitionsOf } from "./lock-entry.ts";
import { actorOf, eventOf, pendingApproval, type PluginsDeps } from "./plugins-deps.ts";
import { toolName } from "./route.ts";

/**
 * The grant of a version that carries on what another one was granted, and what is added when an operator said yes to that. It
 * ends when the old one would have.
 */
export async function grantUpgrade(
  deps: PluginsDeps,
  operator: Operator,
  old: StoredPlugin,
  next: StoredPlugin,
  difference: UpgradeDifference,
): Promise<StoredPlugin> {
  const actor = actorOf(operator);
  const before = deps.views.grantOf(old);
  const keys = new Set(difference.added.map(({ key }) => key));
  const added = next.manifest.permissions.flatMap(({ key, scope }): readonly Scope[] =>
    scope && keys.has(key) ? [scope] : [],
  );
  const scopes = await grantable([...derivedScopes(next.manifest.permissions, before), ...added], deps.places);
  const now = deps.clock.now();
  const grant: Grant = {
    id: newId("grt"),
    pluginId: next.ref.id,
    version: next.ref.version,
    manifestDigest: next.manifestDigest,
    treeDigest: next.ref.digest,
    scopes,
    grantedBy: operator.name,
    grantedAt: now,
    ...(before?.expiresAt === undefined ? {} : { expiresAt: before.expiresAt }),
  };
  const pending = await pendingApproval(deps, next);
  const approved = await deps.catalog.move(next, "approved", {
    actor,
    lastError: null,
    statements: [
      insertGrant(deps.trust.seals.grant(grant)),
      ...admission(deps, next, scopes, operator.name, now),
      ...newTools(old, next).map((tool) => enableTool(tool, operator.name, now)),
      ...(pending ? [decideApproval(pending.id, { state: "approved", by: operator.name, at: now })] : []),
    ],
    events: [
      eventOf(deps.clock, "grant.written", actor, {
        plugin: next.ref,
        scope: scopes.map(scopeKey).join(" "),
        data: {
          grant: grant.id,
          ...(before ? { derived_from: before.id } : {}),
          added: difference.added.map(({ key }) => key),
          ...boundCommands(scopes),
        },
      }),
      ...(pending
        ? [decidedEvent(pending, { state: "approved", operator: operator.name, token: operator.token, time: now })]
        : []),
    ],
  });
  await deps.refresh();
  return approved;
}

/** A tool that the old version had stays enabled or not; to a new one the operator said yes just now. */
function newTools(old: StoredPlugin, next: StoredPlugin): readonly string[] {
  const had = new Set(old.manifest.tools.map(({ name }) => name));
  return next.manifest.tools.flatMap(({ name }) => (had.has(name) ? [] : [toolName(next.ref.id, name)]));
}

/**
 * What agents may call without being asked holds for a tool's definition: of another one, it has to be said again. Refusals stay.
 */
export async function toolRulesFor(
  deps: PluginsDeps,
  operator: Operator,
  old: StoredPlugin,
  next: StoredPlugin,
  allowTools: readonly string[],
): Promise<readonly Statement[]> {
  const [was, is] = [definitionsOf(old.manifest), definitionsOf(next.manifest)];
  const changed = new Set(
    Object.keys({ ...was, ...is })
      .filter((name) => was[name] !== is[name])
      .map((name) => toolName(next.ref.id, name)),
  );
  const stale = (await listToolRules(deps.db)).filter(
    ({ tool, decision }) => decision === "allow" && changed.has(tool),
  );
  const rule = { agent: null, decision: "allow", setBy: operator.name, setAt: deps.clock.now() } as const;
  return [
    ...stale.map(({ tool, agent }) => deleteToolRule(tool, agent)),
    ...allowTools.map((tool) => saveToolRule({ tool, ...rule })),
  ];
}
