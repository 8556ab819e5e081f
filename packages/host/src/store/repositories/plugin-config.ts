import { build, fromJson, toJson } from "../build.ts";
import type { Database, Statement, StoredConfig } from "../types.ts";

/** The operator's values for a plugin, kept over upgrades. */
export async function findConfig(db: Database, space: string): Promise<StoredConfig | null> {
  const row = await db.query.selectFrom("plugin_config").selectAll().where("space", "=", space).executeTakeFirst();
  if (!row) return null;
  return {
    space: row.space,
    values: fromJson<Record<string, unknown>>(row.config),
    updatedBy: row.updated_by,
    updatedAt: row.updated_at,
  };
}

/** Replaces the operator's values as a whole. */
export function saveConfig(config: StoredConfig): Statement {
  const values = { config: toJson(config.values), updated_by: config.updatedBy, updated_at: config.updatedAt };
  return {
    query: build
      .insertInto("plugin_config")
      .values({ space: config.space, ...values })
      .onConflict((conflict) => conflict.column("space").doUpdateSet(values))
      .compile(),
    expect: 1,
  };
}
