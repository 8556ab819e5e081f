import { RPC_ERRORS } from "./errors.ts";
import type { Notifications, Requests } from "./messages.ts";
import {
  anything,
  base64,
  boolean,
  hex,
  integer,
  list,
  number,
  object,
  oneOf,
  openObject,
  orNull,
  record,
  type Schema,
  text,
} from "./shapes.ts";

const empty = object({});
const call = orNull(text({ minLength: 1 }));
const headers = list({ type: "array", prefixItems: [text(), text()], items: false, minItems: 2 });
const path = text({ minLength: 1 });
const message = { binary: boolean, data: base64 };
const closed = { code: integer(1000), reason: text(), clean: boolean };
const file = { kind: oneOf("file", "directory"), size: integer(), modified_ms: number };

/** Params and result of every request. */
export const REQUEST_SCHEMAS: {
  readonly [Method in keyof Requests]: { readonly params: Schema; readonly result: Schema };
} = {
  hello: {
    params: object({ protocols: list(integer(1)), token: hex(64), nonce: hex(32) }),
    result: object({ protocol: { const: 1 }, token: hex(64), nonce: hex(32), mac: hex(64) }),
  },
  bind: {
    params: object({
      plugin: openObject({ id: text(), version: text(), digest: text() }),
      bundle: text({ format: "uri" }),
      config: record(anything),
      scopes: list(anything),
      tools: list(text()),
      secrets: record(text()),
    }),
    result: object({ tools: list(text()), hooks: list(text()) }),
  },
  initialize: { params: object({ call_id: text() }, "call_id"), result: object({ ok: boolean }) },
  call: {
    params: object({
      call_id: text({ minLength: 1 }),
      tool: text(),
      input: anything,
      timeout_ms: number,
      agent: text(),
    }),
    result: object({ output: anything }),
  },
  hook: {
    params: object({
      call_id: text({ minLength: 1 }),
      handler: text(),
      data: openObject({ event: text() }),
      timeout_ms: number,
      agent: text(),
    }),
    result: object({ output: anything }),
  },
  event: {
    params: object({
      call_id: text({ minLength: 1 }),
      id: text(),
      topic: text(),
      payload: anything,
      publisher: object({ id: text(), version: text() }),
      time_ms: number,
      timeout_ms: number,
      agent: text(),
    }),
    result: object({ output: object({ handled: boolean }) }),
  },
  ping: { params: empty, result: empty },
  shutdown: { params: object({ grace_ms: number }), result: empty },
  fetch: {
    params: object({
      call,
      url: text(),
      method: text(),
      headers,
      body: orNull(base64),
      upload: orNull(text()),
      redirect: oneOf("follow", "manual", "error"),
      secrets: list(text()),
    }),
    result: object({
      status: integer(200),
      status_text: text(),
      headers,
      url: text(),
      redirected: boolean,
      body: orNull(base64),
      stream: orNull(text()),
    }),
  },
  "body.read": { params: object({ call, stream: text() }), result: object({ data: base64, done: boolean }) },
  "body.cancel": { params: object({ call, stream: text() }), result: empty },
  "body.write": { params: object({ call, upload: text(), data: base64, done: boolean }), result: empty },
  "ws.open": {
    params: object({ call, url: text(), protocols: list(text()), secrets: list(text()) }),
    result: object({ socket: text(), protocol: text() }),
  },
  "ws.receive": {
    params: object({ call, socket: text() }),
    result: object({ messages: list(object(message)), close: orNull(object(closed)) }),
  },
  "ws.send": { params: object({ call, socket: text(), ...message }), result: empty },
  "ws.close": {
    params: object({ call, socket: text(), code: orNull(integer(1000)), reason: text() }),
    result: empty,
  },
  "files.read": {
    params: object({ call, path, offset: integer(), length: integer(1) }),
    result: object({ data: base64, size: integer(), done: boolean }),
  },
  "files.write": {
    params: object({ call, path, data: base64, offset: orNull(integer()) }),
    result: object({ bytes: integer() }),
  },
  "files.list": {
    params: object({ call, path }),
    result: object({ entries: list(object({ name: text(), ...file })) }),
  },
  "files.stat": { params: object({ call, path }), result: orNull(object(file)) },
  "files.remove": { params: object({ call, path }), result: empty },
  "files.mkdir": { params: object({ call, path }), result: empty },
  "kv.get": { params: object({ call, key: text() }), result: object({ value: anything, found: boolean }) },
  "kv.set": { params: object({ call, key: text(), value: anything }), result: empty },
  "kv.delete": { params: object({ call, key: text() }), result: object({ deleted: boolean }) },
  "kv.list": { params: object({ call, prefix: text() }), result: object({ keys: list(text()) }) },
  "database.query": {
    params: object({ call, connection: text({ minLength: 1 }), sql: text(), params: list(anything) }),
    result: object({ columns: list(text()), rows: list(list(anything)), changes: integer(), truncated: boolean }),
  },
  exec: {
    params: object({
      call,
      command: text({ minLength: 1 }),
      args: list(text()),
      stdin: orNull(base64),
      files: list(object({ name: text(), path })),
      timeout_ms: orNull(integer(1)),
    }),
    result: object({
      code: orNull(integer()),
      signal: orNull(text()),
      stdout: base64,
      stderr: base64,
      truncated: boolean,
    }),
  },
  "system.get": { params: object({ call, facet: text() }), result: object({ value: anything }) },
  "agent.call": { params: object({ call, tool: text(), input: anything }), result: object({ output: anything }) },
  "agent.notify": { params: object({ call, text: text() }), result: empty },
  "events.publish": { params: object({ call, topic: text(), payload: anything }), result: empty },
  "events.subscribe": { params: object({ call, topic: text() }), result: empty },
};

/** Params of every notification. */
export const NOTIFICATION_SCHEMAS: { readonly [Method in keyof Notifications]: Schema } = {
  cancel: object({ call_id: text(), reason: text() }),
  log: object(
    { call, level: oneOf("debug", "info", "warn", "error"), message: text(), fields: record(anything) },
    "fields",
  ),
  progress: object({ call, progress: number, total: number, message: text() }, "total", "message"),
};

const pluginFailed = object({
  code: { const: RPC_ERRORS.pluginFailed },
  message: text(),
  data: object({ kind: oneOf("tool_failed", "load_failed", "initialize_failed") }),
});
const hostRefused = object({
  code: { const: RPC_ERRORS.hostRefused },
  message: text(),
  data: object({ code: text(), fix: text() }, "fix"),
});
const protocolError = object({ code: integer(-32768), message: text() });

/** One document with the schema of every message: a line is valid when it matches one of `$defs`. */
export function protocolSchema(): Schema {
  const version = { const: "2.0" };
  const id = integer(1);
  const defs: Record<string, Schema> = {};
  for (const [method, { params, result }] of Object.entries(REQUEST_SCHEMAS)) {
    defs[`${method}.request`] = object({ jsonrpc: version, id, method: { const: method }, params });
    defs[`${method}.response`] = object({ jsonrpc: version, id, result });
  }
  for (const [method, params] of Object.entries(NOTIFICATION_SCHEMAS)) {
    defs[`${method}.notification`] = object({ jsonrpc: version, method: { const: method }, params });
  }
  defs["error"] = object({ jsonrpc: version, id, error: { anyOf: [pluginFailed, hostRefused, protocolError] } });
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Sallyport plugin protocol, version 1",
    description:
      "JSON-RPC 2.0, one object a line, over the plugin process's stdin and stdout. A line is at most 4 MiB.",
    anyOf: Object.keys(defs).map((name) => ({ $ref: `#/$defs/${name}` })),
    $defs: defs,
  };
}
