import type { WebSocketInit } from "./websocket.ts";

/** What `send` takes. */
export type Data = string | Blob | ArrayBufferLike | ArrayBufferView;

/** A message as it was when `send` was called. */
export interface Outgoing {
  readonly binary: boolean;
  /** In bytes. */
  readonly size: number;
  readonly bytes: Uint8Array | Promise<Uint8Array>;
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

function syntaxError(message: string): DOMException {
  return new DOMException(message, "SyntaxError");
}

/** What a constructor was given, in one form. @throws {DOMException} `SyntaxError`, as the standard says. */
export function opening(url: string | URL, init: string | readonly string[] | WebSocketInit) {
  const text = String(url);
  if (!URL.canParse(text)) throw syntaxError("WebSocket: the URL is not absolute.");
  const parsed = new URL(text);
  if (parsed.protocol === "http:" || parsed.protocol === "https:")
    parsed.protocol = parsed.protocol.replace("http", "ws");
  if (parsed.protocol !== "ws:" && parsed.protocol !== "wss:")
    throw syntaxError("WebSocket: the URL's scheme is not ws or wss.");
  if (parsed.hash !== "") throw syntaxError("WebSocket: the URL has a fragment.");
  const given = typeof init === "string" || isList(init) ? { protocols: init } : init;
  const { protocols = [], secrets = [] } = given;
  const names = typeof protocols === "string" ? [protocols] : [...protocols];
  if (!names.every((name) => TOKEN.test(name)) || new Set(names).size !== names.length)
    throw syntaxError("WebSocket: a subprotocol is no token, or named twice.");
  return { url: parsed.href, protocols: names, secrets: [...secrets] };
}

function isList(init: readonly string[] | WebSocketInit): init is readonly string[] {
  return Array.isArray(init);
}

/** Bytes are copied now: what the plugin does to its buffer later changes nothing. */
export function outgoing(data: unknown): Outgoing {
  if (data instanceof Blob)
    return { binary: true, size: data.size, bytes: data.arrayBuffer().then((buffer) => new Uint8Array(buffer)) };
  if (ArrayBuffer.isView(data)) return whole(new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice());
  if (data instanceof ArrayBuffer || isShared(data)) return whole(new Uint8Array(data).slice());
  const bytes = new TextEncoder().encode(String(data));
  return { binary: false, size: bytes.length, bytes };
}

function isShared(data: unknown): data is SharedArrayBuffer {
  return typeof SharedArrayBuffer === "function" && data instanceof SharedArrayBuffer;
}

function whole(bytes: Uint8Array): Outgoing {
  return { binary: true, size: bytes.length, bytes };
}

interface CloseFacts {
  readonly code: number;
  readonly reason: string;
  readonly wasClean: boolean;
}

/* Node has no CloseEvent before 23. */
export function closeEvent(facts: CloseFacts): Event {
  const Close: unknown = Reflect.get(globalThis, "CloseEvent");
  return isConstructor(Close) ? new Close("close", facts) : Object.assign(new Event("close"), facts);
}

function isConstructor(value: unknown): value is new (type: string, facts: CloseFacts) => Event {
  return typeof value === "function";
}

/** An event that says why, as an `ErrorEvent` does. */
export function errorEvent(error: unknown): Event {
  const message = error instanceof Error ? error.message : String(error);
  return Object.assign(new Event("error"), { error, message });
}
