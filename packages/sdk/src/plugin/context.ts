import type { Json } from "../protocol/v1/index.ts";
import type { PluginEvent } from "./told.ts";

/** What the plugin's code is given: every function asks the host, which may refuse with a `SallyportError`. */
export interface Context {
  /** Aborted when the call is cancelled or its deadline has passed. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  readonly fetch: typeof globalThis.fetch;
  readonly files: Files;
  readonly kv: KeyValue;
  readonly secrets: Secrets;
  /** A connection that the operator named and granted. Each statement is a transaction of its own. */
  database(connection: string): Database;
  readonly agent: Agent;
  readonly events: Events;
  /**
   * Runs a granted command of the host's machine once, without a shell, in a jail of its own: no network, no files but
   * `files`, no other programs. It ends with the call. A command that fails is an answer, not an error.
   */
  exec(command: string, args?: readonly string[], options?: ExecOptions): Promise<ExecOutcome>;
  readonly system: System;
  /** The plugin's configuration, valid by its `config_schema`. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly plugin: { readonly id: string; readonly version: string };
  /** The plugin's own directory, as the start of a path: `${ctx.data}/cache.json`. The host knows where it is. */
  readonly data: string;
  /** Tells the caller how far the work is. Outside a call it does nothing. */
  progress(progress: number, total?: number, message?: string): void;
}

/** Bytes are `Uint8Array`, integers over 53 bits `bigint`; dates, decimals and JSON are text, as the database writes them. */
export type DatabaseValue = null | boolean | number | bigint | string | Uint8Array;

export type DatabaseParameter = DatabaseValue | Date;

export interface Database {
  /**
   * One statement with its parameters (`?` in SQLite, `$1` in PostgreSQL). Reading needs a grant with mode `r`, changing rows
   * one with `rw`; schemas, settings and transactions are never served.
   * @throws {SallyportError} `permission_denied`, `busy` (locked: try again), `deadline_exceeded` or `database_failed`.
   */
  query(sql: string, params?: readonly DatabaseParameter[]): Promise<DatabaseResult>;
}

export interface DatabaseResult {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly DatabaseValue[])[];
  /** Rows that the statement changed. */
  readonly changes: number;
  /** Whether there are more rows than these: at most 10,000, and 2 MiB. */
  readonly truncated: boolean;
  /** The rows by their columns' names, without a prototype. @throws {SallyportError} `usage` when two have the same name. */
  records(): readonly Readonly<Record<string, DatabaseValue>>[];
}

export interface ExecOptions {
  readonly stdin?: string | Uint8Array;
  /** Copies in the command's working folder: what each is called there, and the path of a file that this plugin may read. */
  readonly files?: Readonly<Record<string, string>>;
  /** Milliseconds; at most a minute. */
  readonly timeout?: number;
}

export interface ExecOutcome {
  /** The exit code; null when a signal ended it. */
  readonly code: number | null;
  readonly signal: string | null;
  /** As UTF-8. */
  readonly stdout: string;
  readonly stderr: string;
  /** stdout as it was. */
  readonly bytes: Uint8Array;
  /** Whether anything of stdout (1 MiB) or stderr (64 KiB) is missing. A command that writes more to stdout is ended. */
  readonly truncated: boolean;
}

/** Granted facts about the host's machine. */
export interface System {
  /** `hostname`, `load`, … as the manifest names it. */
  get(facet: string): Promise<Json>;
}

/** The context of one tool call. */
export interface ToolContext extends Context {
  readonly call: { readonly id: string; readonly tool: string; readonly agent: string };
}

/** Lines over 8 KiB are cut. Fields over 8 KiB, or that are no JSON, are replaced by a note. */
export interface Logger {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** Files below granted paths. Paths are absolute, or start with `${data}`. */
export interface Files {
  /** The bytes from `offset` (0) on, at most `length` (to the end). */
  read(path: string, range?: { readonly offset?: number; readonly length?: number }): Promise<Uint8Array>;
  /** The whole file as UTF-8. */
  readText(path: string): Promise<string>;
  /** Replaces the file, or writes from `offset` on. Over 1 MiB it is written in pieces. Gives the bytes written. */
  write(path: string, data: string | Uint8Array, options?: { readonly offset?: number }): Promise<number>;
  list(path: string): Promise<readonly FileInfo[]>;
  /** `undefined` when there is nothing. */
  stat(path: string): Promise<Omit<FileInfo, "name"> | undefined>;
  remove(path: string): Promise<void>;
  mkdir(path: string): Promise<void>;
}

export interface FileInfo {
  readonly name: string;
  readonly kind: "file" | "directory";
  /** In bytes. */
  readonly size: number;
  /** Milliseconds since the epoch. */
  readonly modified: number;
}

/** JSON values of the plugin's own, kept over restarts and upgrades. */
export interface KeyValue {
  /** `undefined` when there is no such key. */
  get(key: string): Promise<Json | undefined>;
  set(key: string, value: Json): Promise<void>;
  /** Whether there was one. */
  delete(key: string): Promise<boolean>;
  /** Keys that start with `prefix` (all). */
  list(prefix?: string): Promise<readonly string[]>;
}

/** Other plugins' tools, as the agent of this call may call them, and a word to the operators. */
export interface Agent {
  /**
   * Calls `<plugin>__<tool>` for the agent of this call, through every gate of a call. Only within a tool call, at most 4 deep, and
   * no longer than this call has left.
   * @throws {SallyportError} `permission_denied` without a grant, `unknown_tool`, `approval_required`, `tool_failed`, …
   */
  callTool(tool: string, input?: Json): Promise<Json>;
  /** Puts a note of at most 500 characters before the operators, as this plugin's words. At most a few a minute. */
  notify(text: string): Promise<void>;
}

/** Data for other plugins, and from them. */
export interface Events {
  /** Only within a tool call, or in the handling of an event with `background: true`. At most 64 KiB of JSON. */
  publish(topic: string, payload: Json): Promise<void>;
  /**
   * Called for each event of `topic` (or of a prefix and `*`) that this plugin may consume; in place of an earlier handler of the same
   * text. Do it in `initialize`: what is subscribed ends with the process. In the handler only `log` and `kv` are there, unless
   * `background: true` was granted.
   */
  subscribe(topic: string, handler: (event: PluginEvent, ctx: Context) => unknown): Promise<void>;
}

export interface Secrets {
  /**
   * A placeholder for libraries that want a string: the host replaces it where the manifest declares its use, and nowhere
   * else. The value itself only under an `expose` grant.
   * @throws {SallyportError} `permission_denied` when this plugin has no grant for the secret.
   */
  get(name: string): string;
}

declare global {
  interface RequestInit {
    /** Sallyport: names of secrets that the host writes into this request where the manifest says. */
    secrets?: readonly string[];
  }
}
