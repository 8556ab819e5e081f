import type { CallId, DatabaseWireValue } from "../protocol/v1/index.ts";
import { type Context, type DatabaseParameter, type DatabaseValue, sallyportError } from "../plugin/index.ts";
import { fromBase64, toBase64 } from "./base64.ts";
import type { HostPort } from "./port.ts";

/** `ctx.database`: statements on the connections that the operator named. */
export function createDatabase(port: HostPort, call: CallId): Context["database"] {
  return (connection) => ({
    async query(sql, params = []) {
      const answer = await port.request("database.query", {
        call,
        connection,
        sql,
        params: params.map(databaseToWire),
      });
      const { columns, changes, truncated } = answer;
      const rows = answer.rows.map((row) => row.map(databaseFromWire));
      return { columns, rows, changes, truncated, records: () => recordsOf(columns, rows) };
    },
  });
}

function recordsOf(
  columns: readonly string[],
  rows: readonly (readonly DatabaseValue[])[],
): Readonly<Record<string, DatabaseValue>>[] {
  const twice = columns.find((name, index) => columns.indexOf(name) !== index);
  if (twice !== undefined) {
    throw sallyportError("usage", `Two columns are called "${twice}".`, "Rename one with AS, or use rows.");
  }
  return rows.map((row) => {
    // Whatever a column is called, it is a value and nothing else.
    const record: Record<string, DatabaseValue> = Object.create(null);
    columns.forEach((name, index) => (record[name] = row[index] ?? null));
    return record;
  });
}

export function databaseToWire(value: DatabaseParameter): DatabaseWireValue {
  if (typeof value === "bigint") return { integer: value.toString() };
  if (value instanceof Uint8Array) return { base64: toBase64(value) };
  if (value instanceof Date) return value.toISOString();
  return typeof value === "number" && !Number.isFinite(value) ? { real: String(value) } : value;
}

export function databaseFromWire(value: DatabaseWireValue): DatabaseValue {
  if (value === null || typeof value !== "object") return value;
  if ("integer" in value) return BigInt(value.integer);
  return "real" in value ? Number(value.real) : fromBase64(value.base64);
}
