import { build, fromJson, toJson } from "../build.ts";
import type { Database, Statement, StoredOverride } from "../types.ts";

/** Rules for a time, oldest first, those that are over included. What is in them is checked by whoever reads it. */
export async function listOverrides(db: Database): Promise<readonly StoredOverride[]> {
  const rows = await db.query.selectFrom("policy_overrides").selectAll().orderBy("set_at").orderBy("id").execute();
  return rows.map((row) => ({
    id: row.id,
    rule: fromJson<unknown>(row.rule),
    endsAt: row.ends_at,
    setBy: row.set_by,
    setAt: row.set_at,
  }));
}

export function saveOverride(override: StoredOverride): Statement {
  const { id, rule, endsAt, setBy, setAt } = override;
  return {
    query: build
      .insertInto("policy_overrides")
      .values({ id, rule: toJson(rule), ends_at: endsAt, set_by: setBy, set_at: setAt })
      .compile(),
    expect: 1,
  };
}

/** `conflict` when there is none. */
export function deleteOverride(id: string): Statement {
  return { query: build.deleteFrom("policy_overrides").where("id", "=", id).compile(), expect: 1 };
}
