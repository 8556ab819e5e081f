import { build } from "../build.ts";
import type { Database, Statement, VerifiedTree } from "../types.ts";

export async function listVerifiedTrees(db: Database): Promise<readonly VerifiedTree[]> {
  const rows = await db.query.selectFrom("verified_trees").selectAll().execute();
  return rows.map((row) => ({
    digest: row.tree_digest,
    stamp: row.stamp,
    verifiedAt: row.verified_at,
    ...(row.seal === null ? {} : { seal: row.seal }),
  }));
}

export function saveVerifiedTree({ digest, stamp, verifiedAt, seal }: VerifiedTree): Statement {
  const row = { stamp, verified_at: verifiedAt, seal: seal ?? null };
  return {
    query: build
      .insertInto("verified_trees")
      .values({ tree_digest: digest, ...row })
      .onConflict((conflict) => conflict.column("tree_digest").doUpdateSet(row))
      .compile(),
    expect: 1,
  };
}

/** Of a tree that is gone or broken, nothing is remembered. */
export function forgetVerifiedTree(digest: string): Statement {
  return { query: build.deleteFrom("verified_trees").where("tree_digest", "=", digest).compile() };
}
