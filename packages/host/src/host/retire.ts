import { isLive } from "../catalog/index.ts";
import type { Operator } from "../host-api.ts";
import {
  closeApprovalsOf,
  deleteAllowed,
  deleteCeiling,
  deleteConfig,
  deleteKvOf,
  deleteToolRulesOf,
  insertRevocation,
  type StoredPlugin,
  withdrawGrantsOf,
} from "../store/index.ts";
import type { PluginsDeps } from "./plugins-deps.ts";
import { toolName } from "./route.ts";

export async function uninstall(
  deps: PluginsDeps,
  operator: Operator,
  id: string,
  options: { readonly version?: string; readonly purge?: boolean },
): Promise<void> {
  const { catalog, runtime, clock } = deps;
  const actor = `operator:${operator.name}`;
  const records = options.version === undefined ? catalog.versions(id) : [catalog.get(id, options.version)];
  if (records.length === 0) catalog.get(id);
  for (const record of records) {
    if (isLive(record.state)) await runtime.stop(record, "stopped", { actor, reason: "uninstalled" });
    const last = catalog.versions(id).length === 1;
    const tools = record.manifest.tools.map((tool) => toolName(id, tool.name));
    const now = clock.now();
    await catalog.remove(record, {
      actor,
      statements: [
        withdrawGrantsOf(record.ref, operator.name, now),
        closeApprovalsOf(id, operator.name, now, "uninstalled"),
        ...(last ? [deleteAllowed(id), deleteCeiling(id), ...deleteToolRulesOf(tools)] : []),
        ...(last && options.purge === true ? [deleteKvOf(id), deleteConfig(id)] : []),
      ],
    });
    if (last && options.purge === true) await deps.removeData(id);
    if (!catalog.all().some((other) => other.ref.digest === record.ref.digest))
      await deps.removeStored(record.ref.digest);
  }
  await deps.refresh();
}

/** Permanent, by id, bytes and code: stops every version, and outlives restart, uninstall and renaming. */
export async function revoke(deps: PluginsDeps, operator: Operator, id: string, reason: string): Promise<StoredPlugin> {
  const { catalog, runtime, clock } = deps;
  const newest = catalog.get(id);
  for (const record of catalog.versions(id)) {
    if (record.state === "revoked") continue;
    const mark = { pluginId: id, reason, revokedBy: operator.name, revokedAt: clock.now() };
    await runtime.stop(record, "revoked", {
      actor: `operator:${operator.name}`,
      reason,
      statements: [
        insertRevocation({ kind: "id", value: id, ...mark }),
        insertRevocation({ kind: "tree_digest", value: record.ref.digest, ...mark }),
        insertRevocation({ kind: "code_digest", value: record.codeDigest, ...mark }),
        withdrawGrantsOf(record.ref, operator.name, clock.now()),
        closeApprovalsOf(id, operator.name, clock.now(), "revoked"),
      ],
    });
  }
  await deps.refresh();
  return catalog.current(newest.ref) ?? newest;
}
