import { chmod, lstat, open, readdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Kysely } from "kysely";
import { type Clock, SallyportError } from "../kernel/index.ts";
import { toWireStatement } from "./bind.ts";
import { createChainStore } from "./chain-store.ts";
import { threadDialect } from "./dialect.ts";
import type { Migration, RunAnswer } from "./messages.ts";
import type { Schema } from "./schema.ts";
import { startThread } from "./thread-client.ts";
import type { Database } from "./types.ts";

export interface OpenDatabaseOptions {
  /** The file; created with mode 0600 when absent. Its directory must exist. */
  readonly path: string;
  /** Directory of `NNNN-name.sql` files; the package's own unless told. */
  readonly migrationsDir?: string;
  readonly clock: Clock;
}

const OWN_MIGRATIONS = fileURLToPath(new URL("../../migrations/", import.meta.url));

/**
 * Opens a home's store and becomes its owner until `close()` or the end of the process.
 * @throws {SallyportError} `home_locked` at once when another process owns it, `schema_newer`, `home_unsafe`,
 * `store_unavailable`.
 */
export async function openDatabase(options: OpenDatabaseOptions): Promise<Database> {
  await prepareFile(options.path);
  const migrations = await readMigrations(options.migrationsDir ?? OWN_MIGRATIONS);
  const thread = await startThread({ path: options.path, migrations, now: options.clock.now() });
  const run = (statement: ReturnType<typeof toWireStatement>): Promise<RunAnswer> =>
    thread.ask({ kind: "run", statement }).then(toRunAnswer);
  const query = new Kysely<Schema>({ dialect: threadDialect(run) });
  let closing: Promise<void> | undefined;
  return {
    query,
    async atomically(statements) {
      await thread.ask({
        kind: "atomically",
        statements: statements.map((statement) => toWireStatement(statement.query, statement.expect)),
      });
    },
    chain: createChainStore(query, thread),
    async backup(path) {
      await thread.ask({ kind: "backup", path });
    },
    close() {
      closing ??= thread.ask({ kind: "close" }).then(() => thread.ended);
      return closing;
    },
  };
}

/** Makes the file before the driver does, so that it is never readable for others. An existing one is not opened here. */
async function prepareFile(path: string): Promise<void> {
  const found = await lstat(path).catch(() => null);
  if (!found) {
    const file = await open(path, "wx", 0o600).catch((cause: unknown) => {
      throw new SallyportError("store_unavailable", "The store's file cannot be created.", {
        fix: "Check that the home exists, is yours, and that the disk is not full.",
        cause,
      });
    });
    await file.sync();
    await file.close();
    const directory = await open(dirname(path), "r");
    await directory.sync();
    await directory.close();
    return;
  }
  if (!found.isFile() || (process.getuid && found.uid !== process.getuid())) {
    throw new SallyportError("home_unsafe", "The store's file is not a file of yours.", {
      detail: found.isFile() ? "It belongs to another user." : "It is a link, a directory or a special file.",
      fix: "Move it away, or choose another home with --home.",
    });
  }
  if ((found.mode & 0o777) !== 0o600) await chmod(path, 0o600);
}

async function readMigrations(directory: string): Promise<readonly Migration[]> {
  const names = (await readdir(directory)).filter((name) => /^\d{4}-[a-z0-9-]+\.sql$/.test(name)).toSorted();
  if (names.length === 0) throw new SallyportError("internal", "The program's migrations are missing.");
  return Promise.all(
    names.map(async (name) => ({
      version: Number.parseInt(name, 10),
      name,
      sql: await readFile(join(directory, name), "utf8"),
    })),
  );
}

function toRunAnswer(value: unknown): RunAnswer {
  if (
    typeof value === "object" &&
    value !== null &&
    "rows" in value &&
    Array.isArray(value.rows) &&
    "changes" in value
  ) {
    return { rows: value.rows, changes: Number(value.changes) };
  }
  throw new SallyportError("internal", "The store's thread answered out of shape.");
}
