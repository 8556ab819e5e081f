import { once } from "node:events";
import { connect, isIP, type Socket } from "node:net";
import { setTimeout as after } from "node:timers/promises";
import { connect as connectSecure, type ConnectionOptions } from "node:tls";

/** What the server told a session when it began, to be named by whoever wants its statement to end. */
export interface CancelKey {
  readonly processID: number;
  readonly secretKey: number;
}

export interface CancelTarget {
  readonly host: string;
  readonly port: number;
  readonly tls: ConnectionOptions | undefined;
}

const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);
const CANCEL_REQUEST = [0, 0, 0, 16, 0x04, 0xd2, 0x16, 0x2e];
const YES = "S".charCodeAt(0);
/** One that meets the server between two pages of rows does nothing. */
const AGAIN_MS = 500;

/**
 * Asks the server to end a session's statement, by a connection of its own that needs no login, so that no statement can be in its
 * way. Nothing is answered; a server that cannot be reached is left to its own timeouts.
 */
export async function cancelAtServer(target: CancelTarget, key: CancelKey, timeoutMs: number): Promise<void> {
  await sendOnce(target, key, timeoutMs).catch(() => undefined);
  await after(AGAIN_MS, undefined, { ref: false });
  await sendOnce(target, key, timeoutMs).catch(() => undefined);
}

async function sendOnce({ host, port, tls }: CancelTarget, key: CancelKey, timeoutMs: number): Promise<void> {
  const signal = AbortSignal.timeout(timeoutMs);
  const plain = host.startsWith("/") ? connect(`${host}/.s.PGSQL.${port}`) : connect(port, host);
  let socket: Socket = plain.on("error", () => undefined);
  try {
    await once(plain, "connect", { signal });
    if (tls !== undefined) {
      plain.write(SSL_REQUEST);
      const [answer]: unknown[] = await once(plain, "data", { signal });
      if (!Buffer.isBuffer(answer) || answer.length !== 1 || answer[0] !== YES) return;
      socket = connectSecure({ ...tls, socket: plain, host, ...(isIP(host) === 0 ? { servername: host } : {}) });
      socket.on("error", () => undefined);
      await once(socket, "secureConnect", { signal });
    }
    const request = Buffer.alloc(16);
    request.set(CANCEL_REQUEST);
    request.writeInt32BE(key.processID, 8);
    request.writeInt32BE(key.secretKey, 12);
    socket.end(request);
    // The server hangs up when it has passed it on.
    socket.resume();
    await once(socket, "close", { signal });
  } finally {
    socket.destroy();
    plain.destroy();
  }
}
