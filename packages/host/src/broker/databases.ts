import type { EnginePaths, SandboxTools } from "../isolation/index.ts";
import { type IsolationLevel, toSallyportError } from "../kernel/index.ts";
import type { SecretSource } from "../secrets/index.ts";
import { sqlitePlace } from "./database-place.ts";
import { createPostgresLink, isHere, openSession } from "./database-postgres.ts";
import { createSqliteLink, type SqliteDeps } from "./database-sqlite.ts";
import {
  DATABASE_LIMITS,
  type DatabaseCheck,
  type DatabaseConnection,
  type DatabaseLimits,
  type DatabaseLink,
  type DatabaseMode,
  type PostgresConnection,
  type SqliteConnection,
  type StillMeant,
} from "./database-types.ts";

export interface DatabasesDeps {
  /** The operator's connection of that name, as the configuration is now. */
  find(name: string): DatabaseConnection | undefined;
  readonly secrets: SecretSource;
  readonly engine: EnginePaths;
  readonly tools: SandboxTools;
  /** Isolation levels of this machine. */
  readonly available: readonly IsolationLevel[];
  readonly hostIsRoot: boolean;
  /** Absolute paths that no grant reaches. */
  readonly forbiddenPaths: readonly string[];
  readonly limits?: Partial<DatabaseLimits>;
}

export interface Databases {
  readonly limits: DatabaseLimits;
  find(name: string): DatabaseConnection | undefined;
  open(connection: DatabaseConnection, mode: DatabaseMode): DatabaseLink;
  /** Looks at a connection as it would be opened for a plugin, and changes nothing. Never throws. */
  check(connection: DatabaseConnection): Promise<DatabaseCheck>;
}

/** The databases of an open home, as its operator named them. */
export function createDatabases(deps: DatabasesDeps): Databases {
  const limits = { ...DATABASE_LIMITS, ...deps.limits };
  const open = new Map<string, number>();
  const stillMeant: StillMeant = (connection) =>
    JSON.stringify(deps.find(connection.name)) === JSON.stringify(connection);
  const sqlite: SqliteDeps = { ...deps, limits, forbidden: deps.forbiddenPaths, stillMeant };
  const postgres = {
    secrets: deps.secrets,
    limits,
    stillMeant,
    take(name: string) {
      if ((open.get(name) ?? 0) >= limits.connections) return undefined;
      open.set(name, (open.get(name) ?? 0) + 1);
      let held = true;
      return {
        release() {
          if (held) open.set(name, (open.get(name) ?? 1) - 1);
          held = false;
        },
      };
    },
  };

  async function checkSqlite(connection: SqliteConnection): Promise<DatabaseCheck> {
    const write = connection.mode === "rw";
    const link = createSqliteLink(connection, connection.mode, { ...sqlite, stillMeant: () => true });
    try {
      const { rows } = await link.query(
        { sql: "SELECT count(*) FROM sqlite_schema WHERE type = 'table'", params: [] },
        AbortSignal.timeout(limits.queryMs),
      );
      const place = await sqlitePlace(connection, { write, log: undefined, forbidden: deps.forbiddenPaths });
      const [level] = deps.available;
      return {
        ok: true,
        facts: [
          `SQLite, ${place.file}`,
          `${Number(rows[0]?.[0] ?? 0)} tables, ${place.log ? "with a write-ahead log" : "with a rollback journal"}`,
          `opened behind the walls of ${level ?? "none"}: this file and those beside it that belong to it, ${write ? "to write" : "read-only"}`,
        ],
        problems: [],
      };
    } finally {
      link.close();
    }
  }

  async function checkPostgres(connection: PostgresConnection): Promise<DatabaseCheck> {
    const { opened, report } = await openSession(connection, connection.mode, postgres);
    opened.end();
    const way =
      connection.tls === undefined && isHere(connection.host)
        ? "on this machine, without TLS"
        : "TLS, with the server's certificate verified";
    return { ok: report.ok, facts: [...report.facts, way], problems: report.problems };
  }

  return {
    limits,
    find: deps.find,
    open: (connection, mode) =>
      connection.kind === "sqlite"
        ? createSqliteLink(connection, mode, sqlite)
        : createPostgresLink(connection, mode, postgres),
    async check(connection) {
      try {
        return connection.kind === "sqlite" ? await checkSqlite(connection) : await checkPostgres(connection);
      } catch (thrown) {
        const { message, detail, fix, cause, code } = toSallyportError(thrown);
        const reason = cause instanceof Error ? cause.message : undefined;
        const problem = [message, detail, reason].filter(Boolean).join(" ");
        const mend = `Mend databases.${connection.name} in config.yml, or what it leads to.`;
        return {
          ok: false,
          facts: [],
          problems: [{ problem, fix: code === "database_failed" ? mend : (fix ?? mend) }],
        };
      }
    },
  };
}
