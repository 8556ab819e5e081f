import { z } from "zod";
import { PolicyViolationError, SallyportError, sha256 } from "../kernel/index.ts";
import type { CallContext } from "../supervisor/index.ts";
import { canonicalBase64 } from "./base64.ts";
import { statementKind } from "./database-statement.ts";
import type {
  DatabaseAnswer,
  DatabaseConnection,
  DatabaseLimits,
  DatabaseLink,
  DatabaseMode,
  DatabaseValue,
} from "./database-types.ts";
import type { Databases } from "./databases.ts";
import { callOperation, type Operation, wire } from "./operation.ts";
import type { Reach } from "./reach.ts";

const INTEGER = /^-?\d{1,19}$/;

const Value = z.union([
  z.null(),
  z.boolean(),
  z.number(),
  z.string(),
  z.strictObject({ integer: z.string().regex(INTEGER) }),
  z.strictObject({ real: z.enum(["Infinity", "-Infinity", "NaN"]) }),
  z.strictObject({ base64: z.string() }),
]);

const Query = wire({ connection: z.string().min(1).max(128), sql: z.string(), params: z.array(Value) });

export interface DatabaseReport {
  readonly target: string;
  /** How the statement begins. */
  readonly method: string;
  readonly bytes: number;
  /** The password that the host logged in with. */
  readonly secrets?: readonly string[];
  /** Rows that came back and rows that it changed; sha256 of the statement's text, which may hold values, as it is when redacted. */
  readonly data?: { readonly statement: string; readonly rows?: number; readonly changes?: number };
}

export interface DatabaseOperationDeps {
  readonly reach: Reach;
  /** Absent: no connection has a name. */
  readonly databases: Databases | undefined;
  /** Removes known secret values. */
  redactText(text: string): string;
  report(context: CallContext, report: DatabaseReport, error?: unknown): void;
}

export interface DatabaseOperations {
  readonly operations: Readonly<Record<string, Operation>>;
  close(): void;
}

/** `database.query`: one statement with parameters, on a connection that the operator named and granted. */
export function createDatabase(deps: DatabaseOperationDeps): DatabaseOperations {
  const { databases, reach } = deps;
  const links = new Map<string, { readonly connection: DatabaseConnection; readonly link: DatabaseLink }>();

  /** What is configured may change while the plugin runs. */
  function linkTo(from: Databases, connection: DatabaseConnection, mode: DatabaseMode): DatabaseLink {
    const key = `${mode} ${connection.name}`;
    const held = links.get(key);
    if (held && JSON.stringify(held.connection) === JSON.stringify(connection)) return held.link;
    held?.link.close();
    const link = from.open(connection, mode);
    links.set(key, { connection, link });
    return link;
  }

  return {
    operations: {
      "database.query": callOperation(Query, async ({ connection: name, sql, params }, context, signal) => {
        let report: DatabaseReport = { target: name, method: "query", bytes: 0 };
        try {
          if (!reach.allows({ capability: "database", connection: name, mode: "r" })) throw notGranted(name);
          const connection = databases?.find(name);
          if (databases === undefined || connection === undefined) throw unknown(name);
          const bytes = checkSize(sql, params, databases.limits);
          const statement = sha256(deps.redactText(sql));
          const password = connection.kind === "postgres" ? connection.passwordSecret : undefined;
          report = { ...report, bytes, data: { statement }, ...(password !== undefined && { secrets: [password] }) };
          report = { ...report, method: statementKind(sql, connection.kind) };
          const mayWrite = reach.allows({ capability: "database", connection: name, mode: "w" });
          const mode = mayWrite && connection.mode === "rw" ? "rw" : "r";
          const answer = await linkTo(databases, connection, mode).query({ sql, params }, signal);
          const { rows, changes } = answer;
          report = { ...report, bytes: bytes + sizeOf(answer), data: { statement, rows: rows.length, changes } };
          deps.report(context, report);
          return answer;
        } catch (error) {
          deps.report(context, report, error);
          throw error;
        }
      }),
    },
    close() {
      for (const { link } of links.values()) link.close();
      links.clear();
    },
  };
}

function checkSize(sql: string, params: readonly DatabaseValue[], limits: DatabaseLimits): number {
  const sqlBytes = Buffer.byteLength(sql);
  if (sqlBytes > limits.sqlBytes) throw tooMuch(`A statement has at most ${limits.sqlBytes} bytes.`);
  if (params.length > limits.params) throw tooMuch(`A statement has at most ${limits.params} parameters.`);
  let bytes = 0;
  for (const value of params) {
    if (typeof value === "string") {
      bytes += Buffer.byteLength(value);
      if (!value.isWellFormed()) throw new SallyportError("usage", "A parameter holds half a character.");
    } else if (typeof value === "object" && value !== null && "base64" in value) {
      bytes += canonicalBase64(value.base64, limits.paramBytes).length;
    } else if (typeof value === "object" && value !== null && "integer" in value) {
      const integer = BigInt(value.integer);
      if (BigInt.asIntN(64, integer) !== integer)
        throw new SallyportError("usage", "An integer has more than 64 bits.");
    }
  }
  if (bytes > limits.paramBytes) throw tooMuch(`The parameters have at most ${limits.paramBytes} bytes.`);
  return sqlBytes + bytes;
}

function sizeOf(answer: DatabaseAnswer): number {
  return answer.rows.length === 0 ? 0 : Buffer.byteLength(JSON.stringify(answer.rows));
}

function tooMuch(message: string): SallyportError {
  return new SallyportError("limit_exceeded", message, { fix: "Send it in parts." });
}

function notGranted(name: string): PolicyViolationError {
  return new PolicyViolationError("permission_denied", `The plugin has no grant for this database connection.`, {
    detail: `Asked for: ${JSON.stringify(name.slice(0, 60))}`,
    fix: "Ask for it under permissions.database of the manifest.",
  });
}

function unknown(name: string): SallyportError {
  return new SallyportError("not_found", `The host has no database connection ${JSON.stringify(name.slice(0, 60))}.`, {
    fix: "The operator names connections under databases in config.yml.",
  });
}
