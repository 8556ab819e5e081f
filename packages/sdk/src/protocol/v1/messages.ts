/** Shapes of protocol v1: JSON-RPC 2.0, one object a line, over the plugin process's stdin and stdout. */

import type {
  BodyCancelParams,
  BodyReadParams,
  BodyReadResult,
  BodyWriteParams,
  FetchParams,
  FetchResult,
  WsCloseParams,
  WsOpenParams,
  WsOpenResult,
  WsReceiveResult,
  WsSendParams,
  WsSocketParams,
} from "./network-messages.ts";
import type { CallId, Json, LogLevel } from "./values.ts";

export interface HelloParams {
  readonly protocols: readonly number[];
  /** 64 hex digits, used once. */
  readonly token: string;
  /** 32 hex digits. */
  readonly nonce: string;
}

export interface HelloResult {
  readonly protocol: 1;
  readonly token: string;
  readonly nonce: string;
  /** HMAC-SHA256 with the token's 32 bytes over `sallyport-handshake-v1\n1\n<host nonce>\n<runner nonce>`, in hex. */
  readonly mac: string;
}

export interface BindParams {
  readonly plugin: { readonly id: string; readonly version: string; readonly digest: string };
  /** `file:` URL of the bundle. */
  readonly bundle: string;
  readonly config: { readonly [key: string]: Json };
  readonly scopes: readonly Json[];
  /** Tools that the manifest declares. */
  readonly tools: readonly string[];
  /** Name of a secret → its placeholder, or its value under an `expose` grant. */
  readonly secrets: { readonly [name: string]: string };
}

export interface BindResult {
  /** Tools that the code offers. */
  readonly tools: readonly string[];
  readonly hooks: readonly string[];
}

export interface InitializeParams {
  /** What requests made during `initialize` name as their call; absent: they name none. */
  readonly call_id?: string;
}

export interface InitializeResult {
  readonly ok: boolean;
}

export interface CallParams {
  readonly call_id: string;
  readonly tool: string;
  readonly input: Json;
  readonly timeout_ms: number;
  readonly agent: string;
}

export interface CallResult {
  readonly output: Json;
}

/** A function of the plugin's `hooks` is called. */
export interface HookParams {
  /** What requests made by it name as their call. */
  readonly call_id: string;
  readonly handler: string;
  /** `tool.before_call`, `tool.after_call` or `plugin.lifecycle`, and what is said of it. */
  readonly data: { readonly event: string; readonly [key: string]: Json };
  readonly timeout_ms: number;
  readonly agent: string;
}

export interface HookResult {
  /** Of `tool.before_call`: the verdict. */
  readonly output: Json;
}

/** An event of a topic that this plugin may consume. */
export interface EventParams {
  readonly call_id: string;
  readonly id: string;
  readonly topic: string;
  readonly payload: Json;
  readonly publisher: { readonly id: string; readonly version: string };
  readonly time_ms: number;
  readonly timeout_ms: number;
  readonly agent: string;
}

export interface EventResult {
  readonly output: {
    /** Whether anything subscribes to the topic. */
    readonly handled: boolean;
  };
}

export interface CancelParams {
  readonly call_id: string;
  readonly reason: string;
}

export interface ShutdownParams {
  readonly grace_ms: number;
}

export interface FilesReadParams {
  readonly call: CallId;
  /** An absolute path, or one that starts with `${data}/`. */
  readonly path: string;
  readonly offset: number;
  readonly length: number;
}

export interface FilesReadResult {
  readonly data: string;
  /** Size of the whole file in bytes. */
  readonly size: number;
  readonly done: boolean;
}

export interface FilesWriteParams {
  readonly call: CallId;
  readonly path: string;
  readonly data: string;
  /** Where to write; null replaces the file. */
  readonly offset: number | null;
}

export interface FilesWriteResult {
  readonly bytes: number;
}

export interface FilesPathParams {
  readonly call: CallId;
  readonly path: string;
}

export interface FileEntry {
  readonly name: string;
  readonly kind: "file" | "directory";
  readonly size: number;
  readonly modified_ms: number;
}

export interface FilesListResult {
  readonly entries: readonly FileEntry[];
}

export type FilesStatResult = Omit<FileEntry, "name"> | null;

export interface KvKeyParams {
  readonly call: CallId;
  readonly key: string;
}

export interface KvGetResult {
  readonly value: Json;
  readonly found: boolean;
}

export interface KvSetParams {
  readonly call: CallId;
  readonly key: string;
  readonly value: Json;
}

export interface KvDeleteResult {
  readonly deleted: boolean;
}

export interface KvListParams {
  readonly call: CallId;
  readonly prefix: string;
}

export interface KvListResult {
  readonly keys: readonly string[];
}

export interface AgentCallParams {
  readonly call: CallId;
  /** `<plugin>__<tool>`. */
  readonly tool: string;
  readonly input: Json;
}

export interface AgentCallResult {
  readonly output: Json;
}

export interface AgentNotifyParams {
  readonly call: CallId;
  readonly text: string;
}

export interface EventsPublishParams {
  readonly call: CallId;
  readonly topic: string;
  readonly payload: Json;
}

export interface EventsSubscribeParams {
  readonly call: CallId;
  readonly topic: string;
}

/** What JSON cannot carry as it is: integers over 53 bits, `Infinity` and `NaN`, bytes. */
export type DatabaseWireValue =
  | null
  | boolean
  | number
  | string
  | { readonly integer: string }
  | { readonly real: string }
  | { readonly base64: string };

export interface DatabaseQueryParams {
  readonly call: CallId;
  /** Name of the operator's connection. */
  readonly connection: string;
  /** One statement. */
  readonly sql: string;
  /** Of its parameters (`?` in SQLite, `$1` in PostgreSQL), in order. */
  readonly params: readonly DatabaseWireValue[];
}

export interface DatabaseQueryResult {
  readonly columns: readonly string[];
  /** Each as long as `columns`. */
  readonly rows: readonly (readonly DatabaseWireValue[])[];
  /** Rows that the statement changed. */
  readonly changes: number;
  /** Whether there are more rows than these; the host's caps are in docs/databases.md. */
  readonly truncated: boolean;
}

export interface ExecParams {
  readonly call: CallId;
  /** A name or an absolute path, as the manifest has it. */
  readonly command: string;
  readonly args: readonly string[];
  /** The whole input in base64, or null for none. */
  readonly stdin: string | null;
  /** Copies of files that the plugin may read, in the command's working folder under these names. */
  readonly files: readonly { readonly name: string; readonly path: string }[];
  /** Null: the host's usual time. */
  readonly timeout_ms: number | null;
}

export interface ExecResult {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly signal: string | null;
  /** In base64. */
  readonly stdout: string;
  readonly stderr: string;
  /** Whether anything of the two is missing. */
  readonly truncated: boolean;
}

export interface SystemGetParams {
  readonly call: CallId;
  readonly facet: string;
}

export interface SystemGetResult {
  readonly value: Json;
}

export interface LogParams {
  readonly call: CallId;
  readonly level: LogLevel;
  readonly message: string;
  readonly fields?: { readonly [key: string]: Json };
}

export interface ProgressParams {
  readonly call: CallId;
  readonly progress: number;
  readonly total?: number;
  readonly message?: string;
}

type Empty = { readonly [key: string]: never };

/** Every request: what it carries and what answers it. */
export interface Requests {
  hello: { params: HelloParams; result: HelloResult };
  bind: { params: BindParams; result: BindResult };
  initialize: { params: InitializeParams; result: InitializeResult };
  call: { params: CallParams; result: CallResult };
  hook: { params: HookParams; result: HookResult };
  event: { params: EventParams; result: EventResult };
  ping: { params: Empty; result: Empty };
  shutdown: { params: ShutdownParams; result: Empty };
  fetch: { params: FetchParams; result: FetchResult };
  "body.read": { params: BodyReadParams; result: BodyReadResult };
  "body.cancel": { params: BodyCancelParams; result: Empty };
  "body.write": { params: BodyWriteParams; result: Empty };
  "ws.open": { params: WsOpenParams; result: WsOpenResult };
  "ws.receive": { params: WsSocketParams; result: WsReceiveResult };
  "ws.send": { params: WsSendParams; result: Empty };
  "ws.close": { params: WsCloseParams; result: Empty };
  "files.read": { params: FilesReadParams; result: FilesReadResult };
  "files.write": { params: FilesWriteParams; result: FilesWriteResult };
  "files.list": { params: FilesPathParams; result: FilesListResult };
  "files.stat": { params: FilesPathParams; result: FilesStatResult };
  "files.remove": { params: FilesPathParams; result: Empty };
  "files.mkdir": { params: FilesPathParams; result: Empty };
  "kv.get": { params: KvKeyParams; result: KvGetResult };
  "kv.set": { params: KvSetParams; result: Empty };
  "kv.delete": { params: KvKeyParams; result: KvDeleteResult };
  "kv.list": { params: KvListParams; result: KvListResult };
  "database.query": { params: DatabaseQueryParams; result: DatabaseQueryResult };
  exec: { params: ExecParams; result: ExecResult };
  "system.get": { params: SystemGetParams; result: SystemGetResult };
  "agent.call": { params: AgentCallParams; result: AgentCallResult };
  "agent.notify": { params: AgentNotifyParams; result: Empty };
  "events.publish": { params: EventsPublishParams; result: Empty };
  "events.subscribe": { params: EventsSubscribeParams; result: Empty };
}

/** Every notification: what it carries. */
export interface Notifications {
  cancel: CancelParams;
  log: LogParams;
  progress: ProgressParams;
}
