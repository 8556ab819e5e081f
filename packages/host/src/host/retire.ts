import type { Operator } from "../host-api.ts";
import {
  closeApprovalsOf,
  deleteAllowed,
  deleteCeiling,
  deleteToolRulesOf,
  disableTools,
  purgeDataSpace,
  type StoredPlugin,
} from "../store/index.ts";
import { isLive } from "../catalog/index.ts";
import { actorOf, eventOf, type PluginsDeps, withdrawal } from "./plugins-deps.ts";
import { toolName } from "./route.ts";

interface UninstallOptions {
  readonly version?: string;
  /** With a publisher's last version, also what it kept: data, keys, the operator's configuration. */
  readonly purge?: boolean;
}

/**
 * Removes a version, or all of them. What the plugin kept stays, for the same publisher's plugin of this id only, unless it is
 * purged; then also what was left by plugins of this id that are gone already, when none is installed.
 */
export async function uninstall(
  deps: PluginsDeps,
  operator: Operator,
  id: string,
  options: UninstallOptions,
): Promise<void> {
  const { catalog } = deps;
  const purge = options.purge === true;
  const records = options.version === undefined ? catalog.versions(id) : [catalog.get(id, options.version)];
  const left = records.length === 0 && purge ? deps.spaces.allOf(id) : [];
  if (records.length === 0 && left.length === 0) catalog.get(id);
  try {
    for (const record of records) await deps.inTurn(id, () => remove(deps, operator, record, purge));
    const spaces = new Set(left.map(({ space }) => space));
    await deps.inTurn(id, () => purgeSpaces(deps, operator, id, [...spaces]));
  } finally {
    await Promise.all([deps.refresh(), deps.spaces.refresh()]);
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
  const space = deps.spaces.find(record);
  await catalog.remove(record, {
    actor,
    statements: [
      ...before.statements,
      closeApprovalsOf(record.ref, operator.name, clock.now(), "uninstalled"),
      ...deleteToolRulesOf(toolsOnlyOf(record, others)),
      ...disableTools(toolsOnlyOf(record, others)),
      ...(last ? [deleteAllowed(id), deleteCeiling(id)] : []),
    ],
    events: before.events,
  });
  deps.forgetCounts(record.ref);
  if (last) deps.forgetLogs(id);
  const shared = others.some((other) => deps.spaces.find(other) === space);
  if (purge && space !== undefined && !shared) await purgeSpaces(deps, operator, id, [space]);
  if (!catalog.all().some((other) => other.ref.digest === digest)) await deps.removeStored(digest);
}

/** Files first: a crash between leaves a claim on an empty folder, and never files that nobody knows of. */
async function purgeSpaces(
  deps: PluginsDeps,
  operator: Operator,
  id: string,
  spaces: readonly string[],
): Promise<void> {
  if (spaces.length === 0) return;
  for (const space of spaces) await deps.removeData(space);
  await deps.audit.commit(spaces.flatMap(purgeDataSpace), [
    eventOf(deps.clock, "data.purged", actorOf(operator), { data: { plugin: id, spaces: spaces.length } }),
  ]);
}

/** Tools that no other installed version declares: a later plugin of the same id must not find their rules. */
function toolsOnlyOf(record: StoredPlugin, others: readonly StoredPlugin[]): readonly string[] {
  const kept = new Set(others.flatMap((other) => other.manifest.tools.map((tool) => tool.name)));
  return record.manifest.tools.filter((tool) => !kept.has(tool.name)).map((tool) => toolName(record.ref.id, tool.name));
}
