/**
 * The process that opens one SQLite database and answers one query at a time. It runs in Deno, behind walls of which this file
 * is no part: what it refuses is refused early and in clear words; what it failed to refuse would find nothing but the
 * database's own files. It is bundled into one text, from which it is started.
 */
import { constants, DatabaseSync, type StatementSync } from "node:sqlite";
import { fromBase64, toBase64 } from "@sallyport/sdk/runtime";

type Value =
  | null
  | boolean
  | number
  | string
  | { readonly integer: string }
  | { readonly real: string }
  | { readonly base64: string };

interface Query {
  readonly sql: string;
  readonly params: readonly Value[];
  readonly rows: number;
  readonly bytes: number;
}

interface Setup {
  readonly path: string;
  readonly companions: readonly string[];
  readonly write: boolean;
  readonly wal: boolean;
  readonly busyMs: number;
  readonly valueBytes: number;
  readonly heapBytes: number;
}

/** Reading what is stored, and functions. Everything else is not in the list, and so refused. */
const READS: readonly number[] = [
  constants.SQLITE_SELECT,
  constants.SQLITE_READ,
  constants.SQLITE_FUNCTION,
  constants.SQLITE_RECURSIVE,
];
const WRITES: readonly number[] = [constants.SQLITE_INSERT, constants.SQLITE_UPDATE, constants.SQLITE_DELETE];
const NO_FUNCTIONS: readonly string[] = ["load_extension", "fts3_tokenizer"];
/** What `pragma_…()` tables may ask: how tables are made. Full-text search asks whether its table is still the one it knows. */
const PRAGMAS: readonly string[] = [
  "data_version",
  "table_info",
  "table_xinfo",
  "table_list",
  "index_list",
  "index_info",
  "index_xinfo",
  "foreign_key_list",
];
const LIMITS = {
  attach: 0,
  sqlLength: 1_000_000,
  exprDepth: 200,
  compoundSelect: 100,
  triggerDepth: 32,
  functionArg: 1000,
};
/** Of the header: 2 says that a write-ahead log is kept. */
const READ_VERSION_AT = 19;
const COLLECT = "sallyport_collect";

class Refused extends Error {
  readonly what: string;
  constructor(what: string) {
    super(what);
    this.what = what;
  }
}

const setup: Setup = JSON.parse(Deno.args[0] ?? "{}");

function answer(query: Query): string {
  // Before it is opened: closing any descriptor of a file gives up the locks on it.
  if (keepsLog(setup.path) !== setup.wal) throw new Refused("log");
  const db = new DatabaseSync(setup.path, { readOnly: !setup.write, timeout: setup.busyMs, allowExtension: false });
  try {
    prepareConnection(db);
    return run(db, query);
  } finally {
    db.close();
  }
}

function keepsLog(path: string): boolean {
  const header = new Uint8Array(32);
  using file = Deno.openSync(path);
  return (file.readSync(header) ?? 0) > READ_VERSION_AT && header[READ_VERSION_AT] === 2;
}

function prepareConnection(db: DatabaseSync): void {
  Object.assign(db.limits, { ...LIMITS, length: setup.valueBytes });
  db.enableDefensive(true);
  for (const pragma of [
    "trusted_schema=OFF",
    "cell_size_check=ON",
    "temp_store=MEMORY",
    "mmap_size=0",
    `hard_heap_limit=${setup.heapBytes}`,
  ])
    db.exec(`PRAGMA ${pragma}`);
  // The first look may undo what a program left half done, and would remove the journal; in this mode it clears it.
  const clears = setup.write && !setup.wal;
  if (clears) db.exec("PRAGMA locking_mode=EXCLUSIVE");
  const [mode] = Object.values(db.prepare("PRAGMA journal_mode").get() ?? {});
  if ((mode === "wal") !== setup.wal) throw new Refused("log");
  // The journal is a mount of its own: it can be emptied, and not be removed.
  if (clears) db.exec("PRAGMA locking_mode=NORMAL; PRAGMA journal_mode=TRUNCATE; SELECT 1 FROM sqlite_schema LIMIT 0");
}

/** What the plugin's statement may do. `open` is for statements of ours. */
interface Guard {
  open: boolean;
  writes: boolean;
  refused?: string;
}

function run(db: DatabaseSync, query: Query): string {
  const guard: Guard = { open: false, writes: false };
  db.setAuthorizer((action, first, second) => decide(guard, action, first, second));
  const ours = (sql: string): void => {
    guard.open = true;
    db.exec(sql);
    guard.open = false;
  };
  try {
    const statement = db.prepare(query.sql);
    if (/[^\s;]/.test(withoutComments(query.sql.slice(statement.sourceSQL.length)))) throw new Refused("several");
    ours(guard.writes ? "BEGIN IMMEDIATE" : "BEGIN");
    // Takes the lock; from here on nobody else removes a journal.
    ours("SELECT 1 FROM sqlite_schema LIMIT 0");
    if ([setup.path, ...setup.companions].some((path) => Deno.statSync(path).nlink === 0)) throw new Refused("stale");
    const { writes } = guard;
    const result = writes ? change(statement, query) : read(db, statement, query);
    ours("COMMIT");
    return `{${result},"writes":${writes}}`;
  } catch (error) {
    guard.open = true;
    if (db.isTransaction) db.exec("ROLLBACK");
    if (guard.refused !== undefined) return JSON.stringify({ error: "denied", message: guard.refused });
    throw error;
  }
}

function decide(guard: Guard, action: number, first: string | null, second: string | null): number {
  if (guard.open) return constants.SQLITE_OK;
  if (WRITES.includes(action) && setup.write && !isSystemTable(first)) {
    guard.writes = true;
    return constants.SQLITE_OK;
  }
  const name = (second ?? "").toLowerCase();
  if (READS.includes(action) && !(action === constants.SQLITE_FUNCTION && NO_FUNCTIONS.includes(name)))
    return constants.SQLITE_OK;
  if (action === constants.SQLITE_PRAGMA && PRAGMAS.includes((first ?? "").toLowerCase())) return constants.SQLITE_OK;
  guard.refused ??= describe(action);
  return constants.SQLITE_DENY;
}

/** The rows of an answer, as text at once, as far as the caps let through. */
class Rows {
  readonly #columns: string;
  readonly #rows: string[] = [];
  readonly #query: Query;
  #bytes: number;
  truncated = false;

  constructor(statement: StatementSync, query: Query) {
    this.#columns = JSON.stringify(statement.columns().map(({ name }) => name));
    this.#bytes = byteLength(this.#columns);
    this.#query = query;
  }

  /** @returns false when there is no room. */
  add(row: readonly unknown[]): boolean {
    const shown = row.some((value) => sizeOf(value) > this.#query.bytes) ? undefined : JSON.stringify(row.map(plain));
    this.#bytes += shown === undefined ? 0 : byteLength(shown) + 1;
    this.truncated ||= shown === undefined || this.#rows.length >= this.#query.rows || this.#bytes > this.#query.bytes;
    if (this.truncated || shown === undefined) return false;
    this.#rows.push(shown);
    return true;
  }

  text(changes: number): string {
    return `"columns":${this.#columns},"rows":[${this.#rows.join(",")}],"truncated":${this.truncated},"changes":${changes}`;
  }
}

/**
 * Each row is handed over as SQLite comes to it, so that no more of them than the answer holds are ever made. The engine's own
 * iterator does not tell a failure from the end. The statement was understood by itself before, so that it cannot end what
 * is written around it.
 */
function read(db: DatabaseSync, statement: StatementSync, query: Query): string {
  const rows = new Rows(statement, query);
  const names = statement
    .columns()
    .map((_, index) => `c${index}`)
    .join(",");
  db.aggregate(COLLECT, {
    start: 0,
    directOnly: true,
    useBigIntArguments: true,
    varargs: true,
    step(_: number, ...row: unknown[]) {
      if (!rows.add(row)) throw new Error("enough");
      return 0;
    },
    result: () => 1,
  });
  const sql = statement.sourceSQL.replace(/;\s*$/, "");
  const collect = db.prepare(
    `WITH "the answer"(${names}) AS (\n${sql}\n) SELECT ${COLLECT}(${names}) FROM "the answer"`,
  );
  let done: unknown;
  try {
    [done] = Object.values(collect.get(...query.params.map(bound)) ?? {});
  } catch (error) {
    if (!rows.truncated) throw error;
  }
  if (done !== 1 && !rows.truncated) throw new Refused("form");
  return rows.text(0);
}

function change(statement: StatementSync, query: Query): string {
  const rows = new Rows(statement, query);
  const params = query.params.map(bound);
  if (statement.columns().length === 0) return rows.text(Number(statement.run(...params).changes));
  statement.setReadBigInts(true);
  statement.setReturnArrays(true);
  const made = statement.all(...params);
  for (const row of made) if (!Array.isArray(row) || !rows.add(row)) break;
  return rows.text(made.length);
}

function sizeOf(value: unknown): number {
  return typeof value === "string" || value instanceof Uint8Array ? value.length : 0;
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** Tables of SQLite's own hold the schema and its statistics. */
function isSystemTable(name: string | null): boolean {
  return name === null || name.toLowerCase().startsWith("sqlite_");
}

function withoutComments(sql: string): string {
  return sql.replaceAll(/--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/g, " ");
}

function describe(action: number): string {
  const found = Object.entries(constants).find(([name, value]) => value === action && /^SQLITE_[A-Z_]+$/.test(name));
  return found?.[0].slice("SQLITE_".length).toLowerCase().replaceAll("_", " ") ?? "this";
}

function bound(value: Value): null | number | bigint | string | Uint8Array {
  if (typeof value === "boolean") return value ? 1 : 0;
  if (value === null || typeof value !== "object") return value;
  if ("integer" in value) return BigInt(value.integer);
  if ("real" in value) return Number(value.real);
  return fromBase64(value.base64);
}

function plain(value: unknown): Value {
  if (typeof value === "bigint") {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : { integer: value.toString() };
  }
  if (typeof value === "number") return Number.isFinite(value) ? value : { real: String(value) };
  if (value instanceof Uint8Array) return { base64: toBase64(value) };
  return typeof value === "string" ? value : null;
}

function reply(line: string): string {
  try {
    const query: Query = JSON.parse(line);
    return answer(query);
  } catch (error) {
    if (error instanceof Refused) return JSON.stringify({ error: error.what });
    const code = error instanceof Error && "errcode" in error ? Number(error.errcode) : null;
    const message = error instanceof Error ? error.message.slice(0, 500) : "unknown";
    return JSON.stringify({ error: "failed", message, code });
  }
}

function say(line: string): void {
  let bytes = new TextEncoder().encode(`${line}\n`);
  while (bytes.length > 0) bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
}

/** One line when it is ready, and then one for each query. */
async function main(): Promise<void> {
  say("{}");
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of Deno.stdin.readable) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n")) {
      const line = text.slice(0, end);
      text = text.slice(end + 1);
      say(reply(line));
    }
  }
}

void main();
