import type { CompiledQuery } from "kysely";
import { SallyportError } from "../kernel/index.ts";
import type { Bindable, WireStatement } from "./messages.ts";

/**
 * Every parameter passes here. The driver cuts text at a NUL when it reads it back, so a NUL becomes U+FFFD, as a lone
 * surrogate does.
 * @throws {SallyportError} `internal` for a type that the driver must never see.
 */
export function bindable(value: unknown): Bindable {
  if (value === null || value instanceof Uint8Array) return value;
  if (typeof value === "string") return value.toWellFormed().replaceAll("\0", "\uFFFD");
  if (typeof value === "boolean") return value ? 1 : 0;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  if (typeof value === "bigint" && BigInt.asIntN(64, value) === value) return value;
  throw new SallyportError("internal", "A value cannot be stored.", {
    detail: `A parameter is of type ${typeof value}, or a number that the store cannot hold.`,
  });
}

export function toWireStatement(query: CompiledQuery, expect?: number): WireStatement {
  return { sql: query.sql, params: query.parameters.map(bindable), expect: expect ?? null };
}
