import type { Selectable } from "kysely";
import { build } from "../build.ts";
import type { RevocationsTable } from "../schema.ts";
import type { Database, Revocation, RevocationKind, Statement } from "../types.ts";

export interface RevocableMarks {
  readonly id: string;
  readonly treeDigest: string;
  readonly codeDigest: string;
  readonly publisherKey?: string | undefined;
}

export async function listRevocations(db: Database): Promise<readonly Revocation[]> {
  const rows = await db.query
    .selectFrom("revocations")
    .selectAll()
    .orderBy("revoked_at")
    .orderBy("kind")
    .orderBy("value")
    .execute();
  return rows.map(toRevocation);
}

/** The first revocation that hits any of a plugin's marks; `null` when none does. */
export async function findRevocation(db: Database, marks: RevocableMarks): Promise<Revocation | null> {
  const row = await db.query
    .selectFrom("revocations")
    .selectAll()
    .where((eb) => {
      const hits = (kind: RevocationKind, value: string) => eb.and([eb("kind", "=", kind), eb("value", "=", value)]);
      return eb.or([
        hits("id", marks.id),
        hits("tree_digest", marks.treeDigest),
        hits("code_digest", marks.codeDigest),
        ...(marks.publisherKey === undefined ? [] : [hits("publisher_key", marks.publisherKey)]),
      ]);
    })
    .orderBy("revoked_at")
    .limit(1)
    .executeTakeFirst();
  return row ? toRevocation(row) : null;
}

/** Permanent: there is no statement that removes one. Revoking twice keeps the first. */
export function insertRevocation(revocation: Revocation): Statement {
  return {
    query: build
      .insertInto("revocations")
      .values({
        kind: revocation.kind,
        value: revocation.value,
        plugin_id: revocation.pluginId,
        reason: revocation.reason,
        revoked_by: revocation.revokedBy,
        revoked_at: revocation.revokedAt,
      })
      .onConflict((conflict) => conflict.columns(["kind", "value"]).doNothing())
      .compile(),
  };
}

function toRevocation(row: Selectable<RevocationsTable>): Revocation {
  return {
    kind: toKind(row.kind),
    value: row.value,
    pluginId: row.plugin_id,
    reason: row.reason,
    revokedBy: row.revoked_by,
    revokedAt: row.revoked_at,
  };
}

/** The table's check admits these four only. */
function toKind(text: string): RevocationKind {
  return text === "tree_digest" || text === "code_digest" || text === "publisher_key" ? text : "id";
}
