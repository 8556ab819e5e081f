import { newId, SallyportError } from "../kernel/index.ts";
import { isRecord } from "../rpc/index.ts";
import { createSharedController } from "./cancellation.ts";
import type { BrokerSession, CallContext } from "./types.ts";
import type { Calls } from "./calls.ts";

/** Which of the plugin's messages are served, and as part of which call. */
export interface Requests {
  handle(method: string, params: unknown): Promise<unknown>;
  notify(method: string, params: unknown): void;
  /** Serves requests of `initialize` under a call id of its own until the answer is there. */
  initializing<Result>(run: (callId: string) => Promise<Result>): Promise<Result>;
  close(): void;
}

interface Deps {
  readonly broker: BrokerSession;
  readonly calls: Calls;
  /** Reports what no honest runner sends. */
  readonly violate: (problem: string) => void;
}

const NOTIFICATIONS = new Set(["log", "progress"]);
const DONE = Promise.resolve();

/** The call id in a message is the plugin's claim: only calls in flight in this very process are accepted. */
export function createRequests({ broker, calls, violate }: Deps): Requests {
  const outside = createSharedController();
  let start: { readonly context: CallContext; readonly controller: AbortController } | undefined;

  function contextOf(callId: string): { context: CallContext; signal: AbortSignal } | undefined {
    const entry = calls.find(callId);
    if (entry !== undefined) return { context: entry.call, signal: calls.signalOf(entry) };
    if (start?.context.callId !== callId) return undefined;
    return { context: start.context, signal: start.controller.signal };
  }

  return {
    async handle(method, params) {
      const callId = isRecord(params) ? params["call"] : undefined;
      if (callId === null) return broker.handle(method, params, null, outside.signal);
      const found = typeof callId === "string" ? contextOf(callId) : undefined;
      if (found === undefined) throw noSuchCall();
      return broker.handle(method, params, found.context, found.signal);
    },
    notify(method, params) {
      if (!NOTIFICATIONS.has(method)) return violate("it sent a notification that does not exist");
      const callId = isRecord(params) ? params["call"] : undefined;
      const context = typeof callId === "string" ? contextOf(callId)?.context : undefined;
      // What a call says after its end is still said, but no longer as part of it.
      const said = context === undefined && isRecord(params) ? { ...params, call: null } : params;
      try {
        broker.notify(method, said, context ?? null);
      } catch {
        // Words that cannot be kept are lost; they are not worth a call.
      }
    },
    async initializing(run) {
      const controller = createSharedController();
      const context = {
        callId: newId("start"),
        agent: "host",
        tool: "initialize",
        intent: DONE,
        signal: controller.signal,
      };
      start = { context, controller };
      try {
        return await run(context.callId);
      } finally {
        start = undefined;
        controller.abort();
        broker.endCall(context.callId);
      }
    },
    close() {
      outside.abort();
      broker.close();
    },
  };
}

function noSuchCall(): SallyportError {
  return new SallyportError("permission_denied", "The request names no call in flight.", {
    fix: "Ask the host only from inside a tool call, and await what you ask for.",
  });
}
