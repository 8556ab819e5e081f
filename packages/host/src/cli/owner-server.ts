import { chmodSync, lstatSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { userInfo } from "node:os";
import type { Duplex } from "node:stream";
import { getRequestListener } from "@hono/node-server";
import { agentName, callerOf, createApi, done, type Principal, principalOfToken, type Route } from "../api/index.ts";
import type { Host } from "../host-api.ts";
import { type Caller, httpStatusOf, PolicyViolationError, SallyportError, toSallyportError } from "../kernel/index.ts";
import { toFailure } from "../wire/index.ts";
import { serveMcpSession } from "../mcp/index.ts";
import { MCP_PROTOCOL } from "./mcp.ts";
import { ownerNote, prepareSocketFolder, socketPath } from "./socket-path.ts";

export interface OwnerOptions {
  /** Real path of the home. */
  readonly home: string;
  readonly env: NodeJS.ProcessEnv;
  readonly version: string;
  /** Started by a client: ends after `idleMs` without a connection, and gives way to a `sallyport start`. */
  readonly background: boolean;
  readonly idleMs: number;
  readonly onDefect: (error: unknown) => void;
}

export interface Owner {
  readonly socket: string;
  /** Stops accepting, lets what is in flight finish, then ends every connection. Does not close the host. */
  stop(): Promise<void>;
  /** Resolves once the owner stopped, for whatever reason. */
  readonly stopped: Promise<void>;
}

/** The verb of the one connection that is no route: an agent's MCP session, open to agents, with no passphrase. */
export const MCP_SESSION_VERB = "mcp.session";
/** How long requests in flight may still run when the owner stops. */
const DRAIN_MS = 5_000;
const MAX_CONNECTIONS = 512;

/**
 * Serves the REST API and MCP sessions on the home's socket. Whoever calls this holds the home's lock (`createHost` takes
 * it), so a socket file that is still there belongs to nobody.
 */
export async function serveOwner(host: Host, options: OwnerOptions): Promise<Owner> {
  const path = socketPath(options.home, options.env);
  const connections = new Set<Socket>();
  /** Each with the token that opened it, if one did. */
  const sessions = new Map<Duplex, string | undefined>();
  const closing = new AbortController();
  let idleTimer: NodeJS.Timeout | undefined;
  let stopping: Promise<void> | undefined;
  let finished: (() => void) | undefined;
  const stopped = new Promise<void>((resolve) => (finished = resolve));

  const app = createApi(host, {
    identify: ({ headers }) => identify(host, headers.get("authorization"), headers.get("x-sallyport-agent")),
    onDefect: options.onDefect,
    closing: closing.signal,
    extraRoutes: ownerRoutes(host, options, () => void stop()),
  });
  const listener = getRequestListener(app.fetch, { overrideGlobalObjects: false });
  const server = createServer({ maxHeaderSize: 16_384 }, (incoming, outgoing) => void listener(incoming, outgoing));
  server.maxConnections = MAX_CONNECTIONS;
  server.on("connection", (connection) => {
    connections.add(connection);
    clearTimeout(idleTimer);
    connection.once("close", () => {
      connections.delete(connection);
      watchIdle();
    });
  });
  server.on("upgrade", (request, connection, head) => {
    sessions.set(connection, undefined);
    connection.once("close", () => sessions.delete(connection));
    void openSession(host, request, connection, head, (token) => sessions.set(connection, token));
  });
  const stopListening = host.tokens.onEnded((id) => {
    for (const [connection, token] of sessions) if (token === id) connection.end(() => connection.destroy());
  });

  function watchIdle(): void {
    clearTimeout(idleTimer);
    if (options.background && connections.size === 0 && !stopping)
      idleTimer = setTimeout(() => void stop(), options.idleMs);
  }

  function stop(): Promise<void> {
    if (!stopping) {
      closing.abort();
      stopListening();
      for (const session of sessions.keys()) session.end();
      stopping = drain(server, connections).finally(() => {
        clearTimeout(idleTimer);
        ownerNote.remove(options.home);
        finished?.();
      });
    }
    return stopping;
  }

  prepareSocketFolder(options.home, path);
  removeStale(path);
  await listen(server, path);
  chmodSync(path, 0o600);
  ownerNote.write(options.home, { pid: process.pid, socket: path });
  watchIdle();
  return { socket: path, stop, stopped };
}

/* Only this user can reach the socket (0700 folder, 0600 file): who speaks on it without a token is the operator. */
function identify(host: Host, authorization: string | null, agent: string | null): Principal {
  const proved = principalOfToken(host.tokens, authorization, agent);
  if (proved) return proved;
  const name = userInfo().username;
  return agent === null ? { kind: "operator", name } : { kind: "operator", name, actingAs: agentName(agent) };
}

export function ownerRoutes(
  host: Host,
  options: Pick<OwnerOptions, "version" | "background">,
  stop: () => void,
): readonly Route[] {
  return [
    {
      method: "GET",
      path: "/api/status",
      verb: "owner.status",
      audience: "operator",
      needsPassphrase: false,
      handle: async () =>
        done({
          version: options.version,
          pid: process.pid,
          background: options.background,
          passphrase_set: host.operators.passphraseSet,
        }),
    },
    {
      method: "POST",
      path: "/api/owner/stop",
      verb: "owner.stop",
      audience: "operator",
      needsPassphrase: false,
      handle: async () => {
        setImmediate(stop);
        return done({ stopping: true });
      },
    },
  ];
}

/** The one upgrade: an agent's MCP session. It speaks MCP and nothing else from here on. */
async function openSession(
  host: Host,
  request: IncomingMessage,
  connection: Duplex,
  head: Buffer,
  onToken: (id: string | undefined) => void,
): Promise<void> {
  connection.on("error", () => connection.destroy());
  try {
    const url = new URL(request.url ?? "/", "http://owner");
    if (url.pathname !== "/mcp-session" || request.headers.upgrade !== MCP_PROTOCOL) {
      throw new SallyportError("not_found", "There is no such session.");
    }
    const caller = sessionCaller(host, request.headers.authorization, url.searchParams.get("agent"));
    onToken(caller.token);
    // An agent that is not admitted here is told so now, and not at its first call.
    await host.tools.list(caller, { most: 1 });
    connection.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${MCP_PROTOCOL}\r\n\r\n`);
    if (head.length > 0) connection.unshift(head);
    const session = serveMcpSession(host, caller, connection);
    void session.closed.finally(() => connection.destroy());
  } catch (thrown) {
    const error = toSallyportError(thrown);
    const { code } = error;
    const body = JSON.stringify(toFailure(error));
    const status = httpStatusOf(code);
    connection.end(
      `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
  }
}

/** The agent of a session: that of its token, else the one that the operator names. */
function sessionCaller(host: Host, authorization: string | undefined, agent: string | null): Caller {
  const principal = principalOfToken(host.tokens, authorization ?? null, agent);
  if (principal === undefined) return { kind: "agent", agent: agentName(agent ?? "") };
  if (principal.kind === "agent") return callerOf(principal);
  throw new PolicyViolationError("forbidden", "An operator's token opens no agent's session.", {
    fix: "Use an agent's: sallyport token create --agent NAME",
  });
}

function removeStale(path: string): void {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (!stat) return;
  if (!stat.isSocket()) {
    throw new SallyportError("home_unsafe", "Something else is where the home's socket belongs.", {
      detail: `${path} is not a socket.`,
      fix: "Move it away.",
    });
  }
  rmSync(path);
}

async function listen(server: Server, path: string): Promise<void> {
  // The socket must not exist for one moment with modes that let others in.
  const before = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, resolve);
    });
  } finally {
    process.umask(before);
  }
}

async function drain(server: Server, connections: ReadonlySet<Socket>): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => {
      for (const connection of connections) connection.destroy();
    }, DRAIN_MS);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    server.closeIdleConnections();
  });
}
