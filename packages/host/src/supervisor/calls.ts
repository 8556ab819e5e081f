import { type Clock, displayText, SallyportError } from "../kernel/index.ts";
import { createAlarm, isRecord, type Peer, type PeerAnswer, type Timers } from "../rpc/index.ts";
import { type Admission, createAdmission } from "./admission.ts";
import { type Cancellable, createSharedController, offAbort, onAbort } from "./cancellation.ts";
import type { SupervisorLimits } from "./limits.ts";
import type { BrokerSession, ToolAnswer, ToolCall } from "./types.ts";

/** A call that waits or runs. */
export interface Entry extends Cancellable {
  readonly call: ToolCall;
  /** Where it has its place. */
  readonly admission: Admission<Entry>;
  readonly agent: string;
  readonly exclusive: boolean;
  readonly deadline: number;
  readonly resolve: (answer: ToolAnswer) => void;
  readonly reject: (error: unknown) => void;
  requestId: number;
  /** Made when the plugin asks the broker for something. */
  controller: AbortController | undefined;
}

export interface CallsDeps {
  readonly peer: Peer;
  readonly broker: BrokerSession;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly limits: SupervisorLimits;
  readonly concurrency: number;
  /** False once the process is being ended. */
  readonly alive: () => boolean;
  /** A call was given up; the plugin may be stuck. */
  readonly onGivenUp: () => void;
  /** A call waits for nothing but calls that were given up. */
  readonly onBlocked: () => void;
  /** No call is in flight any more. */
  readonly onEmpty: () => void;
}

export interface Calls {
  run(call: ToolCall): Promise<ToolAnswer>;
  /** The call in flight with this id. */
  find(callId: string): Entry | undefined;
  /** The signal that ends with the call. */
  signalOf(entry: Entry): AbortSignal;
  /** The plugin answered a call that had been given up. */
  late(requestId: number): void;
  /** Fails all that wait; they never started. */
  clearQueue(error: SallyportError): void;
  /** Gives up all that are in flight. */
  giveUp(error: SallyportError): void;
  readonly started: number;
  readonly admission: Pick<Admission<Entry>, "running" | "draining" | "blockedByDraining">;
}

/** JSON-RPC code of a failure in the plugin's own code. */
const PLUGIN_FAILED = -32000;
/** More than anybody is shown: what is cut off here must lie behind what is left when secrets have been taken out. */
const MESSAGE_CHARS = 20_000;

export function createCalls(deps: CallsDeps): Calls {
  const { peer, broker, clock, limits } = deps;
  const inFlight = new Map<string, Entry>();
  const draining = new Map<number, Admission<Entry>>();
  const waiting = new Set<Entry>();
  const alarm = createAlarm(deps.timers, () => clock.monotonic(), expireWaiting);
  let started = 0;

  const admission = createAdmission<Entry>({ concurrency: deps.concurrency, queued: limits.queuedCalls }, start);
  /*
   * What hooks and subscribers are told gives them no authority, only log and kv. It is therefore in flight beside calls of
   * any agent, and a call never waits for a hook that waits for the call.
   */
  const telling = createAdmission<Entry>({ concurrency: limits.deliveries, queued: limits.queuedCalls }, start);

  function start(entry: Entry): void {
    const { call } = entry;
    const left = Math.max(1, Math.ceil(entry.deadline - clock.monotonic()));
    inFlight.set(call.callId, entry);
    waiting.delete(entry);
    started++;
    call.onStart?.();
    const params = { call_id: call.callId, tool: call.tool, input: call.input, timeout_ms: left, agent: call.agent };
    entry.requestId =
      call.delivery === undefined
        ? peer.send("call", params, left, (answer) => finish(entry, answer))
        : peer.send(call.delivery, told(call, left), left, (answer) => finish(entry, answer));
  }

  function finish(entry: Entry, answer: PeerAnswer): void {
    const { call } = entry;
    inFlight.delete(call.callId);
    offAbort(call.signal, entry);
    if (entry.controller !== undefined) {
      entry.controller.abort();
      broker.endCall(call.callId);
    }
    const givenUp = answer.kind === "failed" ? givenUpBecause(answer.error) : null;
    const isDraining = givenUp !== null && entry.requestId !== 0 && deps.alive();
    if (isDraining) {
      draining.set(entry.requestId, entry.admission);
      peer.notify("cancel", { call_id: call.callId, reason: givenUp });
    }
    settle(entry, answer);
    entry.admission.leave(entry, isDraining);
    if (isDraining) deps.onGivenUp();
    if (both.blockedByDraining) deps.onBlocked();
    if (both.running === 0) deps.onEmpty();
  }

  const both = {
    get running() {
      return admission.running + telling.running;
    },
    get draining() {
      return admission.draining + telling.draining;
    },
    get blockedByDraining() {
      return admission.blockedByDraining || telling.blockedByDraining;
    },
  };

  function expireWaiting(now: number): number {
    let next = Infinity;
    for (const entry of waiting) {
      if (entry.deadline > now) next = Math.min(next, entry.deadline);
      else withdraw(entry, waitedTooLong());
    }
    return next;
  }

  /** A call that never reached the plugin: nothing of it happened. */
  function withdraw(entry: Entry, error: SallyportError): boolean {
    if (!waiting.delete(entry)) return false;
    offAbort(entry.call.signal, entry);
    entry.reject(error);
    entry.admission.withdraw(entry);
    return true;
  }

  function settle(entry: Entry, answer: PeerAnswer): void {
    if (answer.kind === "failed") {
      return entry.reject(answer.error.code === "deadline_exceeded" ? tookTooLong(entry.call) : answer.error);
    }
    const checked = answer.kind === "error" ? toolFailed(answer) : readOutput(answer.result, answer.bytes);
    // No answer, of success or failure, leaves before the intent is durable.
    entry.call.intent.then(
      () => (checked instanceof SallyportError ? entry.reject(checked) : entry.resolve(checked)),
      entry.reject,
    );
  }

  function readOutput(result: unknown, bytes: number): ToolAnswer | SallyportError {
    if (!isRecord(result) || !("output" in result)) {
      peer.violate("it answered a call without an output");
      return new SallyportError("protocol_violation", "The plugin's process broke the protocol and was stopped.");
    }
    // A text may be cut; how long it may be at most is the length of a line.
    if (bytes <= limits.outputBytes || typeof result["output"] === "string") return { output: result["output"], bytes };
    return new SallyportError("output_too_large", `The tool's answer is larger than ${limits.outputBytes} bytes.`, {
      fix: "Ask the tool for less, or a page at a time.",
      data: { bytes, limit: limits.outputBytes },
    });
  }

  function cancel(entry: Entry): void {
    if (!withdraw(entry, cancelled(false))) peer.abandon(entry.requestId, cancelled(true));
  }

  return {
    run: (call) =>
      new Promise((resolve, reject) => {
        if (call.signal.aborted) return reject(cancelled(false));
        const entry: Entry = {
          call,
          admission: call.limited === true ? telling : admission,
          agent: call.limited === true ? "" : call.agent,
          exclusive: call.exclusive === true,
          deadline: clock.monotonic() + call.timeoutMs,
          resolve,
          reject,
          cancel: () => cancel(entry),
          requestId: 0,
          controller: undefined,
        };
        onAbort(call.signal, entry);
        try {
          if (entry.admission.enter(entry)) return;
          waiting.add(entry);
          if (call.mayWait?.() === false) return void withdraw(entry, waitsForItself());
          alarm.setFor(entry.deadline);
          if (both.blockedByDraining) deps.onBlocked();
        } catch (error) {
          offAbort(call.signal, entry);
          reject(error);
        }
      }),
    find: (callId) => inFlight.get(callId),
    signalOf(entry) {
      entry.controller ??= createSharedController();
      return entry.controller.signal;
    },
    late(requestId) {
      const admitted = draining.get(requestId);
      if (draining.delete(requestId)) admitted?.drained();
    },
    clearQueue(error) {
      alarm.stop();
      for (const entry of waiting) withdraw(entry, error);
    },
    giveUp(error) {
      for (const entry of inFlight.values()) peer.abandon(entry.requestId, error);
    },
    get started() {
      return started;
    },
    admission: both,
  };
}

/** What a hook or a subscriber is told, as the wire has it. */
function told({ callId, agent, input }: ToolCall, timeoutMs: number): object {
  return { call_id: callId, ...(isRecord(input) ? input : {}), timeout_ms: timeoutMs, agent };
}

function givenUpBecause(error: SallyportError): "deadline_exceeded" | "cancelled" | null {
  return error.code === "deadline_exceeded" || error.code === "cancelled" ? error.code : null;
}

function toolFailed(answer: Extract<PeerAnswer, { kind: "error" }>): SallyportError {
  const { code, message } = answer.error;
  return new SallyportError("tool_failed", displayText(message, MESSAGE_CHARS) || "The tool failed.", {
    detail: code === PLUGIN_FAILED ? "These are the plugin's own words." : "The plugin's runner refused the call.",
  });
}

function cancelled(wasSent: boolean): SallyportError {
  return new SallyportError("cancelled", "The call was cancelled.", {
    detail: wasSent ? "The plugin was told; what it did until then is not undone." : "It had not started.",
    data: { started: wasSent },
  });
}

function tookTooLong(call: ToolCall): SallyportError {
  return new SallyportError("deadline_exceeded", `The tool did not answer within ${call.timeoutMs} ms.`, {
    detail: "The plugin was told to stop; what it did until then is not undone.",
    fix: "Ask for less at once; the tool's `timeout_ms` in the manifest sets the limit.",
  });
}

function waitsForItself(): SallyportError {
  return new SallyportError("busy", "The call would wait for a call that waits for it.", {
    detail: "A plugin that is called back while it waits has to have a place left. The call never reached the plugin.",
    fix: "Call another tool, or raise `limits.concurrency` in the plugin's manifest.",
    data: { started: false },
  });
}

function waitedTooLong(): SallyportError {
  return new SallyportError("busy", "The call waited for a place until its time was over.", {
    detail: "It never reached the plugin.",
    fix: "Try again when fewer calls run.",
  });
}
