import type { Socket } from "node:net";
import type { WebSocket } from "ws";
import { type Clock, SallyportError } from "../kernel/index.ts";
import { throwIfAborted, untilAborted } from "./aborting.ts";
import { CHUNK_BYTES } from "./network-limits.ts";
import { networkFailure } from "./network-failure.ts";
import { createQueue } from "./queue.ts";
import { createRateLimit, type RateLimit } from "./rate.ts";
import { createIncoming, type Message } from "./websocket-incoming.ts";
import { MESSAGE_COST, type WebSocketLimits } from "./websocket-limits.ts";

export interface SocketClose {
  /** As the server gave it; 1006 when there was no closing handshake. */
  readonly code: number;
  readonly reason: string;
  /** Whether both sides said that they close. */
  readonly clean: boolean;
}

export interface Received {
  readonly messages: readonly Message[];
  /** Set with, or after, the last message. */
  readonly close: SocketClose | null;
}

/** One connection, from before its handshake to its end. */
export interface OpenSocket {
  /** Listens to a connection whose handshake is under way. */
  attach(socket: WebSocket, connection: Socket): void;
  /**
   * The messages that came, at most 256 KiB or one; waits for the first. Nothing is read from the server beyond a little that
   * nobody asked for. @throws {SallyportError} why the connection ended, once what came before was received.
   */
  receive(signal: AbortSignal): Promise<Received>;
  /** Resolves when there is room for the next. @throws {SallyportError} `limit_exceeded`, `network_failed`. */
  send(message: Message, signal: AbortSignal): Promise<void>;
  /** Says that the plugin closes; the server has a moment to say so too. */
  close(code: number | null, reason: string): void;
  /** Ends it now. */
  end(error: SallyportError): void;
}

export interface OpenSocketDeps {
  readonly limits: WebSocketLimits;
  readonly clock: Clock;
  /** Of the messages that all of the plugin's sockets send. */
  readonly sending: RateLimit;
  /** Takes a secret that the handshake carried out of what the server says. */
  readonly hide: (data: Buffer) => Buffer;
  readonly onEnd: (end: { readonly bytes: number; readonly code: number; readonly error?: SallyportError }) => void;
}

const ABNORMAL = 1006;
const GOING_AWAY = 1001;
/** How long a message waits for its turn when the plugin sends too fast. */
const PACE_MS = 20;

export function createOpenSocket(deps: OpenSocketDeps): OpenSocket {
  const { limits } = deps;
  let socket: WebSocket | undefined;
  let ended = false;
  let closing: NodeJS.Timeout | undefined;
  let sentBytes = 0;
  let sentCost = 0;
  const outgoing = createQueue();
  const pings = createRateLimit(deps.clock, limits.pingsPerSecond, limits.pingBurst);
  const incoming = createIncoming<SocketClose>({
    queueBytes: limits.queueBytes,
    answerBytes: CHUNK_BYTES,
    pause: () => socket?.pause(),
    resume: () => socket?.resume(),
  });

  const over = (code: number, error?: SallyportError): void => {
    if (ended) return;
    ended = true;
    clearTimeout(closing);
    deps.onEnd({ bytes: sentBytes + incoming.bytes, code, ...(error === undefined ? {} : { error }) });
  };
  const end = (error: SallyportError): void => {
    over(error.code === "cancelled" ? GOING_AWAY : ABNORMAL, error.code === "cancelled" ? undefined : error);
    incoming.fail(error);
    // The frame is on its way when the connection is cut; who does not read it sees the cut.
    if (socket?.readyState === socket?.OPEN) socket?.close(GOING_AWAY);
    socket?.terminate();
  };

  const onMessage = (data: unknown, binary: boolean): void => {
    if (!Buffer.isBuffer(data)) return end(network("The server sent what is no message."));
    incoming.push({ binary, data: deps.hide(data) }, data.length);
    if (incoming.cost > limits.totalBytes) end(tooMuch(`The server sent more than ${limits.totalBytes} bytes.`));
  };

  return {
    attach(opening, connection) {
      socket = opening;
      socket.on("message", onMessage);
      socket.on("error", (error) => {
        if (ended) return;
        end(error instanceof SallyportError ? error : frameFailure(error));
      });
      socket.on("ping", () => {
        if (!pings.take()) end(tooMuch("The server sends too many pings."));
      });
      socket.on("close", (code, reason) => {
        over(code);
        const said = deps.hide(reason).toString("utf8");
        incoming.finish({ code, reason: said, clean: code !== ABNORMAL });
      });
      if (ended) return socket.terminate();
      // Only what is open idles; until then the handshake has a time of its own.
      socket.once("open", () =>
        connection.setTimeout(limits.idleMs, () =>
          end(network(`Nothing was sent or received for ${limits.idleMs} ms.`)),
        ),
      );
    },
    receive: (signal) => incoming.take(signal),
    async send(message, signal) {
      // Before it waits for its turn: what waits is held in memory.
      sentCost += message.data.length + MESSAGE_COST;
      const problem =
        message.data.length > limits.messageBytes
          ? `A message is over ${limits.messageBytes} bytes.`
          : sentCost > limits.totalBytes
            ? `The plugin sent more than ${limits.totalBytes} bytes.`
            : undefined;
      if (problem !== undefined) {
        const error = tooMuch(problem);
        end(error);
        throw error;
      }
      await outgoing(signal, async () => {
        await paced(deps.sending, signal);
        const open = socket;
        if (ended || open === undefined || open.readyState !== open.OPEN) throw network("The WebSocket is closed.");
        sentBytes += message.data.length;
        const written = write(open, message);
        if (open.bufferedAmount <= limits.sendBytes) return;
        await untilAborted(written, signal);
      });
    },
    close(code, reason) {
      if (ended || socket === undefined || closing !== undefined) return;
      incoming.flow();
      if (code === null) socket.close();
      else socket.close(code, reason);
      closing = setTimeout(() => socket?.terminate(), limits.closeMs);
      closing.unref();
    },
    end,
  };
}

/** Resolves when the message has left, or never will: then `close` tells. */
function write(socket: WebSocket, { data, binary }: Message): Promise<void> {
  return new Promise((resolve) => socket.send(data, { binary }, () => resolve()));
}

async function paced(rate: RateLimit, signal: AbortSignal): Promise<void> {
  while (!rate.take()) {
    await new Promise((resolve) => setTimeout(resolve, PACE_MS));
    throwIfAborted(signal);
  }
}

const FRAME_PROBLEMS: Readonly<Record<string, string>> = {
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: "A message of the server is too large.",
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: "A message of the server is too large.",
  WS_ERR_TOO_MANY_BUFFERED_PARTS: "A message of the server comes in too many pieces.",
};

function frameFailure(error: Error): SallyportError {
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  const tooLarge = FRAME_PROBLEMS[code];
  if (tooLarge !== undefined) return tooMuch(tooLarge);
  if (code.startsWith("WS_ERR_")) return network("The server broke the WebSocket protocol.");
  return networkFailure(error, NEVER);
}

const NEVER = new AbortController().signal;

function network(message: string): SallyportError {
  return new SallyportError("network_failed", message);
}

function tooMuch(message: string): SallyportError {
  return new SallyportError("limit_exceeded", message, { fix: "Send and ask for less, or in smaller messages." });
}
