import type { Scope } from "../../capability/index.ts";
import { build, fromJson, toJson } from "../build.ts";
import type { Ceiling, Database, Statement } from "../types.ts";

/** All ceilings; a plugin without one is not limited by the host. */
export async function listCeilings(db: Database): Promise<readonly Ceiling[]> {
  const rows = await db.query.selectFrom("ceilings").selectAll().orderBy("plugin_id").execute();
  return rows.map((row) => ({
    pluginId: row.plugin_id,
    scopes: fromJson<Scope[]>(row.scopes),
    setBy: row.set_by,
    setAt: row.set_at,
  }));
}

/** Sets the ceiling of an id, or replaces it. */
export function saveCeiling(ceiling: Ceiling): Statement {
  const values = { scopes: toJson(ceiling.scopes), set_by: ceiling.setBy, set_at: ceiling.setAt };
  return {
    query: build
      .insertInto("ceilings")
      .values({ plugin_id: ceiling.pluginId, ...values })
      .onConflict((conflict) => conflict.column("plugin_id").doUpdateSet(values))
      .compile(),
    expect: 1,
  };
}

export function deleteCeiling(pluginId: string): Statement {
  return { query: build.deleteFrom("ceilings").where("plugin_id", "=", pluginId).compile() };
}
