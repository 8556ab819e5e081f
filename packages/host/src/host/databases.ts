import type { DatabaseConnection, Databases } from "../broker/index.ts";
import type { Catalog } from "../catalog/index.ts";
import type { Scope } from "../capability/index.ts";
import type { DatabasesApi, DoctorReport } from "../host-api.ts";
import { displayLine, SallyportError } from "../kernel/index.ts";
import type { StoredPlugin } from "../store/index.ts";
import type { ConfigState } from "./config-state.ts";

export interface DatabasesApiDeps {
  readonly databases: Databases;
  readonly catalog: Pick<Catalog, "all">;
  readonly state: Pick<ConfigState, "config" | "decisions">;
}

export function createDatabasesApi({ databases, catalog, state }: DatabasesApiDeps): DatabasesApi {
  const grantedTo = (name: string): readonly string[] => {
    const holds = (record: StoredPlugin): boolean =>
      state.decisions.grantOf(record)?.scopes.some((scope) => isOf(scope, name)) === true;
    return [
      ...new Set(
        catalog
          .all()
          .filter(holds)
          .map(({ ref }) => ref.id),
      ),
    ];
  };
  return {
    list: () =>
      [...state.config.databases.values()].map((connection) => ({
        name: connection.name,
        kind: connection.kind,
        mode: connection.mode,
        target: targetOf(connection),
        plugins: grantedTo(connection.name),
      })),
    async check(name) {
      const connection = state.config.databases.get(name);
      if (connection === undefined) {
        throw new SallyportError("not_found", `config.yml names no connection ${displayLine(name, 64)}.`, {
          fix: "Run: sallyport database list",
        });
      }
      return { name, ...(await databases.check(connection)) };
    },
  };
}

/** One line for each connection. */
export async function databaseChecks(
  connections: ReadonlyMap<string, DatabaseConnection>,
  databases: Databases,
): Promise<DoctorReport["checks"]> {
  return Promise.all(
    [...connections.values()].map(async (connection) => {
      const { ok, facts, problems } = await databases.check(connection);
      const name = `database ${connection.name}`;
      const [first] = problems;
      if (ok || first === undefined) return { name, ok, detail: [...facts, sentenceOfMode(connection)].join("; ") };
      return { name, ok, detail: problems.map(({ problem }) => problem).join(" "), fix: first.fix };
    }),
  );
}

/** What a connection leads to, for people. */
export function targetOf(connection: DatabaseConnection): string {
  if (connection.kind === "sqlite") return displayLine(connection.file, 300);
  const { database, host, port, user } = connection;
  return displayLine(`${database} at ${host}:${port} as ${user}`, 300);
}

/** What is granted, in the words of an approval: the name alone says little about what it leads to. */
export function connectionNote(connections: ReadonlyMap<string, DatabaseConnection>, scope: Scope): string {
  if (scope.capability !== "database") return "";
  const connection = connections.get(scope.connection);
  if (connection === undefined) return " (which config.yml does not name)";
  const kind = connection.kind === "sqlite" ? "the SQLite file" : "the PostgreSQL database";
  return ` (${kind} ${targetOf(connection)})`;
}

function sentenceOfMode({ mode }: DatabaseConnection): string {
  return mode === "r" ? "plugins can be granted reading only" : "plugins can be granted reading and changing";
}

function isOf(scope: Scope, name: string): boolean {
  return scope.capability === "database" && scope.connection === name;
}
