import type { DatabaseValue } from "../plugin/index.ts";
import type { Json } from "../protocol/v1/index.ts";

/** Answers one request of the plugin; `undefined` means that the plugin has no grant for it. */
export type FakeFetch = (request: Request) => Response | undefined | Promise<Response | undefined>;

/** The server's end of a WebSocket that the plugin opened. */
export interface FakeSocket {
  send(data: string | Uint8Array): void;
  /** 1000 unless told. */
  close(code?: number, reason?: string): void;
}

/** Gives what takes the plugin's messages; `undefined` means that the plugin has no grant for it. */
export type FakeWebSocket = (
  socket: FakeSocket,
  request: { readonly url: string; readonly protocols: readonly string[] },
) => ((data: string | Uint8Array) => void) | undefined;

/** What a command did; absent parts are exit code 0 and no output. */
export interface FakeRun {
  readonly code?: number | null;
  readonly signal?: string | null;
  readonly stdout?: string | Uint8Array;
  readonly stderr?: string | Uint8Array;
  readonly truncated?: boolean;
}

/** Answers one `ctx.exec`, with the output or more; `undefined` means that the plugin has no grant for it. */
export type FakeExec = (
  command: string,
  args: readonly string[],
  given: { readonly stdin: string; readonly files: Readonly<Record<string, string>> },
) => string | FakeRun | undefined | Promise<string | FakeRun | undefined>;

/** Answers one statement; absent parts are no rows and no change. `undefined` means that the plugin has no grant for it. */
export type FakeDatabase = (
  sql: string,
  params: readonly DatabaseValue[],
) => FakeRows | undefined | Promise<FakeRows | undefined>;

export interface FakeRows {
  readonly columns?: readonly string[];
  readonly rows?: readonly (readonly DatabaseValue[])[];
  readonly changes?: number;
  readonly truncated?: boolean;
}

/** What the host grants in a test, and what is behind each grant. What is not here is refused, as in real life. */
export interface Fakes {
  /**
   * One function for all requests, or answers by `"[METHOD ]URL"`, where the URL may end in `*`:
   * `{ "GET https://api.example.com/data/*": Response.json({ celsius: 21 }) }`.
   */
  readonly fetch?: FakeFetch | Readonly<Record<string, Response | FakeFetch>>;
  /** Answers the WebSockets that the plugin opens. */
  readonly webSocket?: FakeWebSocket;
  /** Files that are there, by path (`${data}/…` or absolute). Each may be read. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  /** Granted directories and files, as in the manifest. */
  readonly filesystem?: readonly { readonly path: string; readonly mode: "r" | "rw" }[];
  /** Values that are there. Every plugin may use kv. */
  readonly kv?: Readonly<Record<string, Json>>;
  /** Tools that `ctx.agent.callTool` may call, by `<plugin>__<tool>`: an answer, or what answers. A throw is `tool_failed`. */
  readonly agentTools?: Readonly<Record<string, Json | ((input: Json) => Json | Promise<Json>)>>;
  /** Whether `ctx.agent.notify` is granted. */
  readonly notify?: boolean;
  /** Granted topics, with a `*` at the end for a prefix. */
  readonly publish?: readonly string[];
  readonly consume?: readonly string[];
  /** Granted secrets, by name; the plugin sees a placeholder. */
  readonly secrets?: readonly string[];
  /** Granted connections for `ctx.database`, by name. */
  readonly databases?: Readonly<Record<string, FakeDatabase>>;
  /** What granted commands do. */
  readonly exec?: FakeExec;
  /** Granted facts for `ctx.system.get`, by name. */
  readonly system?: Readonly<Record<string, Json>>;
}
