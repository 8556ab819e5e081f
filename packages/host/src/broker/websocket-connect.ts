import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { WebSocket } from "ws";
import { SallyportError } from "../kernel/index.ts";
import { cancelled, throwIfAborted } from "./aborting.ts";
import type { HeaderList } from "./headers.ts";
import type { NetworkLimits } from "./network-limits.ts";
import { networkFailure } from "./network-failure.ts";
import type { Target } from "./target.ts";
import type { Transport } from "./transport.ts";
import type { WebSocketLimits } from "./websocket-limits.ts";
import { socketOrigin } from "./websocket-target.ts";

export interface Handshake {
  readonly target: Target;
  /** Checked; nothing is resolved again. */
  readonly addresses: readonly string[];
  readonly protocols: readonly string[];
  /** What the host adds to the request: nothing of the plugin's. */
  readonly headers: HeaderList;
  readonly limits: WebSocketLimits & Pick<NetworkLimits, "responseHeaderBytes">;
  /** Told of everything from the first frame on; frames may come in one packet with the handshake's answer. */
  readonly attach: (socket: WebSocket, connection: Socket) => void;
}

/**
 * Connects to a checked address and asks for a WebSocket. Redirects are not followed, extensions not offered.
 * @throws {SallyportError} `network_failed`, or `cancelled` when the signal fires first; nothing stays open then.
 */
export async function connectWebSocket(
  transport: Transport,
  handshake: Handshake,
  signal: AbortSignal,
): Promise<WebSocket> {
  const { limits } = handshake;
  const controller = new AbortController();
  const onAbort = (): void => controller.abort(cancelled());
  const timer = setTimeout(() => controller.abort(tooSlow(limits.handshakeMs)), limits.handshakeMs);
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await opened(transport, handshake, controller.signal);
  } catch (error) {
    throw networkFailure(error, controller.signal);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}

async function opened(transport: Transport, handshake: Handshake, signal: AbortSignal): Promise<WebSocket> {
  const { target, limits } = handshake;
  // Costs a start nothing that way, and a plugin without a WebSocket never pays.
  const { WebSocket: Client } = await import("ws");
  throwIfAborted(signal);
  const connection = await transport.open(target, handshake.addresses);
  try {
    throwIfAborted(signal);
    const socket = new Client(`${socketOrigin(target)}${target.path}${target.query}`, [...handshake.protocols], {
      createConnection: () => connection,
      headers: { host: target.origin.replace(/^https?:\/\//, ""), ...Object.fromEntries(handshake.headers) },
      followRedirects: false,
      perMessageDeflate: false,
      skipUTF8Validation: false,
      maxPayload: limits.messageBytes,
      maxFragments: limits.fragments,
      maxBufferedChunks: limits.fragments,
      maxHeaderSize: limits.responseHeaderBytes,
    });
    handshake.attach(socket, connection);
    await untilOpen(socket, signal);
    return socket;
  } catch (error) {
    connection.destroy();
    throw error;
  }
}

function untilOpen(socket: WebSocket, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (error: unknown): void => {
      signal.removeEventListener("abort", onAbort);
      if (error === undefined) return resolve();
      // What it says while it ends is nobody's concern.
      socket.on("error", () => undefined);
      socket.terminate();
      reject(error instanceof Error ? error : new Error("The handshake failed."));
    };
    const onAbort = (): void => finish(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    socket.once("open", () => finish(undefined));
    socket.once("error", finish);
    socket.once("unexpected-response", (_request, response) => finish(noWebSocket(response)));
  });
}

function noWebSocket({ statusCode = 0 }: IncomingMessage): SallyportError {
  return new SallyportError("network_failed", `The server answered ${statusCode} and opened no WebSocket.`, {
    detail:
      statusCode >= 300 && statusCode < 400
        ? "It redirects; a WebSocket follows no redirect."
        : "It speaks plain HTTP.",
    data: { status: statusCode },
  });
}

function tooSlow(ms: number): SallyportError {
  return new SallyportError("network_failed", `The server opened no WebSocket within ${ms} ms.`);
}
