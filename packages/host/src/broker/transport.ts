import { connect as connectTcp, isIP, type Socket } from "node:net";
import {
  checkServerIdentity,
  connect as connectTls,
  createSecureContext,
  rootCertificates,
  type SecureContext,
} from "node:tls";
import type { Dispatcher, Pool } from "undici";
import type { NetworkLimits } from "./network-limits.ts";
import type { Target } from "./target.ts";

/** Connections of one plugin. Each goes to an address that was checked, never to a name. */
export interface Transport {
  /** The connections to these addresses of this target's server; a changed answer of the name service gets others. */
  to(target: Target, addresses: readonly string[]): Promise<Dispatcher>;
  /** A bare connection to the first of these addresses that takes one. */
  connect(addresses: readonly string[], port: number): Promise<Socket>;
  /** A connection to the target's server alone, secured as its scheme says. The caller ends it. */
  open(target: Target, addresses: readonly string[]): Promise<Socket>;
  close(): void;
}

/** Starts a TCP connection to an IP address. */
export type Dial = (address: string, port: number) => Socket;

const MAX_POOLS = 16;

const systemDial: Dial = (address, port) =>
  connectTcp({ host: address, port, family: isIP(address), noDelay: true, keepAlive: true });

export function createTransport(
  limits: NetworkLimits,
  certificateAuthorities: readonly string[] | undefined,
  openSocket: Dial = systemDial,
): Transport {
  const pools = new Map<string, Pool>();
  let closed = false;
  let context: SecureContext | undefined;
  const secureContext = (): SecureContext =>
    (context ??= createSecureContext({ ca: [...(certificateAuthorities ?? rootCertificates)], minVersion: "TLSv1.2" }));

  const dial = async (target: Target, addresses: readonly string[]): Promise<Socket> => {
    const socket = await connectToAny(openSocket, addresses, target.port, limits.connectMs);
    if (target.scheme === "http") return socket;
    return secure(socket, target.host.replace(/^\[|\]$/g, ""), secureContext(), limits.connectMs);
  };

  const open = (Connections: typeof Pool, target: Target, addresses: readonly string[]): Pool =>
    new Connections(target.origin, {
      connections: limits.concurrent,
      pipelining: 1,
      allowH2: false,
      maxHeaderSize: limits.responseHeaderBytes,
      headersTimeout: limits.headersMs,
      bodyTimeout: limits.idleMs,
      keepAliveTimeout: 10_000,
      keepAliveMaxTimeout: 30_000,
      connect(_options, callback) {
        void (async () => {
          let socket: Socket;
          try {
            socket = await dial(target, addresses);
          } catch (error) {
            callback(error instanceof Error ? error : new Error("The connection failed."), null);
            return;
          }
          callback(null, socket);
        })();
      },
    });

  return {
    async to(target, addresses) {
      // Half of a host's start, and nothing to a plugin without a network.
      const undici = await import("undici");
      if (closed) throw new Error("The connections were closed.");
      const key = `${target.origin} ${addresses.join(" ")}`;
      const pool = pools.get(key) ?? open(undici.Pool, target, addresses);
      pools.delete(key);
      pools.set(key, pool);
      const [oldest] = pools;
      if (pools.size > MAX_POOLS && oldest !== undefined) {
        pools.delete(oldest[0]);
        // Ends when its requests are over.
        oldest[1].close().catch(() => undefined);
      }
      return pool;
    },
    connect: (addresses, port) => connectToAny(openSocket, addresses, port, limits.connectMs),
    open: dial,
    close() {
      closed = true;
      for (const pool of pools.values()) pool.destroy().catch(() => undefined);
      pools.clear();
    },
  };
}

async function connectToAny(
  open: Dial,
  addresses: readonly string[],
  port: number,
  timeoutMs: number,
): Promise<Socket> {
  let last: unknown = new Error("There is no address to connect to.");
  const deadline = performance.now() + timeoutMs;
  for (const address of addresses) {
    const left = deadline - performance.now();
    if (left <= 0) break;
    try {
      return await connectTo(open, address, port, left);
    } catch (error) {
      last = error;
    }
  }
  throw last;
}

function connectTo(open: Dial, address: string, port: number, timeoutMs: number): Promise<Socket> {
  if (isIP(address) === 0) return Promise.reject(new Error("This is no address."));
  return settled(open(address, port), "connect", timeoutMs);
}

/** TLS with the checks written out, so that no environment variable turns one off. */
function secure(socket: Socket, name: string, secureContext: SecureContext, timeoutMs: number): Promise<Socket> {
  const tls = connectTls({
    socket,
    secureContext,
    rejectUnauthorized: true,
    checkServerIdentity: (_host, certificate) => checkServerIdentity(name, certificate),
    ALPNProtocols: ["http/1.1"],
    // An address is no name that may be asked for.
    ...(isIP(name) === 0 ? { servername: name } : {}),
  });
  return settled(tls, "secureConnect", timeoutMs);
}

function settled<S extends Socket>(socket: S, event: string, timeoutMs: number): Promise<S> {
  return new Promise((resolve, reject) => {
    const finish = (error: Error | undefined): void => {
      clearTimeout(timer);
      socket.removeListener("error", finish);
      socket.removeListener("close", onClose);
      if (error === undefined) return resolve(socket);
      socket.on("error", () => undefined);
      socket.destroy();
      reject(error);
    };
    const onClose = (): void => finish(new Error("The connection was closed."));
    const timer = setTimeout(() => finish(new Error("The connection took too long.")), timeoutMs);
    socket.once("error", finish);
    socket.once("close", onClose);
    socket.once(event, () => finish(undefined));
  });
}
