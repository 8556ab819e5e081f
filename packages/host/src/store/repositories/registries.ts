import type { Selectable } from "kysely";
import { build } from "../build.ts";
import type { RegistriesTable } from "../schema.ts";
import type { Database, Statement } from "../types.ts";

/** A registry that an operator added. */
export interface StoredRegistry {
  readonly name: string;
  readonly kind: "index" | "npm";
  /** Its address, or a folder's absolute path. */
  readonly place: string;
  /** The key that signs its index; `null` for npm. */
  readonly key: string | null;
  /** The operator said that it is of the local network. */
  readonly private: boolean;
  /** The newest index that was seen; `null` before the first look. */
  readonly seen: {
    readonly name: string;
    readonly counter: number;
    readonly issuedAt: number;
    readonly indexDigest: string;
  } | null;
  readonly refreshedAt: number | null;
  readonly addedBy: string;
  readonly addedAt: number;
  readonly seal?: string | undefined;
}

export async function listRegistries(db: Database): Promise<readonly StoredRegistry[]> {
  const rows = await db.query.selectFrom("registries").selectAll().orderBy("name").execute();
  return rows.map(toRegistry);
}

/** `conflict` when there is one of this name. */
export function insertRegistry(registry: StoredRegistry): Statement {
  return { query: build.insertInto("registries").values(toRow(registry)).compile(), expect: 1 };
}

/** What was seen of it last. Never goes back, whoever comes second. */
export function advanceRegistry(registry: StoredRegistry): Statement {
  const { name, ...row } = toRow(registry);
  return {
    query: build
      .updateTable("registries")
      .set(row)
      .where("name", "=", name)
      .where("added_at", "=", registry.addedAt)
      .where((where) => where.or([where("counter", "is", null), where("counter", "<=", row.counter ?? 0)]))
      .compile(),
    expect: 1,
  };
}

/** `conflict` when there is none of this name. */
export function deleteRegistry(name: string): Statement {
  return { query: build.deleteFrom("registries").where("name", "=", name).compile(), expect: 1 };
}

function toRow(registry: StoredRegistry): RegistriesTable {
  return {
    name: registry.name,
    kind: registry.kind,
    place: registry.place,
    public_key: registry.key,
    private: registry.private ? 1 : 0,
    index_name: registry.seen?.name ?? null,
    counter: registry.seen?.counter ?? null,
    issued_at: registry.seen?.issuedAt ?? null,
    index_digest: registry.seen?.indexDigest ?? null,
    refreshed_at: registry.refreshedAt,
    added_by: registry.addedBy,
    added_at: registry.addedAt,
    seal: registry.seal ?? null,
  };
}

function toRegistry(row: Selectable<RegistriesTable>): StoredRegistry {
  const { index_name, counter, issued_at, index_digest } = row;
  const seen =
    index_name === null || counter === null || issued_at === null || index_digest === null
      ? null
      : { name: index_name, counter, issuedAt: issued_at, indexDigest: index_digest };
  return {
    name: row.name,
    kind: row.kind === "npm" ? "npm" : "index",
    place: row.place,
    key: row.public_key,
    private: row.private === 1,
    seen,
    refreshedAt: row.refreshed_at,
    addedBy: row.added_by,
    addedAt: row.added_at,
    ...(row.seal === null ? {} : { seal: row.seal }),
  };
}
