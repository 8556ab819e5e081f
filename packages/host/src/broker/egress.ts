import { createServer, type Server } from "node:http";
import type { Duplex } from "node:stream";
import type { Scope } from "../capability/index.ts";
import { SallyportError } from "../kernel/index.ts";
import type { CallContext, EgressDoor } from "../supervisor/index.ts";
import { type EgressPlace, makeEgressPlace } from "./egress-place.ts";
import { forwardRequest } from "./egress-request.ts";
import { openTunnel } from "./egress-tunnel.ts";
import type { NetworkReport } from "./fetch.ts";
import type { NetworkLimits } from "./network-limits.ts";
import type { RateLimit } from "./rate.ts";
import type { Reach } from "./reach.ts";
import type { AddressGate } from "./resolve.ts";
import type { Transport } from "./transport.ts";

/** Bounds of the proxy itself; what passes through it has the network's. */
export interface EgressLimits {
  readonly connections: number;
  readonly headerBytes: number;
  /** Until all headers of a request are there. */
  readonly headersMs: number;
}

export const EGRESS_LIMITS: EgressLimits = { connections: 32, headerBytes: 16 * 1024, headersMs: 10_000 };

export interface EgressDeps {
  /** Real path of the home; its one host sweeps what an earlier one left. */
  readonly home: string;
  readonly limits: NetworkLimits;
  readonly bounds: EgressLimits;
  /** For plain HTTP, whose methods and paths are seen. */
  readonly reach: Reach;
  /** For tunnels, of which only host and port are seen: grants of anything less are not in it. */
  readonly tunnels: Reach;
  readonly gate: AddressGate;
  readonly tunnelGate: AddressGate;
  readonly transport: Transport;
  readonly rate: RateLimit;
  /** Bounds what the audit hears of. */
  readonly actions: RateLimit;
  readonly report: (context: CallContext | null, report: NetworkReport) => void;
}

/** The door, and the way to shut it for good. */
export interface Egress extends EgressDoor {
  close(): Promise<void>;
}

/** One connection of the program to the proxy. */
export interface Passage {
  /** The one call in flight, when there is one; with more than one of an agent, nobody can tell whose it is. */
  readonly context: CallContext | null;
  /** How far the calls in flight reach at most, where an operator limited one: that one is alone then. */
  readonly within: readonly Scope[] | undefined;
  /** Fires when no call is in flight any more, when the program ends, and when the connection's time is over. */
  readonly signal: AbortSignal;
}

/**
 * The way out of a program with an HTTP stack of its own: a proxy on a unix socket, the only thing that can be reached
 * from the program's empty network namespace. CONNECT and plain HTTP in absolute form; every connection is checked as
 * a request to the broker is, resolved once, made to the checked address and audited. Served only while a call is in
 * flight and its intent is durable; when the last call ends, every connection does.
 */
export function createEgress(deps: EgressDeps): Egress {
  const { bounds } = deps;
  const inFlight = new Map<string, CallContext>();
  const passages = new Set<AbortController>();
  let server: Server | undefined;
  let place: EgressPlace | undefined;

  function endAll(): void {
    for (const passage of passages) passage.abort(callOver());
  }

  /** Runs one connection's work; it is cut when its time is over, whatever the work does. */
  async function pass(client: Duplex, work: (passage: Passage) => Promise<void>): Promise<void> {
    const controller = new AbortController();
    passages.add(controller);
    const timer = setTimeout(() => controller.abort(callOver()), deps.limits.totalMs);
    const onClose = (): void => controller.abort(hungUp());
    client.once("close", onClose);
    try {
      const contexts = [...inFlight.values()];
      const [first] = contexts;
      await Promise.all(contexts.map(({ intent }) => intent));
      if (first === undefined || inFlight.size === 0) controller.abort(callOver());
      const within = contexts.find((context) => context.within !== undefined)?.within;
      const context = contexts.length === 1 && first ? first : null;
      await work({ context, within, signal: controller.signal });
    } catch {
      client.destroy();
    } finally {
      client.off("close", onClose);
      clearTimeout(timer);
      passages.delete(controller);
      controller.abort(callOver());
    }
  }

  function serve(): Server {
    const made = createServer({
      maxHeaderSize: bounds.headerBytes,
      headersTimeout: bounds.headersMs,
      requestTimeout: deps.limits.totalMs,
      connectionsCheckingInterval: Math.min(1_000, bounds.headersMs),
      insecureHTTPParser: false,
    });
    made.maxConnections = bounds.connections;
    // One request a connection: nothing can be smuggled behind it.
    made.maxRequestsPerSocket = 1;
    made.on("connect", (request, client, head) => {
      client.on("error", () => client.destroy());
      if (!deps.actions.take()) client.destroy();
      else void pass(client, (passage) => openTunnel(deps, passage, { request, client, head }));
    });
    made.on("request", (request, response) => {
      if (!deps.actions.take()) request.socket.destroy();
      else void pass(request.socket, (passage) => forwardRequest(deps, passage, { request, response }));
    });
    made.on("upgrade", (_request, client) => client.destroy());
    made.on("checkContinue", (request, response) => made.emit("request", request, response));
    made.on("clientError", (_error, client) => client.destroy());
    return made;
  }

  async function close(): Promise<void> {
    inFlight.clear();
    endAll();
    deps.transport.close();
    server?.closeAllConnections();
    server?.close();
    await place?.remove();
  }

  return {
    async open(owner) {
      const made = await makeEgressPlace(deps.home, owner);
      place = made;
      server = serve();
      await new Promise<void>((resolve, reject) => {
        server?.once("error", reject).listen(made.path, resolve);
      });
      // Its user alone can come in; every process of that user is in a jail of ours.
      await made.open();
      return made.path;
    },
    begin: (context) => void inFlight.set(context.callId, context),
    end(callId) {
      if (inFlight.delete(callId) && inFlight.size === 0) endAll();
    },
    close,
  };
}

/** The program closed its end; a tunnel ends so. */
function hungUp(): SallyportError {
  return new SallyportError("cancelled", "The program closed the connection.");
}

function callOver(): SallyportError {
  return new SallyportError("permission_denied", "The network is reached only while a tool call is in flight.", {
    detail: "No call of this plugin runs, or the one that this belonged to is over.",
    fix: "Do it inside a tool call, and finish before you answer.",
  });
}
