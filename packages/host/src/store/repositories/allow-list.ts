import { build } from "../build.ts";
import type { AllowListEntry, Database, Statement } from "../types.ts";

export async function listAllowed(db: Database): Promise<readonly AllowListEntry[]> {
  const rows = await db.query.selectFrom("allow_list").selectAll().orderBy("plugin_id").execute();
  return rows.map((row) => ({
    pluginId: row.plugin_id,
    versionRange: row.version_range,
    treeDigest: row.tree_digest,
    publisher: row.publisher,
    addedBy: row.added_by,
    addedAt: row.added_at,
  }));
}

/** Adds the entry of an id, or replaces it. */
export function saveAllowed(entry: AllowListEntry): Statement {
  const values = {
    version_range: entry.versionRange,
    tree_digest: entry.treeDigest,
    publisher: entry.publisher,
    added_by: entry.addedBy,
    added_at: entry.addedAt,
  };
  return {
    query: build
      .insertInto("allow_list")
      .values({ plugin_id: entry.pluginId, ...values })
      .onConflict((conflict) => conflict.column("plugin_id").doUpdateSet(values))
      .compile(),
    expect: 1,
  };
}

export function deleteAllowed(pluginId: string): Statement {
  return { query: build.deleteFrom("allow_list").where("plugin_id", "=", pluginId).compile() };
}
