import { SallyportError } from "../../kernel/index.ts";
import type { ThreadError } from "../messages.ts";

/** Extended codes carry their family as a prefix: SQLITE_IOERR_FSYNC, SQLITE_CONSTRAINT_UNIQUE. */
const WRITE_FAILURES = [
  "SQLITE_FULL",
  "SQLITE_IOERR",
  "SQLITE_READONLY",
  "SQLITE_CORRUPT",
  "SQLITE_NOTADB",
  "SQLITE_CANTOPEN",
  "SQLITE_NOMEM",
  "SQLITE_PERM",
];

/** Turns what the driver throws into an error of ours, without SQL, values or paths. */
export function fromDriver(thrown: unknown): SallyportError {
  if (thrown instanceof SallyportError) return thrown;
  const code = driverCode(thrown);
  if (code.startsWith("SQLITE_BUSY") || code.startsWith("SQLITE_LOCKED")) return homeLocked();
  if (code.startsWith("SQLITE_CONSTRAINT")) {
    return new SallyportError("conflict", "The change contradicts what is stored.", {
      detail: `The store refused it (${code}).`,
      cause: thrown,
    });
  }
  if (WRITE_FAILURES.some((family) => code.startsWith(family))) {
    return new SallyportError("store_unavailable", "The store cannot be read or written.", {
      detail: code === "SQLITE_FULL" ? "The disk or the file's quota is full." : `The store answered ${code}.`,
      fix: "Free disk space or restore the home from a backup, then start again.",
      cause: thrown,
    });
  }
  return new SallyportError("internal", "A statement of the store failed.", {
    detail: code || "The driver gave no code.",
    cause: thrown,
  });
}

export function homeLocked(): SallyportError {
  return new SallyportError("home_locked", "Another process owns this home.", {
    detail: "Its store is locked; the lock goes with the process that holds it.",
    fix: "Use the process that runs (every command finds it by itself), stop it, or choose another home with --home.",
  });
}

export function toWire(error: SallyportError): ThreadError {
  return { code: error.code, message: error.message, detail: error.detail, fix: error.fix };
}

function driverCode(thrown: unknown): string {
  return typeof thrown === "object" && thrown !== null && "code" in thrown && typeof thrown.code === "string"
    ? thrown.code
    : "";
}
