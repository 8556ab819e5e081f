import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Wish } from "../capability/index.ts";
import { displayLine, PolicyViolationError, SallyportError } from "../kernel/index.ts";
import type { EgressDeps, Passage } from "./egress.ts";
import { networkFailure } from "./network-failure.ts";
import { narrowReach, type Reach, wholeHosts } from "./reach.ts";
import { parseTarget, type Target } from "./target.ts";

type NetworkWish = Wish & { capability: "network" };

const AUTHORITY = /^(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253}):[1-9][0-9]{0,4}$/;
/** First byte of every TLS connection. */
const TLS_HANDSHAKE = 0x16;

/**
 * CONNECT: only host and port are known, so only a grant of a whole host admits it. What a grant names as https has to
 * begin as TLS does. Methods and paths go through `fetch` of the protocol, or stay ungranted.
 */
export async function openTunnel(
  deps: EgressDeps,
  { context, within, signal }: Passage,
  { request, client, head }: { readonly request: IncomingMessage; readonly client: Duplex; readonly head: Buffer },
): Promise<void> {
  let shown = displayLine(request.url ?? "", 300);
  let bytes = 0;
  let failure: SallyportError | undefined;
  try {
    if (signal.aborted) throw signal.reason;
    const { target, wish } = admitted(narrowReach(deps.tunnels, within, within && wholeHosts(within)), request);
    shown = `${target.host}:${target.port}`;
    if (!deps.rate.take())
      throw new SallyportError("limit_exceeded", "The plugin opens too many connections.", { fix: "Ask less often." });
    const addresses = await deps.tunnelGate.addressesOf(target, wish, signal);
    const server = await deps.transport.connect(addresses, target.port);
    client.write("HTTP/1.1 200 Connection Established\r\n\r\n");
    await carry(
      { client, server, head, tls: wish.scheme === "https" },
      deps.limits,
      signal,
      (count) => (bytes += count),
    );
  } catch (error) {
    failure = error instanceof SallyportError ? error : networkFailure(error, signal);
    if (bytes === 0 && client.writable) client.end(refusalText(failure));
    else client.destroy();
  }
  deps.report(context, {
    target: shown,
    method: "CONNECT",
    bytes,
    secrets: [],
    ...(failure === undefined ? {} : { error: failure }),
  });
}

function admitted(tunnels: Reach, request: IncomingMessage): { target: Target; wish: NetworkWish } {
  const authority = request.url ?? "";
  if (!AUTHORITY.test(authority)) throw new SallyportError("usage", "CONNECT takes one host and one port.");
  const hosts = request.headersDistinct["host"] ?? [];
  if (hosts.some((host) => host !== authority && host !== authority.replace(/:\d+$/, "")))
    throw new SallyportError("usage", "The Host header names another host than the request.");
  const secure = parseTarget(`https://${authority}/`, 1024);
  const wishes = (["https", "http"] as const).map((scheme): NetworkWish => ({
    capability: "network",
    host: secure.host,
    port: secure.port,
    scheme,
    method: "CONNECT",
    path: "/",
  }));
  const wish = wishes.find((one) => tunnels.allows(one));
  if (wish === undefined) {
    throw new PolicyViolationError(
      "permission_denied",
      `The program may not connect to ${secure.host}:${secure.port}.`,
      {
        detail: "No grant covers this whole host and port; through a tunnel, methods and paths cannot be checked.",
        fix: "Declare the host under permissions.network without methods and paths, or use the protocol's fetch.",
      },
    );
  }
  return { target: secure, wish };
}

/** An answer that says why; host-written text only. */
export function refusalText(error: SallyportError): string {
  const text = `${error.message}${error.fix === undefined ? "" : ` ${error.fix}`}\n`;
  const status =
    error.category === "denied" ? "403 Forbidden" : error.category === "usage" ? "400 Bad Request" : "502 Bad Gateway";
  return `HTTP/1.1 ${status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`;
}

interface Ends {
  readonly client: Duplex;
  readonly server: Socket;
  readonly head: Buffer;
  readonly tls: boolean;
}

/** Carries bytes both ways until both ends are closed. @throws {SallyportError} when it was cut. */
function carry(
  { client, server, head, tls }: Ends,
  limits: EgressDeps["limits"],
  signal: AbortSignal,
  count: (bytes: number) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let cut: SallyportError | undefined;
    let open = 2;
    const totals = { up: 0, down: 0 };
    const end = (why?: SallyportError): void => {
      cut ??= why;
      client.destroy();
      server.destroy();
    };
    const settle = (): void => {
      signal.removeEventListener("abort", onAbort);
      if (cut === undefined) resolve();
      else reject(cut);
    };
    // Said at once: what its call reached has to be known before the call has ended.
    const onAbort = (): void => {
      end(cutOff(signal.reason));
      settle();
    };
    const closed = (): void => {
      if (--open > 0) return end();
      settle();
    };
    const move = (chunk: Buffer, way: "up" | "down"): void => {
      if (way === "up" && tls && totals.up === 0 && chunk[0] !== TLS_HANDSHAKE) return end(notTls());
      totals[way] += chunk.length;
      count(chunk.length);
      if (totals[way] > (way === "up" ? limits.requestBytes : limits.responseBytes)) return end(tooMuch());
      const [from, to] = way === "up" ? [client, server] : [server, client];
      if (to.write(chunk)) return;
      from.pause();
      to.once("drain", () => from.resume());
    };
    for (const side of [client, server]) side.on("error", () => end()).once("close", closed);
    client.on("end", () => server.end());
    server.on("end", () => client.end());
    server.setTimeout(limits.idleMs, () => end());
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    if (head.length > 0) move(head, "up");
    client.on("data", (chunk: Buffer) => move(chunk, "up"));
    server.on("data", (chunk: Buffer) => move(chunk, "down"));
  });
}

/** Of what was let through and then cut: the end of a call refuses nothing that was done. `undefined`: the program ended it itself. */
export function cutOff(reason: unknown): SallyportError | undefined {
  if (reason instanceof SallyportError && reason.code === "cancelled") return undefined;
  return new SallyportError("cancelled", "The call was over, or its time on the network.");
}

function notTls(): PolicyViolationError {
  return new PolicyViolationError("permission_denied", "Only TLS may pass through this tunnel.", {
    detail: "The grant says https.",
    fix: "Ask for scheme: http in the manifest, if that is what the server speaks.",
  });
}

function tooMuch(): SallyportError {
  return new SallyportError("limit_exceeded", "The connection carried more than it may.", { fix: "Use several." });
}
