import { isUtf8 } from "node:buffer";
import type { Duplex } from "node:stream";
import type { JSONRPCMessage, RequestId, Transport } from "@modelcontextprotocol/server";
import { LIMITS } from "../kernel/index.ts";
import { readMessage, type Refusal } from "./message.ts";

/** Requests of one client that may be unanswered at the same time; more are answered with an error at once. */
export const MAX_IN_FLIGHT = 256;
/** Unsent answers from which on nothing more is read from the client, bytes. */
const PAUSE_BYTES = 1024 * 1024;
const LINGER_MS = 5000;
const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const BUSY = -32_000;
const INVALID_REQUEST = -32_600;
const NOT_UTF8 = { refusal: { id: null, code: -32_700, message: "This is not UTF-8." } };

export interface StreamTransport {
  readonly transport: Transport;
  /** True while the client does not read what was sent; progress is dropped then. */
  congested(): boolean;
  /** Resolves once the stream is closed, with all sent that the client takes. */
  readonly closed: Promise<void>;
}

/**
 * JSON-RPC, one message a line, over a stream of a stranger. A line over `LIMITS.lineBytes`, or a client that leaves more than
 * `LIMITS.outboundBytes` unread, ends the session; other nonsense is answered with an error.
 */
export function createStreamTransport(stream: Duplex): StreamTransport {
  const inFlight = new Set<RequestId>();
  let parts: Buffer[] = [];
  let size = 0;
  let isClosed = false;
  const closed = stream.closed
    ? Promise.resolve()
    : new Promise<void>((resolve) => {
        stream.once("close", resolve);
      });

  const transport: Transport = {
    async start() {
      stream.on("data", onData);
      // A client that ended its input is gone: who was killed looks the same, and its calls must not run on.
      stream.on("end", close);
      stream.on("error", close);
      stream.on("close", close);
      stream.on("drain", onDrain);
      if (stream.destroyed) close();
    },
    async send(message) {
      if (isClosed) throw new Error("The session is closed.");
      write(message);
      if ("id" in message && !("method" in message) && message.id !== undefined) inFlight.delete(message.id);
    },
    async close() {
      close();
    },
  };
  return { transport, congested: () => stream.writableNeedDrain, closed };

  function onData(chunk: Buffer): void {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      if (!take(chunk.subarray(start, end))) return;
      start = end + 1;
    }
    if (start < chunk.length && !keep(chunk.subarray(start))) return;
    if (stream.writableLength > PAUSE_BYTES) stream.pause();
  }

  /** False once the session has ended. */
  function keep(part: Buffer): boolean {
    size += part.length;
    parts.push(part);
    if (size <= LIMITS.lineBytes) return true;
    const message = `A message may have at most ${LIMITS.lineBytes} bytes. The session ends.`;
    refuse({ id: null, code: INVALID_REQUEST, message });
    close();
    return false;
  }

  /** One whole line. False once the session has ended. */
  function take(rest: Buffer): boolean {
    if (!keep(rest)) return false;
    const line = parts.length === 1 ? rest : Buffer.concat(parts, size);
    parts = [];
    size = 0;
    if (line.length === 0 || (line.length === 1 && line[0] === CARRIAGE_RETURN)) return true;
    const read = isUtf8(line) ? readMessage(line.toString("utf8")) : NOT_UTF8;
    if ("refusal" in read) refuse(read.refusal);
    else if (read.message) deliver(read.message);
    return !isClosed;
  }

  function deliver(message: JSONRPCMessage): void {
    if ("method" in message && "id" in message) {
      const { id } = message;
      if (inFlight.has(id))
        return refuse({ id: null, code: INVALID_REQUEST, message: "A request with this id is still being answered." });
      if (inFlight.size >= MAX_IN_FLIGHT) {
        return refuse({
          id,
          code: BUSY,
          message: `At most ${MAX_IN_FLIGHT} requests may be unanswered. Wait for an answer, then try again.`,
        });
      }
      inFlight.add(id);
    } else if ("method" in message && message.method === "notifications/cancelled") {
      // A cancelled request is never answered.
      const id = message.params?.requestId;
      if (typeof id === "string" || typeof id === "number") inFlight.delete(id);
    }
    transport.onmessage?.(message);
  }

  function refuse({ id, code, message }: Refusal): void {
    // The types know no `null` id; JSON-RPC asks for it where the id could not be read.
    write({ jsonrpc: "2.0", id, error: { code, message } });
  }

  function write(message: object): void {
    if (isClosed || !stream.writable) return;
    if (stream.writableCorked === 0) {
      stream.cork();
      process.nextTick(() => stream.uncork());
    }
    stream.write(`${JSON.stringify(message)}\n`);
    if (stream.writableLength > LIMITS.outboundBytes) close();
  }

  function onDrain(): void {
    stream.resume();
  }

  function close(): void {
    if (isClosed) return;
    isClosed = true;
    stream.off("data", onData);
    parts = [];
    inFlight.clear();
    if (stream.writableLength > LIMITS.outboundBytes) stream.destroy();
    else {
      stream.end(() => stream.destroy());
      // A client that never reads the rest does not keep the socket.
      setTimeout(() => stream.destroy(), LINGER_MS).unref();
    }
    stream.resume();
    transport.onclose?.();
  }
}
