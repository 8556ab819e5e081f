import type { Selectable } from "kysely";
import { PLUGIN_STATES, type PluginRef, type PluginState } from "../../kernel/index.ts";
import { build, fromJson, toJson, withJsonLater } from "../build.ts";
import { allPages } from "../pages.ts";
import type { PluginsTable } from "../schema.ts";
import type { Database, PluginOrigin, Statement, StoredPlugin } from "../types.ts";

/** Every installed version, by id and then by time of installation. */
export async function listPlugins(db: Database): Promise<readonly StoredPlugin[]> {
  const plugins = await allPages((last: Selectable<PluginsTable> | undefined, limit) => {
    const query = db.query.selectFrom("plugins").selectAll().orderBy("id").orderBy("version").orderBy("tree_digest");
    const behind =
      last === undefined
        ? query
        : query.where((eb) =>
            eb(eb.refTuple("id", "version", "tree_digest"), ">", eb.tuple(last.id, last.version, last.tree_digest)),
          );
    return behind.limit(limit).execute();
  }, toPlugin);
  return plugins.toSorted((a, b) =>
    a.ref.id === b.ref.id ? a.installedAt - b.installedAt : a.ref.id < b.ref.id ? -1 : 1,
  );
}

export async function findPlugin(db: Database, ref: PluginRef): Promise<StoredPlugin | null> {
  const row = await db.query
    .selectFrom("plugins")
    .selectAll()
    .where("id", "=", ref.id)
    .where("version", "=", ref.version)
    .where("tree_digest", "=", ref.digest)
    .executeTakeFirst();
  return row ? toPlugin(row) : null;
}

/** Adds a version; `conflict` when it is there already. */
export function insertPlugin(plugin: StoredPlugin): Statement {
  return {
    query: build.insertInto("plugins").values(toRow(plugin)).compile(),
    expect: 1,
  };
}

/** Moves one version along an edge; `conflict` when it is not (any more) in the state `from`. */
export function movePlugin(
  ref: PluginRef,
  edge: {
    readonly from: PluginState;
    readonly to: PluginState;
    readonly at: number;
    readonly lastError?: string | null;
  },
): Statement {
  return {
    query: update(ref)
      .where("state", "=", edge.from)
      .set({
        state: edge.to,
        updated_at: edge.at,
        ...(edge.lastError === undefined ? {} : { last_error: edge.lastError }),
      })
      .compile(),
    expect: 1,
  };
}

/** Makes this version the active one of its id, or none. Two statements: the old one first. */
export function activatePlugin(ref: PluginRef, at: number): readonly Statement[] {
  return [
    {
      query: build
        .updateTable("plugins")
        .where("id", "=", ref.id)
        .where("active", "=", 1)
        .set({ active: 0, updated_at: at })
        .compile(),
    },
    { query: update(ref).set({ active: 1, updated_at: at }).compile(), expect: 1 },
  ];
}

/** Adds to the counters of one version. */
export function countExecutions(
  ref: PluginRef,
  more: { readonly executions: number; readonly errors: number; readonly lastError?: string | null },
): Statement {
  return {
    query: update(ref)
      .set((eb) => ({
        execution_count: eb("execution_count", "+", more.executions),
        error_count: eb("error_count", "+", more.errors),
        ...(more.lastError === undefined ? {} : { last_error: more.lastError }),
      }))
      .compile(),
  };
}

/** Replaces what is known of who made it: evidence, publisher and seal. */
export function amendPlugin(plugin: StoredPlugin, at: number): Statement {
  return {
    query: update(plugin.ref)
      .set({ publisher_key: plugin.publisherKey ?? null, ...evidenceRow(plugin), updated_at: at })
      .compile(),
    expect: 1,
  };
}

/** Where its stored files are, in a home that was moved. */
export function movePluginRoot(ref: PluginRef, root: string): Statement {
  return { query: update(ref).set({ root }).compile(), expect: 1 };
}

export function deletePlugin(ref: PluginRef): Statement {
  return {
    query: build
      .deleteFrom("plugins")
      .where("id", "=", ref.id)
      .where("version", "=", ref.version)
      .where("tree_digest", "=", ref.digest)
      .compile(),
    expect: 1,
  };
}

function evidenceRow(plugin: StoredPlugin) {
  return {
    signature: plugin.signature ?? null,
    provenance: plugin.provenance ? toJson(plugin.provenance) : null,
    seal: plugin.seal ?? null,
  };
}

function update(ref: PluginRef) {
  return build
    .updateTable("plugins")
    .where("id", "=", ref.id)
    .where("version", "=", ref.version)
    .where("tree_digest", "=", ref.digest);
}

function toRow(plugin: StoredPlugin): Selectable<PluginsTable> {
  return {
    id: plugin.ref.id,
    version: plugin.ref.version,
    tree_digest: plugin.ref.digest,
    manifest_digest: plugin.manifestDigest,
    code_digest: plugin.codeDigest,
    publisher_key: plugin.publisherKey ?? null,
    ...evidenceRow(plugin),
    origin: plugin.origin ? toJson(plugin.origin) : null,
    manifest: toJson(plugin.manifest),
    source: plugin.source,
    root: plugin.root,
    bundle: plugin.bundle,
    defaults: toJson(plugin.defaults),
    state: plugin.state,
    active: plugin.active ? 1 : 0,
    installed_at: plugin.installedAt,
    updated_at: plugin.installedAt,
    last_error: plugin.lastError,
    execution_count: plugin.executionCount,
    error_count: plugin.errorCount,
  };
}

function toPlugin(row: Selectable<PluginsTable>): StoredPlugin {
  const plugin = {
    ref: { id: row.id, version: row.version, digest: row.tree_digest },
    manifestDigest: row.manifest_digest,
    codeDigest: row.code_digest,
    ...(row.publisher_key === null ? {} : { publisherKey: row.publisher_key }),
    ...(row.signature === null ? {} : { signature: row.signature }),
    ...(row.provenance === null ? {} : { provenance: fromJson<{ bundle: string; integrity: string }>(row.provenance) }),
    ...(row.seal === null ? {} : { seal: row.seal }),
    ...(row.origin === null ? {} : { origin: fromJson<PluginOrigin>(row.origin) }),
    source: row.source,
    root: row.root,
    bundle: row.bundle,
    // A state that this program does not know must not look like one that may run.
    state: isState(row.state) ? row.state : ("invalid" as const),
    active: row.active === 1,
    installedAt: row.installed_at,
    lastError: row.last_error,
    executionCount: row.execution_count,
    errorCount: row.error_count,
  };
  return withJsonLater<typeof plugin, Pick<StoredPlugin, "manifest" | "defaults">>(plugin, {
    manifest: row.manifest,
    defaults: row.defaults,
  });
}

function isState(text: string): text is PluginState {
  return PLUGIN_STATES.some((state) => state === text);
}
