import { build, fromJson, toJson } from "../build.ts";
import type { Database, Statement, StoredAgent } from "../types.ts";

/** Profiles that operators set, by name. What is in them is checked by whoever reads it. */
export async function listAgents(db: Database): Promise<readonly StoredAgent[]> {
  const rows = await db.query.selectFrom("agents").selectAll().orderBy("name").execute();
  return rows.map((row) => ({
    name: row.name,
    profile: fromJson<unknown>(row.profile),
    setBy: row.set_by,
    setAt: row.set_at,
  }));
}

/** Sets the profile of an agent, or replaces it. */
export function saveAgent(agent: StoredAgent): Statement {
  const values = { profile: toJson(agent.profile), set_by: agent.setBy, set_at: agent.setAt };
  return {
    query: build
      .insertInto("agents")
      .values({ name: agent.name, ...values })
      .onConflict((conflict) => conflict.column("name").doUpdateSet(values))
      .compile(),
    expect: 1,
  };
}

/** `conflict` when there is none. */
export function deleteAgent(name: string): Statement {
  return { query: build.deleteFrom("agents").where("name", "=", name).compile(), expect: 1 };
}
