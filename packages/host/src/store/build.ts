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

const TEXTS: unique symbol = Symbol("texts");

interface Unread {
  readonly [TEXTS]?: Readonly<Record<string, string>>;
}

/**
 * Adds members that are read from their JSON when they are asked for, and kept only while somebody holds them: a home may
 * have ten thousand plugins and use five. A copy of the row has them as plain members.
 */
export function withJsonLater<Row extends object, Later extends object>(
  row: Row,
  texts: Readonly<Record<keyof Later & string, string>>,
): Row & Later;
export function withJsonLater(row: object, texts: Readonly<Record<string, string>>): object {
  Object.defineProperty(row, TEXTS, { value: texts });
  for (const name of Object.keys(texts)) Object.defineProperty(row, name, readerOf(name));
  return row;
}

/* One function for all rows: with one each, every row has a shape of its own, which takes a kilobyte. */
const readers = new Map<string, PropertyDescriptor>();

function readerOf(name: string): PropertyDescriptor {
  const known = readers.get(name);
  if (known) return known;
  const kept = new WeakMap<object, WeakRef<object>>();
  const reader: PropertyDescriptor = {
    enumerable: true,
    get(this: Unread) {
      const last = kept.get(this)?.deref();
      if (last) return last;
      const value = fromJson<object>(this[TEXTS]?.[name] ?? "");
      kept.set(this, new WeakRef(value));
      return value;
    },
  };
  readers.set(name, reader);
  return reader;
}
