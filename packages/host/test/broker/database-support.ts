import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "libsql";
import {
  createDatabases,
  type DatabaseConnection,
  type DatabaseLimits,
  type Databases,
} from "../../src/broker/index.ts";
import type { DatabaseScope } from "../../src/capability/index.ts";
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
