import { LIMITS, parseBoundedJson, SallyportError, systemClock, toSallyportError } from "../kernel/index.ts";
import { createLineReader } from "./lines.ts";
import { type Message, readMessage, type RequestId } from "./messages.ts";
import { createRateCap } from "./rate-cap.ts";
import { createAlarm, systemTimers } from "./timers.ts";
import type { Peer, PeerAnswer, PeerLimits, PeerOptions } from "./types.ts";
import { createLineWriter } from "./writer.ts";

/** JSON-RPC code of an error of the host; `data.code` is a `SallyportError` code. */
export const HOST_ERROR = -32001;

const DEFAULT_LIMITS: PeerLimits = {
  lineBytes: LIMITS.lineBytes,
  jsonDepth: LIMITS.jsonDepth + 4,
  // The most that an output of a tool can hold (`[],[],` are two for three bytes, as they are counted), and what is around it.
  values: Math.ceil((LIMITS.outputBytes * 2) / 3) + 64,
  outboundBytes: LIMITS.outboundBytes,
  outstanding: 1024,
  inboundRequests: LIMITS.brokerRequests,
  unaskedPerSecond: 20_000,
  unaskedBytesPerSecond: 4 * 1024 * 1024,
  valuesPerSecond: 500_000,
  abandonedIds: 4096,
};

interface Outstanding {
  readonly method: string;
  readonly deadline: number;
  readonly settle: (answer: PeerAnswer) => void;
}

export function createPeer(options: PeerOptions): Peer {
  const { readable, writable, clock = systemClock, timers = systemTimers } = options;
  const limits: PeerLimits = { ...DEFAULT_LIMITS, ...options.limits };
  const outstanding = new Map<number, Outstanding>();
  const abandoned = new Set<number>();
  const working = new Set<RequestId>();
  const unasked = createRateCap(clock, limits.unaskedPerSecond, limits.unaskedBytesPerSecond);
  const values = createRateCap(clock, Infinity, limits.valuesPerSecond);
  let nextId = 1;
  let lastInboundId = 0;
  let lateAnswers = 0;
  let closed: SallyportError | undefined;

  const writer = createLineWriter(writable, limits);
  const alarm = createAlarm(timers, () => clock.monotonic(), expire);

  function expire(now: number): number {
    let next = Infinity;
    for (const [id, entry] of outstanding) {
      if (entry.deadline <= now) {
        abandon(id, new SallyportError("deadline_exceeded", `"${entry.method}" was not answered in time.`));
      } else if (entry.deadline < next) next = entry.deadline;
    }
    return next;
  }

  function close(error: SallyportError): void {
    if (closed !== undefined) return;
    closed = error;
    alarm.stop();
    readable.off("data", onData);
    readable.resume();
    writer.close();
    const entries = [...outstanding.values()];
    outstanding.clear();
    for (const entry of entries) entry.settle({ kind: "failed", error });
  }

  function violate(problem: string): false {
    if (closed !== undefined) return false;
    const error = new SallyportError("protocol_violation", "The plugin's process broke the protocol and was stopped.", {
      detail: `${problem}.`,
      fix: "Report this to the plugin's author; nothing of the message was used.",
    });
    close(error);
    readable.destroy();
    options.onViolation(error);
    return false;
  }

  function onLine(text: string, bytes: number): boolean {
    let value: unknown;
    let size = 0;
    try {
      value = parseBoundedJson(text, {
        maxDepth: limits.jsonDepth,
        maxValues: limits.values,
        counted: (count) => (size = count),
      });
    } catch (error) {
      return violate(`a line was refused: ${toSallyportError(error).message}`);
    }
    const message = readMessage(value, options.anyRequestId);
    if (typeof message === "string") return violate(message);
    if (message.kind === "result" || message.kind === "error") return onAnswer(message, bytes);
    if (!values.admit(size)) return violate("it floods the host with values");
    if (message.kind === "request") return onRequest(message, bytes);
    if (!unasked.admit(bytes)) return violate("it floods the host with messages");
    options.onNotification(message.method, message.params, bytes);
    return closed === undefined;
  }

  function onAnswer(message: Extract<Message, { kind: "result" | "error" }>, bytes: number): boolean {
    const entry = outstanding.get(message.id);
    if (entry === undefined) {
      if (!abandoned.delete(message.id)) return violate("it answered an id that is not waiting for an answer");
      lateAnswers++;
      options.onLateAnswer?.(message.id);
      return closed === undefined;
    }
    outstanding.delete(message.id);
    entry.settle(
      message.kind === "result"
        ? { kind: "result", result: message.result, bytes }
        : { kind: "error", error: message.error, bytes },
    );
    return closed === undefined;
  }

  function onRequest({ id, method, params }: Extract<Message, { kind: "request" }>, bytes: number): boolean {
    if (options.anyRequestId !== true) {
      if (typeof id !== "number" || id <= lastInboundId) return violate("it used a request id twice");
      lastInboundId = id;
    }
    if (working.size >= limits.inboundRequests) {
      if (!unasked.admit(bytes)) return violate("it floods the host with requests");
      return answer({ id, error: errorBody(new SallyportError("busy", "Too many requests at the same time.")) });
    }
    working.add(id);
    options.onRequest(method, params).then(
      (result) => finish(id, { id, result: result ?? null }),
      (error: unknown) => finish(id, { id, error: errorBody(toSallyportError(error)) }),
    );
    return closed === undefined;
  }

  function finish(id: RequestId, body: { id: RequestId; result?: unknown; error?: unknown }): void {
    working.delete(id);
    if (closed === undefined) answer(body);
  }

  function answer(body: { id: RequestId; result?: unknown; error?: unknown }): boolean {
    const written = writer.write({ jsonrpc: "2.0", ...body });
    if (written === "sent") return true;
    if (written === "full") return violate("it does not read its answers");
    return answer({ id: body.id, error: errorBody(UNSENDABLE[written]()) });
  }

  function send(method: string, params: unknown, timeoutMs: number, settle: (answer: PeerAnswer) => void): number {
    if (closed !== undefined) return refuse(settle, closed);
    if (outstanding.size >= limits.outstanding) {
      return refuse(settle, new SallyportError("busy", "Too many requests wait for an answer."));
    }
    const id = nextId;
    const written = writer.write({ jsonrpc: "2.0", id, method, params });
    if (written !== "sent") return refuse(settle, UNSENDABLE[written]());
    nextId = id + 1;
    const deadline = clock.monotonic() + timeoutMs;
    outstanding.set(id, { method, deadline, settle });
    alarm.setFor(deadline);
    return id;
  }

  function abandon(id: number, error: SallyportError): void {
    const entry = outstanding.get(id);
    if (entry === undefined) return;
    outstanding.delete(id);
    remember(id);
    entry.settle({ kind: "failed", error });
  }

  function remember(id: number): void {
    abandoned.add(id);
    if (abandoned.size <= limits.abandonedIds) return;
    const [oldest] = abandoned;
    if (oldest !== undefined) abandoned.delete(oldest);
  }

  const onData = (chunk: Buffer): void => {
    if (closed === undefined) reader.push(chunk);
  };
  const reader = createLineReader({ maxBytes: limits.lineBytes, onLine, onProblem: violate });
  readable.on("data", onData);
  readable.on("error", () => undefined);
  writable.on("error", () => undefined);

  return {
    send,
    request: (method, params, timeoutMs) =>
      new Promise((resolve, reject) => {
        send(method, params, timeoutMs, (given) => (given.kind === "failed" ? reject(given.error) : resolve(given)));
      }),
    abandon,
    notify: (method, params) => closed === undefined && writer.write({ jsonrpc: "2.0", method, params }) === "sent",
    violate,
    close,
    get stats() {
      return { outstanding: outstanding.size, inbound: working.size, lateAnswers };
    },
  };
}

/** Why a line was not written. */
const UNSENDABLE = {
  full: () => new SallyportError("busy", "The other side does not read what it is sent."),
  too_long: () => new SallyportError("limit_exceeded", "The message does not fit into one line."),
  not_json: () => new SallyportError("internal", "The message has no JSON form."),
};

function refuse(settle: (answer: PeerAnswer) => void, error: SallyportError): 0 {
  settle({ kind: "failed", error });
  return 0;
}

/** What the plugin learns of an error: code, message, fix. Never `detail` or data, which may name the host's own things. */
function errorBody(error: SallyportError): object {
  const { code, message, fix } = error;
  return { code: HOST_ERROR, message, data: fix === undefined ? { code } : { code, fix } };
}
