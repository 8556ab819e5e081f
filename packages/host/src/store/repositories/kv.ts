import { sql } from "kysely";
import { SallyportError } from "../../kernel/index.ts";
import { build } from "../build.ts";
import type { Database, Statement } from "../types.ts";

/** A plugin's keys and values. `value` is JSON text; sizes are bytes of key and value in UTF-8. */
export interface KvStore {
  get(pluginId: string, key: string): Promise<string | null>;
  /**
   * @throws {SallyportError} `quota_exceeded` when the plugin's keys and values together would be over `quotaBytes`,
   * `usage` for a key or value that the store would have to change.
   */
  set(pluginId: string, key: string, value: string, quotaBytes: number): Promise<void>;
  /** Whether there was such a key. */
  delete(pluginId: string, key: string): Promise<boolean>;
  /** Keys that start with `prefix`, in order, at most `limit`. */
  list(pluginId: string, prefix: string, limit: number): Promise<readonly string[]>;
  usage(pluginId: string): Promise<{ readonly keys: number; readonly bytes: number }>;
}

export function createKvStore(db: Database): KvStore {
  return {
    async get(pluginId, key) {
      const row = await db.query
        .selectFrom("kv")
        .select("value")
        .where("plugin_id", "=", pluginId)
        .where("key", "=", key)
        .executeTakeFirst();
      return row?.value ?? null;
    },

    async set(pluginId, key, value, quotaBytes) {
      assertExact(key);
      assertExact(value);
      const bytes = Buffer.byteLength(key) + Buffer.byteLength(value);
      // One statement, so that two writes at the same time cannot both pass the check.
      const result = await sql`
        INSERT INTO kv (plugin_id, key, value, bytes)
        SELECT ${pluginId}, ${key}, ${value}, ${bytes}
        WHERE (SELECT coalesce(sum(bytes), 0) FROM kv WHERE plugin_id = ${pluginId} AND key <> ${key}) + ${bytes} <= ${quotaBytes}
        ON CONFLICT (plugin_id, key) DO UPDATE SET value = excluded.value, bytes = excluded.bytes`.execute(db.query);
      if (result.numAffectedRows === 1n) return;
      throw new SallyportError("quota_exceeded", `The storage of ${pluginId} is full.`, {
        detail: `It may hold ${quotaBytes} bytes.`,
        fix: "Delete keys that are no longer needed.",
        data: { quota: quotaBytes },
      });
    },

    async delete(pluginId, key) {
      const result = await db.query
        .deleteFrom("kv")
        .where("plugin_id", "=", pluginId)
        .where("key", "=", key)
        .executeTakeFirst();
      return result.numDeletedRows > 0n;
    },

    async list(pluginId, prefix, limit) {
      // A range, not LIKE: the prefix is the plugin's text and may hold wildcards.
      const rows = await db.query
        .selectFrom("kv")
        .select("key")
        .where("plugin_id", "=", pluginId)
        .where("key", ">=", prefix)
        .where(sql<boolean>`substr(key, 1, length(${prefix})) = ${prefix}`)
        .orderBy("key")
        .limit(limit)
        .execute();
      return rows.map((row) => row.key);
    },

    async usage(pluginId) {
      const row = await db.query
        .selectFrom("kv")
        .select((eb) => [
          eb.fn.countAll<number>().as("keys"),
          eb.fn.coalesce(eb.fn.sum<number>("bytes"), eb.val(0)).as("bytes"),
        ])
        .where("plugin_id", "=", pluginId)
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

/** Everything that a plugin kept; for `uninstall --purge`. */
export function deleteKvOf(pluginId: string): Statement {
  return { query: build.deleteFrom("kv").where("plugin_id", "=", pluginId).compile() };
}
