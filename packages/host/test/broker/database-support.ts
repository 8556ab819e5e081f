import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "libsql";
import { afterEach, beforeAll } from "vitest";
import {
  createDatabases,
  type DatabaseConnection,
  type DatabaseLimits,
  type Databases,
} from "../../src/broker/index.ts";
import type { DatabaseScope } from "../../src/capability/index.ts";
import type { SqliteConnection } from "../../src/broker/database-types.ts";
import { placeEngine, type Probe, probeIsolation } from "../../src/isolation/index.ts";
import type { IsolationLevel } from "../../src/kernel/index.ts";
import type { SecretEntry } from "../../src/secrets/index.ts";
import { bench, type Bench } from "./support.ts";

const hostIsRoot = process.getuid?.() === 0;

export interface Answer {
  readonly columns: string[];
  readonly rows: unknown[][];
  readonly changes: number;
  readonly truncated: boolean;
}

/** What plugins' databases need of this machine. */
export async function machine() {
  const engine = await placeEngine({ hostIsRoot });
  const probe: Probe = await probeIsolation({ engine, hostIsRoot });
  return { engine, tools: probe.tools, available: probe.report.available, hostIsRoot, forbiddenPaths: [] };
}

export type Machine = Awaited<ReturnType<typeof machine>>;

/** A folder with one SQLite file in it. `sql` runs in a process-wide connection of its own and closes it. */
export function databaseFile(setUp: string): {
  readonly folder: string;
  readonly file: string;
  sql(text: string): void;
  rows(text: string): unknown[];
  remove(): void;
} {
  const folder = mkdtempSync(join(tmpdir(), "sallyport-db-"));
  chmodSync(folder, 0o700);
  const file = join(folder, "data.db");
  const sql = (text: string): void => {
    const own = new Database(file);
    own.exec(text);
    own.close();
  };
  sql(setUp);
  return {
    folder,
    file,
    sql,
    rows(text) {
      const own = new Database(file);
      const rows = own.prepare(text).all();
      own.close();
      return rows;
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

export interface Setting {
  readonly machine: Pick<Machine, "engine" | "tools" | "available" | "hostIsRoot"> & {
    readonly forbiddenPaths: readonly string[];
  };
  readonly connections: readonly DatabaseConnection[];
  readonly granted: readonly Omit<DatabaseScope, "capability">[];
  readonly limits?: Partial<DatabaseLimits>;
  readonly vault?: Readonly<Record<string, Omit<SecretEntry, "updatedAt">>>;
  readonly level?: IsolationLevel;
  readonly signal?: AbortSignal;
}

/** A broker whose operator named connections, and a plugin that was granted some. */
export function plugin(setting: Setting): Bench & {
  readonly databases: Databases;
  query(connection: string, sql: string, params?: unknown[]): Promise<Answer>;
} {
  const { connections, vault = {} } = setting;
  const databases = createDatabases({
    ...setting.machine,
    ...(setting.level && { available: [setting.level] }),
    find: (name) => connections.find((connection) => connection.name === name),
    secrets: { use: (name) => (vault[name] === undefined ? undefined : { ...vault[name], updatedAt: 0 }) },
    ...(setting.limits && { limits: setting.limits }),
  });
  const made = bench({
    databases,
    vault,
    granted: setting.granted.map((scope): DatabaseScope => ({ capability: "database", ...scope })),
    ...(setting.signal && { signal: setting.signal }),
  });
  return {
    ...made,
    databases,
    query: (connection, sql, params = []) => made.ask<Answer>("database.query", { connection, sql, params }),
  };
}

export const SCHEMA = `CREATE TABLE people(id INTEGER PRIMARY KEY, name TEXT UNIQUE, photo BLOB, height REAL);
  INSERT INTO people VALUES (1, 'Ada', x'00ff10', 1.68), (9007199254740993, 'Alan', NULL, 1e999);
  CREATE VIEW names AS SELECT name FROM people;`;
export const COUNT_FOREVER = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)";

/** Files and plugins of one suite, which are gone after each test. */
export function sqliteWorld() {
  let here: Machine;
  const files: ReturnType<typeof databaseFile>[] = [];
  const sessions: { close(): void }[] = [];
  beforeAll(async () => {
    here = await machine();
  });
  afterEach(() => {
    for (const session of sessions.splice(0)) session.close();
    for (const file of files.splice(0)) file.remove();
  });

  const made = (setUp = SCHEMA) => {
    const file = databaseFile(setUp);
    files.push(file);
    return file;
  };
  const connection = (file: string, mode: "r" | "rw" = "rw"): SqliteConnection => ({
    kind: "sqlite",
    name: "app",
    file,
    mode,
  });
  const asPlugin = (file: string, mode: "r" | "rw", more: Partial<Setting> = {}) => {
    const asked = plugin({
      machine: here,
      connections: [connection(file)],
      granted: [{ connection: "app", mode }],
      ...more,
    });
    sessions.push(asked.session);
    return asked;
  };

  return { made, connection, asPlugin, machine: (): Machine => here };
}
