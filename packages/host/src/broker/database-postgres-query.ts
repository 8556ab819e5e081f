import type { Client, Connection, Submittable } from "pg";
import { displayLine, PolicyViolationError } from "../kernel/index.ts";
import type { DatabaseAnswer, DatabaseLimits, DatabaseQuery, DatabaseValue } from "./database-types.ts";

/** Execute of the unnamed portal, for 200 rows at a time. */
const NEXT_PAGE = Buffer.from([0x45, 0, 0, 0, 9, 0, 0, 0, 0, 200]);
/** What may be on its way when the answer is full. */
const SLACK_BYTES = 4 * 1024 * 1024;

const BOOLEAN = 16;
const BYTES = 17;
const LONG = 20;
const INTEGERS = [21, 23, 26];
const REALS = [700, 701];

/** What the server calls statements about rows; how a text begins is this host's reading, and this is the server's. */
const SERVED = ["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE"];

/** More came than any answer holds, in one row or in what was under way: the connection is of no use any more. */
export class FloodedError extends Error {
  readonly soFar: DatabaseAnswer;
  constructor(soFar: DatabaseAnswer) {
    super("The answer is too large.");
    this.soFar = soFar;
  }
}

/**
 * One statement in the extended protocol, unnamed, which the server takes for one statement or refuses. Rows come in pages, and
 * no more are asked for once the answer is full. The caller ends the transaction around it.
 * @throws {PolicyViolationError} `permission_denied` for what the server says was another kind of statement. @throws {FloodedError} after which the connection is gone. Otherwise what the server or the connection said.
 */
export function askStatement(client: Client, query: DatabaseQuery, limits: DatabaseLimits): Promise<DatabaseAnswer> {
  return new Promise((resolve, reject) => void client.query(statement(query, limits, resolve, reject)));
}

function statement(
  { sql, params }: DatabaseQuery,
  limits: DatabaseLimits,
  resolve: (answer: DatabaseAnswer) => void,
  reject: (error: unknown) => void,
): Submittable {
  const rows: DatabaseValue[][] = [];
  let columns: readonly { readonly name: string; readonly dataTypeID: number }[] = [];
  let described = false;
  let bytes = 0;
  let received = 0;
  let truncated = false;
  let changes = 0;
  let stream: Connection["stream"] | undefined;

  const answerSoFar = (): DatabaseAnswer => ({ columns: columns.map(({ name }) => name), rows, changes, truncated });
  const count = (chunk: Buffer): void => {
    received += chunk.length;
    if (received <= limits.answerBytes + SLACK_BYTES) return;
    truncated = true;
    stream?.off("data", count);
    reject(new FloodedError(answerSoFar()));
    stream?.destroy();
  };

  const submittable = {
    submit(connection: Connection): null {
      stream = connection.stream;
      stream.on("data", count);
      connection.parse({ name: "", text: sql, types: [] }, true);
      connection.bind({ portal: "", statement: "", values: params.map(bound) }, true);
      connection.describe({ type: "P", name: "" }, true);
      connection.stream.write(NEXT_PAGE);
      connection.flush();
      return null;
    },
    handleRowDescription(message: { readonly fields: typeof columns }) {
      columns = message.fields;
      described = true;
      bytes = JSON.stringify(columns.map(({ name }) => name)).length;
    },
    handleDataRow({ fields }: { readonly fields: readonly (string | null)[] }) {
      if (truncated) return;
      const row = fields.map((text, index) => plain(text, columns[index]?.dataTypeID));
      bytes += Buffer.byteLength(JSON.stringify(row)) + 1;
      truncated = rows.length >= limits.rows || bytes > limits.answerBytes;
      if (!truncated) rows.push(row);
    },
    handlePortalSuspended(connection: Connection) {
      if (truncated) return connection.sync();
      connection.stream.write(NEXT_PAGE);
      connection.flush();
    },
    handleCommandComplete({ text }: { readonly text: string }, connection: Connection) {
      const [command = "", ...numbers] = text.split(" ");
      // SELECT INTO is called SELECT as well, and is the one that has no columns, not even none.
      if (!SERVED.includes(command) || (command === "SELECT" && !described)) reject(otherKind(text));
      if (command !== "SELECT") changes = Number(numbers.at(-1) ?? 0) || 0;
      connection.sync();
    },
    handleEmptyQuery: (connection: Connection) => connection.sync(),
    handleReadyForQuery() {
      stream?.off("data", count);
      resolve(answerSoFar());
    },
    handleError(error: Error, connection: Connection) {
      stream?.off("data", count);
      reject(error);
      connection.sync();
    },
    // Neither can come of a statement that is served.
    handleCopyInResponse: (connection: Connection) => void connection.stream.destroy(),
    handleCopyData: () => undefined,
  };
  return submittable;
}

function otherKind(tag: string): PolicyViolationError {
  return new PolicyViolationError("permission_denied", "Plugins read and change rows, and nothing else.", {
    detail: `The server took it for another kind of statement (${displayLine(tag, 60)}). It was undone.`,
  });
}

function bound(value: DatabaseValue): string | Buffer | null {
  if (value === null || typeof value === "string") return value;
  if (typeof value !== "object") return String(value);
  if ("base64" in value) return Buffer.from(value.base64, "base64");
  return "integer" in value ? value.integer : value.real;
}

/** Text as the server wrote it becomes what JSON has for it; dates, numerics, arrays and JSON stay text. */
function plain(text: string | null, type: number | undefined): DatabaseValue {
  if (text === null || type === undefined) return text;
  if (type === BOOLEAN) return text === "t";
  if (type === BYTES) return { base64: Buffer.from(text.slice(2), "hex").toString("base64") };
  if (INTEGERS.includes(type)) return Number(text);
  if (type === LONG) return Number.isSafeInteger(Number(text)) ? Number(text) : { integer: text };
  if (!REALS.includes(type)) return text;
  return Number.isFinite(Number(text)) ? Number(text) : { real: text };
}
