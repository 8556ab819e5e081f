import { DummyDriver, Kysely, SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler } from "kysely";
import { SallyportError } from "../kernel/index.ts";
import type { Schema } from "./schema.ts";

/** Builds queries and never runs one, so that statements can be made without a store at hand. */
export const build = new Kysely<Schema>({
  dialect: {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  },
});

export function toJson(value: unknown): string {
  return JSON.stringify(value);
}

/**
 * Reads back what `toJson` of the same column wrote. The home is the operator's own and is written by this module only,
 * so the shape is trusted; text that is no JSON at all means a damaged store.
 * @throws {SallyportError} `store_unavailable`.
 */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the one place where a column's text gets its type
export function fromJson<T>(text: string): T {
  try {
    const value: T = JSON.parse(text);
    return value;
  } catch (error) {
    throw new SallyportError("store_unavailable", "A row of the store is damaged.", {
      detail: "A JSON column does not hold JSON.",
      fix: "Restore the home from a backup.",
      cause: error,
    });
  }
}
