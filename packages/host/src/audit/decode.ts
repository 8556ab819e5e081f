import { SallyportError } from "../kernel/index.ts";
import type { ChainRow } from "../store/index.ts";
import type { StoredAuditEvent } from "./types.ts";

/** An event as it was stated, with its place in the chain. @throws {SallyportError} `audit_broken` when it is no event. */
export function decodeEvent(row: ChainRow): StoredAuditEvent {
  const event: unknown = parse(row);
  if (!isEvent(event)) throw broken(row.seq);
  return { ...event, seq: row.seq, prev_hash: row.prevHash, hash: row.hash };
}

function parse(row: ChainRow): unknown {
  try {
    return JSON.parse(row.body);
  } catch {
    throw broken(row.seq);
  }
}

/** The members that every event has; the rest is as its writer, this host, left it. */
function isEvent(value: unknown): value is Omit<StoredAuditEvent, "seq" | "prev_hash" | "hash"> {
  return (
    typeof value === "object" &&
    value !== null &&
    "type" in value &&
    typeof value.type === "string" &&
    "time" in value &&
    typeof value.time === "number" &&
    "id" in value &&
    typeof value.id === "string"
  );
}

function broken(seq: number): SallyportError {
  return new SallyportError("audit_broken", `Event ${seq} of the audit cannot be read.`, {
    detail: "Its row was changed from outside.",
    fix: "Run: sallyport audit verify",
    data: { seq },
  });
}
