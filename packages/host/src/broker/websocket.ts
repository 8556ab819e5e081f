import { isUtf8 } from "node:buffer";
import { z } from "zod";
import type { Wish } from "../capability/index.ts";
import {
  type Clock,
  displayLine,
  LIMITS,
  PolicyViolationError,
  SallyportError,
  toSallyportError,
} from "../kernel/index.ts";
import { createStripper, type KnownSecret, secretForms } from "../secrets/index.ts";
import type { CallContext } from "../supervisor/index.ts";
import { cancelled, throwIfAborted } from "./aborting.ts";
import { canonicalBase64 } from "./base64.ts";
import type { FetchDeps } from "./fetch.ts";
import { type HeaderList, withoutHeader } from "./headers.ts";
import { callOperation, type Operation, wire } from "./operation.ts";
import type { RateLimit } from "./rate.ts";
import { narrowReach } from "./reach.ts";
import { pathWithNames } from "./redirects.ts";
import type { Target } from "./target.ts";
import { connectWebSocket } from "./websocket-connect.ts";
import type { WebSocketLimits } from "./websocket-limits.ts";
import { createOpenSocket, type OpenSocket } from "./websocket-socket.ts";
import { parseWebSocketTarget, socketOrigin } from "./websocket-target.ts";

const PROTOCOLS = "sec-websocket-protocol";

const Open = wire({
  url: z.string(),
  protocols: z.array(z.string().regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}$/)).max(16),
  secrets: z.array(z.string().max(128)).max(32),
});
const Socket = wire({ socket: z.string().max(64) });
const Send = wire({ socket: z.string().max(64), binary: z.boolean(), data: z.string() });
const Close = wire({
  socket: z.string().max(64),
  code: z
    .number()
    .int()
    .refine((code) => code === 1000 || (code >= 3000 && code <= 4999))
    .nullable(),
  reason: z.string().refine((reason) => Buffer.byteLength(reason) <= 123),
});

export interface WebSocketDeps extends Pick<
  FetchDeps,
  "limits" | "reach" | "gate" | "secrets" | "transport" | "rate" | "report"
> {
  readonly sockets: WebSocketLimits;
  readonly clock: Clock;
  /** Of the messages that the plugin sends. */
  readonly sending: RateLimit;
  /** The sockets of all the plugin's processes, these among them. */
  readonly ofPlugin: Set<OpenSocket>;
}

export interface WebSockets {
  readonly operations: Readonly<Record<string, Operation>>;
  endCall(callId: string): void;
  close(): void;
}

/** WebSockets of one process. Each belongs to the call that opened it, and ends with it. */
export function createWebSockets(deps: WebSocketDeps): WebSockets {
  const open = new Map<string, { readonly callId: string; readonly socket: OpenSocket }>();
  let count = 0;

  const find = (callId: string, id: string): OpenSocket => {
    const found = open.get(id);
    if (found?.callId === callId) return found.socket;
    throw new SallyportError("not_found", "There is no such WebSocket in this call.", {
      detail: "It was closed, or never there.",
    });
  };
  const forget = (id: string): void => {
    const entry = open.get(id);
    open.delete(id);
    if (entry !== undefined) deps.ofPlugin.delete(entry.socket);
  };
  const drop = (id: string, error: SallyportError): void => {
    open.get(id)?.socket.end(error);
    forget(id);
  };
  const checkRoom = (callId: string): void => {
    const { openPerCall, openPerPlugin } = deps.sockets;
    const mine = [...open.values()].filter((entry) => entry.callId === callId).length;
    if (mine < openPerCall && deps.ofPlugin.size < openPerPlugin) return;
    throw new SallyportError("limit_exceeded", "The plugin has too many WebSockets open.", {
      detail: `At most ${openPerCall} in one call, and ${openPerPlugin} in all.`,
      fix: "Close one first.",
    });
  };

  return {
    operations: {
      "ws.open": callOperation(Open, async (params, context, signal) => {
        const id = `w${++count}`;
        const enter = (socket: OpenSocket): void => {
          checkRoom(context.callId);
          open.set(id, { callId: context.callId, socket });
          deps.ofPlugin.add(socket);
        };
        try {
          return { socket: id, protocol: await connect(deps, params, context, signal, enter) };
        } catch (error) {
          drop(id, toSallyportError(error));
          throw error;
        }
      }),
      "ws.receive": callOperation(Socket, async ({ socket: id }, { callId }, signal) => {
        const socket = find(callId, id);
        try {
          const { messages, close } = await socket.receive(signal);
          if (close !== null) forget(id);
          return {
            messages: messages.map(({ binary, data }) => ({ binary, data: data.toString("base64") })),
            close,
          };
        } catch (error) {
          if (toSallyportError(error).code !== "usage") drop(id, toSallyportError(error));
          throw error;
        }
      }),
      "ws.send": callOperation(Send, async ({ socket: id, binary, data }, context, signal) => {
        const socket = find(context.callId, id);
        const bytes = canonicalBase64(data, LIMITS.lineBytes);
        try {
          if (!binary && !isUtf8(bytes)) throw new SallyportError("usage", "The text of a message is not UTF-8.");
          deps.secrets.refuseIn(bytes);
          await socket.send({ binary, data: bytes }, signal);
        } catch (error) {
          socket.end(toSallyportError(error));
          throw error;
        }
        return {};
      }),
      "ws.close": callOperation(Close, async ({ socket: id, code, reason }, { callId }) => {
        deps.secrets.refuseIn(Buffer.from(reason));
        find(callId, id).close(code, reason);
        return {};
      }),
    },
    endCall(callId) {
      for (const [id, entry] of open) if (entry.callId === callId) drop(id, cancelled());
    },
    close() {
      for (const id of open.keys()) drop(id, cancelled());
    },
  };
}

interface OpenParams {
  readonly url: string;
  readonly protocols: readonly string[];
  readonly secrets: readonly string[];
}

/** The gates of one handshake, in order. @returns the subprotocol that the server chose, or an empty text. */
async function connect(
  deps: WebSocketDeps,
  params: OpenParams,
  context: CallContext,
  requested: AbortSignal,
  enter: (socket: OpenSocket) => void,
): Promise<string> {
  const signal = AbortSignal.any([requested, context.signal]);
  const told = createReport(deps, context, displayLine(params.url.split(/[?#]/, 1)[0] ?? "", 2048));
  try {
    const reach = narrowReach(deps.reach, context.within);
    const { final, wish, written } = plan({ ...deps, reach }, params, told.shows);
    const addresses = await deps.gate.addressesOf(final, wish, signal);
    const socket = createOpenSocket({
      limits: deps.sockets,
      clock: deps.clock,
      sending: deps.sending,
      hide: createHide(written.known),
      onEnd: told.closed,
    });
    enter(socket);
    told.carries(written.known.map(({ name }) => name));
    const client = await connectWebSocket(
      deps.transport,
      {
        target: final,
        addresses,
        protocols: params.protocols,
        headers: [["user-agent", "sallyport"], ...written.headers],
        limits: { ...deps.sockets, responseHeaderBytes: deps.limits.responseHeaderBytes },
        attach: socket.attach,
      },
      signal,
    );
    told.opened();
    throwIfAborted(signal);
    return client.protocol;
  } catch (error) {
    const failure = toSallyportError(error);
    told.failed(failure);
    throw failure;
  }
}

interface Plan {
  /** With the secrets in it. */
  readonly final: Target;
  readonly wish: NetworkWish;
  readonly written: { readonly headers: HeaderList; readonly known: readonly KnownSecret[] };
}

type NetworkWish = Wish & { capability: "network" };

function plan(deps: WebSocketDeps, params: OpenParams, shows: (target: string) => void): Plan {
  const { scheme, target } = parseWebSocketTarget(params.url, deps.limits.urlBytes);
  if (new Set(params.protocols).size !== params.protocols.length)
    throw new SallyportError("usage", "A subprotocol is named twice.");
  const { uses, parts } = deps.secrets.plan(
    target.origin,
    // No secret has a place there, so that a placeholder among the subprotocols is refused.
    { path: target.path, query: target.query, headers: [[PROTOCOLS, params.protocols.join(", ")]] },
    params.secrets,
  );
  const shown = displayLine(`${socketOrigin(target)}${pathWithNames(target.path, uses)}`, 2048);
  shows(shown);
  if (!deps.rate.take()) throw tooOften(deps.limits.perSecond);
  const headers = withoutHeader(parts.headers, PROTOCOLS);
  const { parts: full, written } = deps.secrets.write(target.origin, { ...parts, headers }, uses);
  const final = { ...target, path: full.path, query: full.query };
  const { host, port } = target;
  const wish: NetworkWish = { capability: "network", host, port, scheme, method: "GET", path: final.path };
  if (!deps.reach.allows(wish)) throw ungranted(shown);
  return { final, wish, written: { headers: full.headers, known: written } };
}

interface End {
  readonly bytes: number;
  readonly code: number;
  readonly error?: SallyportError;
}

/** What the audit hears of one socket: that it opened, or did not, and how it ended. */
function createReport(deps: WebSocketDeps, context: CallContext, url: string) {
  let target = url;
  let secrets: readonly string[] = [];
  let isOpen = false;
  let end: End | undefined;
  const close = ({ bytes, code, error }: End): void =>
    deps.report(context, {
      target,
      method: "ws.close",
      status: code,
      bytes,
      secrets: [],
      ...(error === undefined ? {} : { error }),
    });
  return {
    shows: (shown: string): void => void (target = shown),
    /** From here on the server may read them, also when it opens nothing. */
    carries: (names: readonly string[]): void => void (secrets = names),
    opened(): void {
      isOpen = true;
      deps.report(context, { target, method: "ws.open", status: 101, bytes: 0, secrets });
      // A server may end it in the packet that opens it.
      if (end !== undefined) close(end);
    },
    closed(how: End): void {
      end = how;
      if (isOpen) close(how);
    },
    failed(error: SallyportError): void {
      if (!isOpen) deps.report(context, { target, method: "ws.open", bytes: 0, secrets, error });
    },
  };
}

/** Takes the secrets of the handshake out of a message; one that is cut over two messages is not found. */
function createHide(written: readonly KnownSecret[]): (data: Buffer) => Buffer {
  if (written.length === 0) return (data) => Buffer.from(data);
  // One for all messages, since a server may send thousands of small ones at once; nothing is left in it behind an end.
  const stripper = createStripper(written);
  const least = Math.min(...written.flatMap(({ value }) => secretForms(value).map((form) => form.length)));
  return (data) => (data.length < least ? Buffer.from(data) : Buffer.concat([stripper.push(data), stripper.end()]));
}

function tooOften(perSecond: number): SallyportError {
  return new SallyportError("limit_exceeded", `The plugin makes more than ${perSecond} requests a second.`, {
    fix: "Ask less often.",
  });
}

function ungranted(shown: string): PolicyViolationError {
  return new PolicyViolationError("permission_denied", `The plugin may not open a WebSocket to ${shown}.`, {
    detail: "No grant covers this host, port, scheme and path together.",
    fix: "Declare it under permissions.network with `scheme: wss` and have an operator approve it.",
    data: { capability: "network" },
  });
}
