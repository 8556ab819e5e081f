import { build } from "../build.ts";
import type { DataSpace, Database, Statement } from "../types.ts";

/** Every space of every plugin, the newest claim first. */
export async function listDataSpaces(db: Database): Promise<readonly DataSpace[]> {
  const rows = await db.query.selectFrom("data_spaces").selectAll().orderBy("claimed_at", "desc").execute();
  return rows.map((row) => ({
    pluginId: row.plugin_id,
    owner: row.owner,
    space: row.space,
    claimedAt: row.claimed_at,
  }));
}

/** Gives an owner a space; with `replace`, instead of the one that it has, else `conflict` when it has one. */
export function claimDataSpace({ pluginId, owner, space, claimedAt }: DataSpace, replace = false): Statement {
  const insert = build.insertInto("data_spaces").values({ plugin_id: pluginId, owner, space, claimed_at: claimedAt });
  const query = replace
    ? insert.onConflict((conflict) =>
        conflict.columns(["plugin_id", "owner"]).doUpdateSet({ space, claimed_at: claimedAt }),
      )
    : insert;
  return { query: query.compile(), expect: 1 };
}

/** Takes an owner's claim away; what is in the space stays. */
export function releaseDataSpace(pluginId: string, owner: string): Statement {
  return {
    query: build.deleteFrom("data_spaces").where("plugin_id", "=", pluginId).where("owner", "=", owner).compile(),
  };
}

/** Removes a space with every claim on it, its keys and the operator's values; files are the caller's to remove. */
export function purgeDataSpace(space: string): readonly Statement[] {
  return [
    { query: build.deleteFrom("data_spaces").where("space", "=", space).compile() },
    { query: build.deleteFrom("kv").where("space", "=", space).compile() },
    { query: build.deleteFrom("plugin_config").where("space", "=", space).compile() },
  ];
}
