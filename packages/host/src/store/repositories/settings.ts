import { build } from "../build.ts";
import type { Database, Statement } from "../types.ts";

/** Small named texts of the home: the passphrase record, the layer over `config.yml`. */
export interface SettingsStore {
  get(key: string): Promise<string | null>;
  set(key: string, value: string): Promise<void>;
}

export function createSettings(db: Database): SettingsStore {
  return {
    async get(key) {
      const row = await db.query.selectFrom("settings").select("value").where("key", "=", key).executeTakeFirst();
      return row?.value ?? null;
    },
    set: (key, value) => db.atomically([saveSetting(key, value)]),
  };
}

/** Those whose key starts with the prefix, in the order of their keys. */
export function listSettings(
  db: Database,
  prefix: string,
): Promise<readonly { readonly key: string; readonly value: string }[]> {
  return db.query
    .selectFrom("settings")
    .select(["key", "value"])
    .where("key", ">=", prefix)
    .where("key", "<", `${prefix}\u{10ffff}`)
    .orderBy("key")
    .execute();
}

export function saveSetting(key: string, value: string): Statement {
  return {
    query: build
      .insertInto("settings")
      .values({ key, value })
      .onConflict((conflict) => conflict.column("key").doUpdateSet({ value }))
      .compile(),
    expect: 1,
  };
}

export function deleteSetting(key: string): Statement {
  return { query: build.deleteFrom("settings").where("key", "=", key).compile() };
}
