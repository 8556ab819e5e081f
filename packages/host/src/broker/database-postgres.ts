import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import type { ConnectionOptions } from "node:tls";
import pg from "pg";
import { z } from "zod";
import { displayLine, PolicyViolationError, SallyportError } from "../kernel/index.ts";
import type { SecretSource } from "../secrets/index.ts";
import { cancelled, throwIfAborted } from "./aborting.ts";
import { cancelAtServer } from "./database-postgres-cancel.ts";
import { askStatement, FloodedError } from "./database-postgres-query.ts";
import { checkRole, type RoleReport } from "./database-postgres-role.ts";
import { changed, tooSlow } from "./database-sqlite.ts";
import type {
  DatabaseAnswer,
  DatabaseLimits,
  DatabaseLink,
  DatabaseMode,
  DatabaseQuery,
  PostgresConnection,
  StillMeant,
} from "./database-types.ts";
import { createQueue } from "./queue.ts";

export interface PostgresDeps {
  readonly secrets: SecretSource;
  readonly limits: DatabaseLimits;
  /** One more connection to the server, or none; `release` gives it back. */
  take(name: string): { release(): void } | undefined;
  readonly stillMeant: StillMeant;
}

interface Session {
  readonly client: pg.Client;
  readonly version: number;
  readonly checkedAt: number;
  lost: boolean;
  /** A statement is under way; hanging up is not enough then. */
  asking: boolean;
  end(): void;
}

/** A session that is used again was checked no longer ago than this. */
const CHECK_HOLDS_MS = 10_000;
/** From here on the server notices by itself that nobody waits for an answer any more. */
const NOTICES_LOSS = 140_000;

/** Connects as one plugin's way to a server. Each statement is a transaction, and nothing of a session stays behind. */
export function createPostgresLink(
  connection: PostgresConnection,
  mode: DatabaseMode,
  deps: PostgresDeps,
): DatabaseLink {
  const { limits } = deps;
  const queue = createQueue();
  let session: Session | undefined;
  let idle: NodeJS.Timeout | undefined;
  let waiting = 0;
  let closed = false;

  function drop(): void {
    session?.end();
    session = undefined;
  }

  async function ready(): Promise<Session> {
    if (session && (session.lost || performance.now() - session.checkedAt > CHECK_HOLDS_MS)) drop();
    if (session) return session;
    const { opened, report } = await openSession(connection, mode, deps);
    if (!report.ok) {
      opened.end();
      throw roleRefused(connection, report);
    }
    session = opened;
    return opened;
  }

  /** A statement may have waited, and the connection have become another one meanwhile. */
  function assertOpen(): void {
    if (closed) throw cancelled();
    if (!deps.stillMeant(connection)) throw changed(connection);
  }

  async function once(query: DatabaseQuery, signal: AbortSignal): Promise<DatabaseAnswer> {
    assertOpen();
    const opened = await ready();
    throwIfAborted(signal);
    assertOpen();
    try {
      return await within(inTransaction(opened, query, mode, limits), signal, limits.queryMs, connection.name);
    } catch (error) {
      if (error instanceof FloodedError) {
        drop();
        if (mode === "r") return error.soFar;
        throw new SallyportError("limit_exceeded", `The answer is over ${limits.answerBytes} bytes.`, {
          detail: "What the statement did was undone.",
          fix: "Ask for less at once.",
        });
      }
      // What was asked is ended at the server; this session is of no use for anything else.
      if (error instanceof SallyportError || opened.lost) drop();
      throw closed ? cancelled() : failureOf(connection, error);
    }
  }

  return {
    async query(query, signal) {
      if (closed) throw cancelled();
      if (waiting >= limits.waiting) throw new SallyportError("busy", "Too many statements wait for this connection.");
      waiting++;
      clearTimeout(idle);
      try {
        return await queue(signal, () => once(query, signal));
      } finally {
        waiting--;
        if (waiting === 0) {
          idle = setTimeout(drop, closed ? 0 : limits.idleMs);
          idle.unref();
        }
      }
    },
    close() {
      closed = true;
      clearTimeout(idle);
      drop();
    },
  };
}

/** Connects, and asks what the role may do. The caller ends the session. */
export async function openSession(
  connection: PostgresConnection,
  mode: DatabaseMode,
  { secrets, limits, take }: Pick<PostgresDeps, "secrets" | "limits" | "take">,
): Promise<{ readonly opened: Session; readonly report: RoleReport }> {
  const place = take(connection.name);
  if (place === undefined) {
    throw new SallyportError("busy", `Too many connections to ${connection.name} are open.`, { fix: "Try again." });
  }
  let opened: Session | undefined;
  try {
    const client = new pg.Client(await clientConfig(connection, secrets, limits));
    const end = (): void => {
      if (session.lost) return;
      session.lost = true;
      // `end` says good-bye; a server that does not listen is hung up on.
      client.end().catch(() => undefined);
      if (session.asking) void endAtServer(client, connection, limits);
    };
    const session: Session = {
      client,
      version: 0,
      checkedAt: performance.now(),
      lost: false,
      asking: false,
      end,
    };
    opened = session;
    client.on("error", () => end());
    client.once("end", () => {
      session.lost = true;
      place.release();
    });
    await client.connect();
    const report = await within(check(client, mode), undefined, limits.connectMs, connection.name);
    return { opened: Object.assign(session, { version: report.serverVersion }), report };
  } catch (error) {
    if (opened) opened.end();
    else place.release();
    throw failureOf(connection, error);
  }
}

const Key = z.object({ processID: z.number().int(), secretKey: z.number().int() });

/**
 * A statement can take the server's own timeouts away (`set_config`), which hold from its next page of rows on, and then nobody
 * there notices that nobody waits any more, while its locks are held.
 */
async function endAtServer(client: pg.Client, connection: PostgresConnection, limits: DatabaseLimits): Promise<void> {
  const key = Key.safeParse(client);
  const tls = await tlsOf(connection).catch(() => undefined);
  if (!key.success || tls === undefined) return;
  const { host, port } = connection;
  await cancelAtServer({ host, port, tls: tls === false ? undefined : tls }, key.data, limits.connectMs);
}

/** In a transaction, so that names mean the server's own. */
async function check(client: pg.Client, mode: DatabaseMode): Promise<RoleReport> {
  await client.query("BEGIN READ ONLY; SET LOCAL search_path = pg_catalog");
  const report = await checkRole(async (text, values = []) => {
    const { rows } = await client.query({ text, values: [...values], rowMode: "array" });
    return rows;
  }, mode);
  await client.query("ROLLBACK");
  return report;
}

async function inTransaction(
  session: Session,
  query: DatabaseQuery,
  mode: DatabaseMode,
  limits: DatabaseLimits,
): Promise<DatabaseAnswer> {
  const { client, version } = session;
  session.asking = true;
  const settings = [
    `statement_timeout = ${limits.queryMs + 1_000}`,
    `lock_timeout = ${limits.busyMs}`,
    `idle_in_transaction_session_timeout = ${limits.queryMs + 1_000}`,
    ...(version >= NOTICES_LOSS ? ["client_connection_check_interval = 500"] : []),
  ];
  try {
    await client.query(
      [mode === "r" ? "BEGIN READ ONLY" : "BEGIN", ...settings.map((one) => `SET LOCAL ${one}`)].join("; "),
    );
    const result = await askStatement(client, query, limits);
    await client.query(mode === "r" ? "ROLLBACK" : "COMMIT");
    return result;
  } catch (error) {
    await client.query("ROLLBACK").catch(() => undefined);
    throw error;
  } finally {
    // Locks, settings and temporary tables of the session go, and the next statement finds a new one; or the session goes.
    await client.query("DISCARD ALL").catch(() => session.end());
    session.asking = false;
  }
}

async function clientConfig(
  connection: PostgresConnection,
  secrets: SecretSource,
  limits: DatabaseLimits,
): Promise<pg.ClientConfig> {
  const { host, port, database, user } = connection;
  return {
    host,
    port,
    database,
    user,
    // A function in any case: else the environment and files of the host's user would be asked.
    password: () => passwordOf(connection, secrets),
    ssl: await tlsOf(connection),
    application_name: "sallyport",
    client_encoding: "UTF8",
    connectionTimeoutMillis: limits.connectMs,
    keepAlive: true,
    options: "-c DateStyle=ISO -c IntervalStyle=iso_8601 -c bytea_output=hex",
  };
}

async function tlsOf({ host, tls }: PostgresConnection): Promise<ConnectionOptions | false> {
  if (tls === undefined && isHere(host)) return false;
  const ca = tls?.caFile === undefined ? {} : { ca: await readFile(tls.caFile, "utf8") };
  return { rejectUnauthorized: true, minVersion: "TLSv1.2", ...ca };
}

/** Whether what is said to the server stays on this machine. */
export function isHere(host: string): boolean {
  return (
    host.startsWith("/") || host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."))
  );
}

/** Where the password's entry in the vault has to be bound to. */
export function postgresOrigin({ host, port }: Pick<PostgresConnection, "host" | "port">): string {
  const name = host.startsWith("/") ? "localhost" : isIP(host) === 6 ? `[${host}]` : host.toLowerCase();
  return `postgres://${name}:${port}`;
}

function passwordOf(connection: PostgresConnection, secrets: SecretSource): string {
  const { passwordSecret } = connection;
  if (passwordSecret === undefined) return "";
  const origin = postgresOrigin(connection);
  const fix = `Run: sallyport secret set ${passwordSecret} --for ${origin}`;
  const entry = secrets.use(passwordSecret);
  if (entry === undefined) {
    throw new SallyportError("secret_missing", `The secret ${passwordSecret} has no value in the vault.`, { fix });
  }
  if (!entry.origins.includes(origin)) {
    throw new PolicyViolationError("secret_misuse", `The secret ${passwordSecret} is not bound to ${origin}.`, { fix });
  }
  return entry.value;
}

/** What the work gives, or `cancelled`, or `deadline_exceeded`. What it does after that is nobody's concern. */
function within<T>(work: Promise<T>, signal: AbortSignal | undefined, ms: number, name: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(cancelled());
    const timer = setTimeout(() => reject(tooSlow(name, ms)), ms);
    signal?.addEventListener("abort", onAbort, { once: true });
    if (signal?.aborted === true) onAbort();
    work.then(resolve, reject).finally(() => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    });
  });
}

function roleRefused({ name }: PostgresConnection, { problems }: RoleReport): PolicyViolationError {
  return new PolicyViolationError(
    "permission_denied",
    `The role of the connection ${name} may do more than the connection says.`,
    {
      detail: problems.map(({ problem }) => problem).join(" "),
      fix: `The operator looks with: sallyport database check ${name}`,
    },
  );
}

const DENIED = ["42501", "25006"];
const BUSY = ["55P03", "40P01", "40001", "53300"];
const LOGIN = ["28P01", "28000"];

function failureOf({ name }: PostgresConnection, error: unknown): SallyportError {
  if (error instanceof SallyportError) return error;
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
  const message = error instanceof Error ? displayLine(error.message, 500) : "";
  if (DENIED.includes(code)) {
    return new PolicyViolationError("permission_denied", `PostgreSQL: ${message}`, {
      detail: `The role of the connection ${name} has no right to do this.`,
    });
  }
  if (code === "57014") return new SallyportError("deadline_exceeded", `PostgreSQL: ${message}`);
  if (BUSY.includes(code)) return new SallyportError("busy", `PostgreSQL: ${message}`, { fix: "Try again." });
  if (/^[0-9A-Z]{5}$/.test(code) && !LOGIN.includes(code)) {
    return new SallyportError("database_failed", `PostgreSQL: ${message} (${code})`);
  }
  // Of a failed connection the message names addresses, which are the operator's business.
  return new SallyportError(
    "database_failed",
    `The server of the connection ${name} cannot be reached, or does not let this host in.`,
    {
      fix: `The operator looks with: sallyport database check ${name}`,
      cause: error,
    },
  );
}
