import { displayLine, SallyportError, systemClock, toSallyportError } from "../kernel/index.ts";
import { createPeer, isRecord, type Peer, type PeerAnswer, type PeerOptions } from "../rpc/index.ts";
import { VERSION } from "../version.ts";
import { refusedRequest, toolAnswer } from "./mcp-answer.ts";
import { changedTools, declaredNames, differencesOf, listTools } from "./mcp-tools.ts";
import type { McpToolPin } from "./types.ts";

const PROTOCOLS: readonly unknown[] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];
const LIST_MS = 10_000;
const CANCEL_PING_MS = 10_000;
const METHOD_CHARS = 64;
/** Each look at a server's list costs the host what the server likes to make of it. */
const MOST_CHECKS = 20;
const CHECKS_WITHIN_MS = 60_000;

type Settle = (answer: PeerAnswer) => void;

/**
 * A peer of the supervisor's that speaks MCP to the other side: what the supervisor says in the protocol of plugins becomes MCP,
 * and back, under the same caps on lines, queues and rates. The server's tools must be the pinned ones, at the start and
 * whenever it says that its list changed; requests of the server are refused, but for ping.
 */
export function createMcpPeer(options: PeerOptions, pins: readonly McpToolPin[]): Peer {
  /** Requests in flight, or given up and not known to be over. */
  const requests = new Map<string, number>();
  const { clock = systemClock } = options;
  /** When the list was looked at, of late. */
  let checked: readonly number[] = [];
  let checking = false;
  let changedAgain = false;

  const peer = createPeer({
    ...options,
    anyRequestId: true,
    onRequest: (method) =>
      method === "ping" ? Promise.resolve({}) : Promise.reject(refusedRequest(displayLine(method, METHOD_CHARS))),
    onNotification: notified,
  });

  function notified(method: string, params: unknown, bytes: number): void {
    if (method === "notifications/tools/list_changed") return void check();
    if (!isRecord(params)) return;
    if (method === "notifications/progress") {
      const { progressToken, progress, total, message } = params;
      const more = { ...(total === undefined ? {} : { total }), ...(message === undefined ? {} : { message }) };
      options.onNotification("progress", { call: progressToken, progress, ...more }, bytes);
    } else if (method === "notifications/message") {
      options.onNotification(
        "log",
        { call: null, level: levelOf(params["level"]), message: wordsOf(params["data"]) },
        bytes,
      );
    }
  }

  function condemn(error: SallyportError): void {
    peer.close(error);
    options.readable.destroy();
    options.onViolation(error);
  }

  /** Asks any number of times within one time. */
  function within(timeoutMs: number): (method: string, params: object) => ReturnType<Peer["request"]> {
    const end = clock.monotonic() + timeoutMs;
    return (method, params) => peer.request(method, params, Math.max(1, end - clock.monotonic()));
  }

  /** A server whose tools are others than those that were approved is not used any more. */
  async function check(): Promise<void> {
    changedAgain = checking;
    if (checking) return;
    checking = true;
    try {
      do {
        changedAgain = false;
        const now = clock.monotonic();
        checked = [...checked.filter((at) => now - at < CHECKS_WITHIN_MS), now];
        if (checked.length > MOST_CHECKS) return peer.violate("it said again and again that its list of tools changed");
        const listed = await listTools(within(LIST_MS));
        const names = declaredNames(pins, listed);
        const differing = [
          ...pins.filter(({ name }) => !names.includes(name)).map(({ name }) => `${name} is gone`),
          ...names.filter((name) => !pins.some((pin) => pin.name === name)).map((name) => `${name} is new`),
          ...differencesOf(pins, listed),
        ];
        if (differing.length > 0) return condemn(changedTools(differing));
      } while (changedAgain);
    } catch {
      peer.violate("it said that its list of tools changed, and did not give it");
    } finally {
      checking = false;
    }
  }

  async function start(timeoutMs: number): Promise<readonly string[]> {
    const client = {
      protocolVersion: PROTOCOLS[0],
      capabilities: {},
      clientInfo: { name: "sallyport", version: VERSION },
    };
    const ask = within(timeoutMs);
    const answer = await ask("initialize", client);
    const result = answer.kind === "result" && isRecord(answer.result) ? answer.result : {};
    if (!PROTOCOLS.includes(result["protocolVersion"])) {
      throw new SallyportError("load_failed", "The MCP server speaks no version of the protocol that is known here.", {
        detail: `Known: ${PROTOCOLS.join(", ")}.`,
      });
    }
    peer.notify("notifications/initialized", {});
    const listed = await listTools(ask);
    const differing = differencesOf(pins, listed);
    if (differing.length > 0) throw changedTools(differing);
    return declaredNames(pins, listed);
  }

  function call(params: unknown, timeoutMs: number, settle: Settle): number {
    const { call_id: callId, tool, input } = isRecord(params) ? params : {};
    const pin = pins.find(({ name }) => name === tool);
    if (pin === undefined || typeof callId !== "string") return failed(settle, "A call without a declared tool.");
    const wish = { name: pin.serverName, arguments: input, _meta: { progressToken: callId } };
    const id = peer.send("tools/call", wish, timeoutMs, (answer) => {
      if (answer.kind !== "failed") requests.delete(callId);
      settle(toolAnswer(answer, pin));
    });
    if (id !== 0) requests.set(callId, id);
    return id;
  }

  /** A server does not answer a request that was cancelled; that it still answers others is all that can be known. */
  function cancel(params: unknown): boolean {
    const { call_id: callId, reason } = isRecord(params) ? params : {};
    const id = typeof callId === "string" ? requests.get(callId) : undefined;
    if (id === undefined || typeof callId !== "string") return false;
    requests.delete(callId);
    const sent = peer.notify("notifications/cancelled", { requestId: id, reason });
    peer.send("ping", {}, CANCEL_PING_MS, (answer) => {
      if (answer.kind !== "failed") options.onLateAnswer?.(id);
    });
    return sent;
  }

  function send(method: string, params: unknown, timeoutMs: number, settle: Settle): number {
    switch (method) {
      case "bind":
        start(timeoutMs).then(
          (tools) => settle({ kind: "result", result: { tools, hooks: [] }, bytes: 0 }),
          (error: unknown) => settle({ kind: "failed", error: toSallyportError(error) }),
        );
        return 0;
      case "initialize":
        settle({ kind: "result", result: { ok: true }, bytes: 0 });
        return 0;
      case "call":
        return call(params, timeoutMs, settle);
      case "ping":
        return peer.send(method, {}, timeoutMs, settle);
      case "shutdown":
        // What ends a server on stdio is the end of its stdin.
        options.writable.end();
        settle({ kind: "result", result: {}, bytes: 0 });
        return 0;
      default:
        return failed(settle, "An MCP server is not asked this.");
    }
  }

  return {
    send,
    request: (method, params, timeoutMs) =>
      new Promise((resolve, reject) => {
        send(method, params, timeoutMs, (given) => (given.kind === "failed" ? reject(given.error) : resolve(given)));
      }),
    abandon: peer.abandon,
    notify: (method, params) => method === "cancel" && cancel(params),
    violate: peer.violate,
    close: peer.close,
    get stats() {
      return peer.stats;
    },
  };
}

function failed(settle: Settle, message: string): 0 {
  settle({ kind: "failed", error: new SallyportError("internal", message) });
  return 0;
}

const LEVELS: Readonly<Record<string, string>> = { debug: "debug", info: "info", notice: "info", warning: "warn" };

function levelOf(level: unknown): string {
  return (typeof level === "string" ? LEVELS[level] : undefined) ?? "error";
}

function wordsOf(data: unknown): string {
  return typeof data === "string" ? data : (JSON.stringify(data) ?? "");
}
