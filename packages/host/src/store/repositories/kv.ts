import { sql } from "kysely";
import { SallyportError } from "../../kernel/index.ts";
import type { Database } from "../types.ts";

/** A plugin's keys and values, in its data space. `value` is JSON text; sizes are bytes of key and value in UTF-8. */
export interface KvStore {
  get(space: string, key: string): Promise<string | null>;
  /**
   * @throws {SallyportError} `quota_exceeded` when the plugin's keys and values together would be over `quotaBytes`,
   * `usage` for a key or value that the store would have to change.
   */
  set(space: string, key: string, value: string, quotaBytes: number): Promise<void>;
  /** Whether there was such a key. */
  delete(space: string, key: string): Promise<boolean>;
  /** Keys that start with `prefix`, in order, at most `limit`. */
  list(space: string, prefix: string, limit: number): Promise<readonly string[]>;
  usage(space: string): Promise<{ readonly keys: number; readonly bytes: number }>;
}

export function createKvStore(db: Database): KvStore {
  return {
    async get(space, key) {
      const row = await db.query
        .selectFrom("kv")
        .select("value")
        .where("space", "=", space)
        .where("key", "=", key)
        .executeTakeFirst();
      return row?.value ?? null;
    },

    async set(space, key, value, quotaBytes) {
      assertExact(key);
      assertExact(value);
      const bytes = Buffer.byteLength(key) + Buffer.byteLength(value);
      // One statement, so that two writes at the same time cannot both pass the check.
      const result = await sql`
        INSERT INTO kv (space, key, value, bytes)
        SELECT ${space}, ${key}, ${value}, ${bytes}
        WHERE (SELECT coalesce(sum(bytes), 0) FROM kv WHERE space = ${space} AND key <> ${key}) + ${bytes} <= ${quotaBytes}
        ON CONFLICT (space, key) DO UPDATE SET value = excluded.value, bytes = excluded.bytes`.execute(db.query);
      if (result.numAffectedRows === 1n) return;
      throw new SallyportError("quota_exceeded", `The plugin's storage is full.`, {
        detail: `It may hold ${quotaBytes} bytes.`,
        fix: "Delete keys that are no longer needed.",
        data: { quota: quotaBytes },
      });
    },

    async delete(space, key) {
      const result = await db.query
        .deleteFrom("kv")
        .where("space", "=", space)
        .where("key", "=", key)
        .executeTakeFirst();
      return result.numDeletedRows > 0n;
    },

    async list(space, prefix, limit) {
      // A range, not LIKE: the prefix is the plugin's text and may hold wildcards.
      const rows = await db.query
        .selectFrom("kv")
        .select("key")
        .where("space", "=", space)
        .where("key", ">=", prefix)
        .where(sql<boolean>`substr(key, 1, length(${prefix})) = ${prefix}`)
        .orderBy("key")
        .limit(limit)
        .execute();
      return rows.map((row) => row.key);
    },

    async usage(space) {
      const row = await db.query
        .selectFrom("kv")
        .select((eb) => [
          eb.fn.countAll<number>().as("keys"),
          eb.fn.coalesce(eb.fn.sum<number>("bytes"), eb.val(0)).as("bytes"),
        ])
        .where("space", "=", space)
        .executeTakeFirstOrThrow();
      return { keys: row.keys, bytes: row.bytes };
    },
  };
}

/** Two keys that differ must not become one. */
function assertExact(text: string): void {
  if (text.isWellFormed() && !text.includes("\0")) return;
  throw new SallyportError("usage", "A key or value has a NUL character or half of a character.", {
    fix: "Encode bytes, for example as base64.",
  });
}
