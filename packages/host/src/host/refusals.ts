import type { BrokerAction } from "../broker/index.ts";
import { ERROR_CODES, isErrorCode } from "../kernel/index.ts";

/** What the host refused a plugin during a call: the likeliest cause when the plugin then says that it failed. */
export interface Refusals {
  note(action: BrokerAction): void;
  /** The last refusal of a call, in words, once; the call is over then. */
  take(callId: string): string | undefined;
}

/** Calls that are in flight and were refused something; a plugin that asks after its call ended must not fill this. */
const MOST = 10_000;

export function createRefusals(): Refusals {
  const last = new Map<string, string>();
  return {
    note({ callId, outcome, reason, method, target }) {
      if (callId === null || outcome === "succeeded" || reason === undefined || !isErrorCode(reason)) return;
      if (ERROR_CODES[reason].category !== "denied" && reason !== "secret_missing") return;
      if (last.size >= MOST) last.clear();
      last.set(callId, `The host refused it ${method} ${target} (${reason}: ${ERROR_CODES[reason].meaning})`);
    },
    take(callId) {
      const refusal = last.get(callId);
      if (refusal !== undefined) last.delete(callId);
      return refusal;
    },
  };
}
