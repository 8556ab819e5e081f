import type { Selectable } from "kysely";
import { build, fromJson, toJson } from "../build.ts";
import type { TrustedKeysTable } from "../schema.ts";
import type { Database, Statement, StoredKey } from "../types.ts";

/** Keys that operators trust, by name and then by time, expired ones too. */
export async function listTrustedKeys(db: Database): Promise<readonly StoredKey[]> {
  const rows = await db.query.selectFrom("trusted_keys").selectAll().orderBy("name").orderBy("added_at").execute();
  return rows.map(toKey);
}

/** Trusting a key again replaces what was said of it. */
export function saveTrustedKey(key: StoredKey): Statement {
  const row = {
    name: key.name,
    scopes: toJson(key.scopes),
    expires_at: key.expiresAt,
    replaces: key.replaces,
    added_by: key.addedBy,
    added_at: key.addedAt,
    seal: key.seal ?? null,
  };
  return {
    query: build
      .insertInto("trusted_keys")
      .values({ id: key.id, ...row })
      .onConflict((conflict) => conflict.column("id").doUpdateSet(row))
      .compile(),
    expect: 1,
  };
}

/** `conflict` when the key is not trusted. */
export function deleteTrustedKey(id: string): Statement {
  return { query: build.deleteFrom("trusted_keys").where("id", "=", id).compile(), expect: 1 };
}

function toKey(row: Selectable<TrustedKeysTable>): StoredKey {
  return {
    id: row.id,
    name: row.name,
    scopes: fromJson<string[]>(row.scopes),
    expiresAt: row.expires_at,
    replaces: row.replaces,
    addedBy: row.added_by,
    addedAt: row.added_at,
    ...(row.seal === null ? {} : { seal: row.seal }),
  };
}
