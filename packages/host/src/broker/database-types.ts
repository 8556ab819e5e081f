/** A connection that the operator named in config.yml. Nothing in it is a plugin's. */
export type DatabaseConnection = SqliteConnection | PostgresConnection;

export interface SqliteConnection {
  readonly kind: "sqlite";
  readonly name: string;
  /** Absolute path. */
  readonly file: string;
  /** The most that any grant can give. */
  readonly mode: DatabaseMode;
}

export interface PostgresConnection {
  readonly kind: "postgres";
  readonly name: string;
  /** A name, an address, or the absolute path of the socket's folder. */
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  /** Name in the vault; absent: the server asks for none. */
  readonly passwordSecret?: string | undefined;
  /** Present, or the server is not on this machine: TLS, verified, with these authorities (a file in PEM) or Node's. */
  readonly tls?: { readonly caFile?: string | undefined } | undefined;
  readonly mode: DatabaseMode;
}

export type DatabaseMode = "r" | "rw";

/** JSON cannot carry these four as they are. */
export type DatabaseValue =
  | null
  | boolean
  | number
  | string
  | { readonly integer: string }
  | { readonly real: string }
  | { readonly base64: string };

export interface DatabaseQuery {
  readonly sql: string;
  /** Of the statement's parameters, in order. */
  readonly params: readonly DatabaseValue[];
}

export interface DatabaseAnswer {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly DatabaseValue[])[];
  /** Rows that the statement changed. */
  readonly changes: number;
  /** There was more than the caps let through. */
  readonly truncated: boolean;
}

/** One plugin's way to one connection. Queries run one after the other. */
export interface DatabaseLink {
  /** @throws {SallyportError} The statement is over, or undone, when this rejects; but see `cancelled` and `deadline_exceeded`. */
  query(query: DatabaseQuery, signal: AbortSignal): Promise<DatabaseAnswer>;
  close(): void;
}

/** Whether the operator still means this by its name; a statement may have waited. */
export type StillMeant = (connection: DatabaseConnection) => boolean;

/** What a look at a connection found. */
export interface DatabaseCheck {
  readonly ok: boolean;
  readonly facts: readonly string[];
  readonly problems: readonly { readonly problem: string; readonly fix: string }[];
}

export interface DatabaseLimits {
  /** UTF-8 bytes of one statement. */
  readonly sqlBytes: number;
  readonly params: number;
  readonly paramBytes: number;
  readonly rows: number;
  /** Of an answer's rows, as JSON. */
  readonly answerBytes: number;
  /** One value inside SQLite. */
  readonly valueBytes: number;
  /** SQLite's own memory. */
  readonly heapBytes: number;
  /** From the start of a statement to its end. */
  readonly queryMs: number;
  /** To a server, with the checks of the role. */
  readonly connectMs: number;
  /** How long SQLite waits for the locks of others. */
  readonly busyMs: number;
  /** A process or connection without a query is closed after. */
  readonly idleMs: number;
  /** Server connections, of all plugins, by one name. */
  readonly connections: number;
  /** Statements that wait for the one before. */
  readonly waiting: number;
}

export const DATABASE_LIMITS: DatabaseLimits = {
  sqlBytes: 100_000,
  params: 1_000,
  paramBytes: 1024 * 1024,
  rows: 10_000,
  answerBytes: 2 * 1024 * 1024,
  valueBytes: 64 * 1024 * 1024,
  heapBytes: 128 * 1024 * 1024,
  queryMs: 10_000,
  connectMs: 5_000,
  busyMs: 2_000,
  idleMs: 10_000,
  connections: 16,
  waiting: 100,
};
