import type { Selectable } from "kysely";
import { build, fromJson, toJson } from "../build.ts";
import type { TokensTable } from "../schema.ts";
import type { Database, Statement, StoredToken } from "../types.ts";

/** Every token that there was and is kept, the newest first. */
export async function listTokens(db: Database): Promise<readonly StoredToken[]> {
  const rows = await db.query.selectFrom("tokens").selectAll().orderBy("created_at", "desc").orderBy("id").execute();
  return rows.flatMap(toToken);
}

export function insertToken(token: StoredToken): Statement {
  return {
    query: build
      .insertInto("tokens")
      .values({
        id: token.id,
        hash: token.hash,
        kind: token.kind,
        name: token.name,
        scopes: toJson(token.scopes),
        guarded: token.guarded ? 1 : 0,
        created_by: token.createdBy,
        created_at: token.createdAt,
        expires_at: token.expiresAt,
        last_used_at: null,
        ended_at: null,
        ended_by: null,
      })
      .compile(),
    expect: 1,
  };
}

/** `conflict` when it has ended already. */
export function endToken(id: string, at: number, by: string): Statement {
  return {
    query: build
      .updateTable("tokens")
      .set({ ended_at: at, ended_by: by })
      .where("id", "=", id)
      .where("ended_at", "is", null)
      .compile(),
    expect: 1,
  };
}

export function useToken(id: string, at: number): Statement {
  return { query: build.updateTable("tokens").set({ last_used_at: at }).where("id", "=", id).compile() };
}

/** Forgets a token that has ended, to make room. */
export function forgetToken(id: string): Statement {
  return { query: build.deleteFrom("tokens").where("id", "=", id).where("ended_at", "is not", null).compile() };
}

/** One of a kind that this program does not know opens nothing. */
function toToken(row: Selectable<TokensTable>): StoredToken[] {
  const { kind } = row;
  if (kind !== "agent" && kind !== "operator") return [];
  return [
    {
      id: row.id,
      hash: row.hash,
      kind,
      name: row.name,
      scopes: fromJson<string[]>(row.scopes),
      guarded: row.guarded === 1,
      createdBy: row.created_by,
      createdAt: row.created_at,
      expiresAt: row.expires_at,
      lastUsedAt: row.last_used_at,
      endedAt: row.ended_at,
      endedBy: row.ended_by,
    },
  ];
}
