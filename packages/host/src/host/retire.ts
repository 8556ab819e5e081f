import type { Operator } from "../host-api.ts";
import {
  closeApprovalsOf,
  deleteAllowed,
  deleteCeiling,
  deleteConfig,
  deleteKvOf,
  deleteToolRulesOf,
  insertRevocation,
  type Statement,
  type StoredPlugin,
} from "../store/index.ts";
import { isLive } from "../catalog/index.ts";
import { actorOf, type PluginsDeps, withdrawal } from "./plugins-deps.ts";
import { toolName } from "./route.ts";

interface UninstallOptions {
  readonly version?: string;
  /** With the last version, also what the plugin kept: data, keys, the operator's configuration. */
  readonly purge?: boolean;
}

export async function uninstall(
  deps: PluginsDeps,
  operator: Operator,
  id: string,
  options: UninstallOptions,
): Promise<void> {
  const { catalog } = deps;
  const records = options.version === undefined ? catalog.versions(id) : [catalog.get(id, options.version)];
  if (records.length === 0) catalog.get(id);
  try {
    for (const record of records) await deps.inTurn(id, () => remove(deps, operator, record, options.purge === true));
  } finally {
    await deps.refresh();
  }
}

async function remove(deps: PluginsDeps, operator: Operator, record: StoredPlugin, purge: boolean): Promise<void> {
  const { catalog, runtime, clock } = deps;
  const { id, digest } = record.ref;
  const actor = actorOf(operator);
  const state = catalog.current(record.ref)?.state;
  const { drainMs } = deps.config().isolation;
  if (state && isLive(state)) await runtime.stop(record, "stopped", { actor, reason: "uninstalled" }, drainMs);
  const others = catalog.versions(id).filter((other) => other.ref.digest !== digest);
  const last = others.length === 0;
  const before = withdrawal(deps, record, operator);
  await catalog.remove(record, {
    actor,
    statements: [
      ...before.statements,
      closeApprovalsOf(record.ref, operator.name, clock.now(), "uninstalled"),
      ...deleteToolRulesOf(toolsOnlyOf(record, others)),
      ...(last ? [deleteAllowed(id), deleteCeiling(id)] : []),
      ...(last && purge ? [deleteKvOf(id), deleteConfig(id)] : []),
    ],
    events: before.events,
  });
  deps.forgetCounts(record.ref);
  if (last) deps.forgetLogs(id);
  if (last && purge) await deps.removeData(id);
  if (!catalog.all().some((other) => other.ref.digest === digest)) await deps.removeStored(digest);
}

/** Tools that no other installed version declares: a later plugin of the same id must not find their rules. */
function toolsOnlyOf(record: StoredPlugin, others: readonly StoredPlugin[]): readonly string[] {
  const kept = new Set(others.flatMap((other) => other.manifest.tools.map((tool) => tool.name)));
  return record.manifest.tools.filter((tool) => !kept.has(tool.name)).map((tool) => toolName(record.ref.id, tool.name));
}

/**
 * Permanent, by id, bytes and code: stops every version, and outlives restart, uninstall and renaming. A version that
 * cannot be moved does not keep the others from being stopped.
 */
export async function revoke(deps: PluginsDeps, operator: Operator, id: string, reason: string): Promise<StoredPlugin> {
  const { catalog } = deps;
  const newest = catalog.get(id);
  const versions = catalog.versions(id).filter((record) => record.state !== "revoked");
  const results = await Promise.allSettled(versions.map((record) => revokeVersion(deps, operator, record, reason)));
  await deps.refresh();
  const failed = results.find((result) => result.status === "rejected");
  if (failed) throw failed.reason;
  return catalog.current(newest.ref) ?? newest;
}

async function revokeVersion(
  deps: PluginsDeps,
  operator: Operator,
  record: StoredPlugin,
  reason: string,
): Promise<void> {
  const { id, digest } = record.ref;
  const now = deps.clock.now();
  const mark = { pluginId: id, reason, revokedBy: operator.name, revokedAt: now };
  const marks: readonly Statement[] = [
    insertRevocation({ kind: "id", value: id, ...mark }),
    insertRevocation({ kind: "tree_digest", value: digest, ...mark }),
    insertRevocation({ kind: "code_digest", value: record.codeDigest, ...mark }),
  ];
  const before = withdrawal(deps, record, operator);
  await deps.runtime.stop(record, "revoked", {
    actor: actorOf(operator),
    reason,
    statements: [...marks, ...before.statements, closeApprovalsOf(record.ref, operator.name, now, "revoked")],
    events: before.events,
  });
}
