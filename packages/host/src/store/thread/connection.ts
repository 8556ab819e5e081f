import { closeSync, fstatSync, fsyncSync, openSync, writeSync } from "node:fs";
import Driver from "libsql";
import type { Bindable, RunAnswer, WireStatement } from "../messages.ts";
import { SallyportError } from "../../kernel/index.ts";
import { fromDriver } from "./errors.ts";

const PAGE_BYTES = 8192;
/** SQLite copies the log into the file at this size and starts it anew. */
const CHECKPOINT_PAGES = 1024;
/** The log is filled with zeros up to here once: an fsync that need not grow a file takes half the time. */
const LOG_BYTES = 10 * 1024 * 1024;
const CACHED_STATEMENTS = 256;

type DriverStatement = ReturnType<Driver.Database["prepare"]>;

/** The one connection of a home, and the only code that talks to the driver. */
export interface Connection {
  /** Runs one statement. @throws {SallyportError} as `fromDriver` maps them. */
  run(statement: WireStatement): RunAnswer;
  /** A statement that is run very often: no look-up, no count of changes. */
  prepare(sql: string): (params: Bindable[]) => void;
  /** Rows as arrays, for reading many. */
  rows(sql: string, params: readonly Bindable[]): readonly (readonly unknown[])[];
  exec(sql: string): void;
  /** Runs `work` in one BEGIN IMMEDIATE … COMMIT; whatever it throws undoes it. */
  transaction<T>(work: () => T): T;
  close(): void;
}

/**
 * Opens the file and takes the home's lock, which the kernel releases when this process ends, however it ends.
 * Nothing else in this process may open the file: closing any descriptor of it would drop the lock.
 * @throws {SallyportError} `home_locked`, `store_unavailable`.
 */
export function connect(path: string): Connection {
  const db = guard(() => new Driver(path));
  try {
    guard(() => configure(db));
    extendLog(`${path}-wal`);
  } catch (error) {
    db.close();
    throw error;
  }
  const cache = new Map<string, DriverStatement>();
  const prepare = (sql: string): DriverStatement => {
    let statement = cache.get(sql);
    if (!statement) {
      if (cache.size >= CACHED_STATEMENTS) cache.clear();
      statement = db.prepare(sql);
      cache.set(sql, statement);
    }
    return statement;
  };
  return {
    run: ({ sql, params, expect }) =>
      guard(() => {
        const statement = prepare(sql);
        const answer = statement.reader
          ? { rows: statement.raw(false).all([...params]), changes: 0 }
          : { rows: [], changes: statement.run([...params]).changes };
        if (expect !== null && answer.changes !== expect) throw unexpected();
        return answer;
      }),
    prepare(sql) {
      const statement = guard(() => db.prepare(sql));
      return (params) => void statement.run(params);
    },
    rows: (sql, params) =>
      guard(() =>
        toRows(
          db
            .prepare(sql)
            .raw(true)
            .all([...params]),
        ),
      ),
    exec: (sql) => guard(() => void db.exec(sql)),
    transaction(work) {
      guard(() => prepare("BEGIN IMMEDIATE").run([]));
      try {
        const result = work();
        guard(() => prepare("COMMIT").run([]));
        return result;
      } catch (error) {
        rollback(db);
        throw error;
      }
    },
    close: () => guard(() => void db.close()),
  };
}

function guard<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw fromDriver(error);
  }
}

function configure(db: Driver.Database): void {
  db.pragma(`page_size = ${PAGE_BYTES}`);
  db.pragma("locking_mode = EXCLUSIVE");
  db.pragma("journal_mode = WAL");
  db.pragma("synchronous = FULL");
  db.pragma("foreign_keys = ON");
  db.pragma("trusted_schema = OFF");
  db.pragma("temp_store = MEMORY");
  db.pragma("cache_size = -2000");
  db.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
  // Takes the lock now, not at the first write.
  db.exec("BEGIN IMMEDIATE");
  db.exec("COMMIT");
}

/** Appends zeros, which the store reads as the end of its log. Never touches a byte that is there already. */
function extendLog(path: string): void {
  const zeros = Buffer.alloc(1024 * 1024);
  const fd = openSync(path, "r+");
  try {
    for (let at = fstatSync(fd).size; at < LOG_BYTES;) {
      at += writeSync(fd, zeros, 0, Math.min(zeros.length, LOG_BYTES - at), at);
    }
    fsyncSync(fd);
  } catch {
    // A full disk makes commits slower or fail; then they say so themselves.
  } finally {
    closeSync(fd);
  }
}

function rollback(db: Driver.Database): void {
  try {
    if (db.inTransaction) db.exec("ROLLBACK");
  } catch {
    // The store undoes a failed transaction by itself in some cases, and the first error is the one that counts.
  }
}

function unexpected(): SallyportError {
  return new SallyportError("conflict", "The thing was changed by someone else, or is gone.", {
    detail: "A statement did not change the rows that it had to, so nothing was written.",
    fix: "Look at its present state and try again.",
  });
}

function toRows(answer: readonly unknown[]): readonly (readonly unknown[])[] {
  return answer.filter((row): row is readonly unknown[] => Array.isArray(row));
}
