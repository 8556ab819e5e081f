import { chmodSync } from "node:fs";
import { SallyportError, sha256 } from "../../kernel/index.ts";
import type { Migration } from "../messages.ts";
import type { Connection } from "./connection.ts";

/**
 * Brings the schema up to the newest migration, each in one transaction, after a copy of a store that holds something.
 * @throws {SallyportError} `schema_newer` when the store knows migrations that this program does not,
 * `store_unavailable` when an applied migration is not the one that this program has.
 */
export function migrate(db: Connection, path: string, migrations: readonly Migration[], now: number): void {
  db.exec(
    "CREATE TABLE IF NOT EXISTS schema_migrations (version INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL, applied_at INTEGER NOT NULL)",
  );
  const applied = new Map(
    db
      .rows("SELECT version, digest FROM schema_migrations ORDER BY version", [])
      .map(([version, digest]) => [Number(version), String(digest)]),
  );
  checkApplied(applied, migrations);
  const missing = migrations.filter((migration) => !applied.has(migration.version));
  if (missing.length === 0) return;
  if (applied.size > 0) copyTo(db, `${path}.before-${missing[0]?.version ?? 0}-${now}`);
  for (const migration of missing) {
    db.transaction(() => {
      db.exec(migration.sql);
      db.run({
        sql: "INSERT INTO schema_migrations (version, name, digest, applied_at) VALUES (?, ?, ?, ?)",
        params: [migration.version, migration.name, sha256(migration.sql), now],
        expect: 1,
      });
    });
  }
}

function checkApplied(applied: ReadonlyMap<number, string>, migrations: readonly Migration[]): void {
  for (const [version, digest] of applied) {
    const known = migrations.find((migration) => migration.version === version);
    if (!known) {
      throw new SallyportError("schema_newer", "The store was written by a newer program.", {
        detail: `It has migration ${version}; this program knows ${migrations.at(-1)?.version ?? 0} at most.`,
        fix: "Update Sallyport, or restore the copy that was made before the update.",
      });
    }
    if (sha256(known.sql) !== digest) {
      throw new SallyportError("store_unavailable", "The store was built by another version of a migration.", {
        detail: `Migration ${known.name} is not the one that was applied.`,
        fix: "Reinstall Sallyport, or restore the home from a backup.",
      });
    }
  }
}

/** A consistent copy, through the connection itself: opening the file a second time would cost the lock. */
export function copyTo(db: Connection, path: string): void {
  db.run({ sql: "VACUUM INTO ?", params: [path], expect: null });
  chmodSync(path, 0o600);
}
