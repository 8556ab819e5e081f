import type { BrokerAction } from "../broker/index.ts";
import { ERROR_CODES, isErrorCode } from "../kernel/index.ts";

/** What the host refused a plugin during a call: the likeliest cause when the plugin then says that it failed. */
export interface Refusals {
  note(action: BrokerAction): void;
  /** The last refusal of a call, in words, once; the call is over then. */
  take(callId: string): string | undefined;
}

/** That a call within the call waits for a person is the same to whoever called: it can go on when somebody agreed. */
const SAID: ReadonlySet<string> = new Set(["denied", "approval"]);

/** What only an operator can mend is said too. */
const OPERATORS: ReadonlySet<string> = new Set(["secret_missing", "digest_mismatch"]);

/** Calls that are in flight and were refused something; a plugin that asks after its call ended must not fill this. */
const MOST = 10_000;

export function createRefusals(): Refusals {
  const last = new Map<string, string>();
  return {
    note({ callId, outcome, reason, method, target }) {
      if (callId === null || outcome === "succeeded" || reason === undefined || !isErrorCode(reason)) return;
      if (!SAID.has(ERROR_CODES[reason].category) && !OPERATORS.has(reason)) return;
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
