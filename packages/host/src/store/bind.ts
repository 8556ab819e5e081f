import type { CompiledQuery } from "kysely";
import { SallyportError } from "../kernel/index.ts";
import type { Bindable, WireStatement } from "./messages.ts";

/**
 * Every parameter passes here. The driver cuts text at a NUL when it reads it back, so a NUL becomes U+FFFD, as a lone
 * surrogate does.
 * @throws {SallyportError} `internal` for a type that the driver must never see.
 */
export function bindable(value: unknown): Bindable {
  switch (typeof value) {
    case "string":
      return value.toWellFormed().replaceAll("\0", "\uFFFD");
    case "boolean":
      return value ? 1 : 0;
    case "number":
      if (Number.isFinite(value)) return value;
      break;
    case "bigint":
      if (BigInt.asIntN(64, value) === value) return value;
      break;
    case "object":
      if (value === null || value instanceof Uint8Array) return value;
      break;
  }
  throw new SallyportError("internal", "A value cannot be stored.", {
    detail: `A parameter is ${value instanceof Object ? "an object" : `${typeof value} ${String(value)}`}.`,
  });
}

export function toWireStatement(query: CompiledQuery, expect?: number): WireStatement {
  return { sql: query.sql, params: query.parameters.map(bindable), expect: expect ?? null };
}
