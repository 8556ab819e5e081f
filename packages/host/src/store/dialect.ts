import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from "kysely";
import { SallyportError } from "../kernel/index.ts";
import { toWireStatement } from "./bind.ts";
import type { RunAnswer, WireStatement } from "./messages.ts";

type Run = (statement: WireStatement) => Promise<RunAnswer>;

/** Kysely over the store's thread. Single statements only: an interactive transaction would hold the thread. */
export function threadDialect(run: Run): Dialect {
  return {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => threadDriver(run),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  };
}

function threadDriver(run: Run): Driver {
  const connection: DatabaseConnection = {
    async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
      const answer = await run(toWireStatement(query));
      return { rows: typedRows<R>(answer.rows), numAffectedRows: BigInt(answer.changes) };
    },
    // oxlint-disable-next-line require-yield -- the port asks for a generator
    async *streamQuery() {
      throw new SallyportError("internal", "The store does not stream; read in pages.");
    },
  };
  return {
    init: nothing,
    acquireConnection: () => Promise.resolve(connection),
    beginTransaction: refuse,
    commitTransaction: refuse,
    rollbackTransaction: refuse,
    releaseConnection: nothing,
    destroy: nothing,
  };
}

function refuse(): Promise<void> {
  return Promise.reject(new SallyportError("internal", "The store has no interactive transactions; use atomically()."));
}

function nothing(): Promise<void> {
  return Promise.resolve();
}

/** Kysely derives the row type from the query and the schema; the store's rows are our own. */
function typedRows<R>(rows: readonly unknown[]): R[];
function typedRows(rows: readonly unknown[]): unknown[] {
  return [...rows];
}
