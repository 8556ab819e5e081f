import { type CallApprovals, type CallBinding, saidNo, type Waiting } from "../approval/index.ts";
import type { Scope } from "../capability/index.ts";
import { askingRules, type PolicyDecision } from "../policy/index.ts";
import type { Call, CallInput } from "./call.ts";
import { approvalRequired } from "./invoke-errors.ts";
import type { CallRoute } from "./route.ts";

/** A yes that covers a call, not spent yet. */
export interface CallPass {
  /** What each capability that is in here may reach at most during the call. */
  readonly within?: readonly Scope[] | undefined;
  /** Spends one use, durably; before any effect. @throws {PolicyViolationError} `approval_expired`. */
  spend(): Promise<void>;
}

export interface CallApprovalDeps {
  readonly approvals: CallApprovals;
  readonly waiting: Waiting;
  redact(value: unknown): unknown;
}

/**
 * The yes that covers a call. A caller that waits is held until an operator has answered.
 * @throws {PolicyViolationError} `approval_required` when there is none, `policy_denied` when an operator said no.
 */
export async function passFor(
  deps: CallApprovalDeps,
  call: Call,
  route: CallRoute,
  decision: PolicyDecision,
  input: CallInput,
  signal: AbortSignal,
): Promise<CallPass> {
  const { approvalId, waitMs = 0 } = call.request;
  const binding: CallBinding = {
    plugin: route.plugin,
    tool: route.name,
    definitionDigest: route.definitionDigest,
    caller: call.caller,
    inputDigest: input.digest,
    value: input.value,
    input: deps.redact(input.value),
    effect: route.effect,
    scopes: route.scopes,
    policySnapshot: route.policySnapshot,
    rules: askingRules(decision),
  };
  let found = await deps.approvals.find(binding, approvalId);
  if ("pending" in found && waitMs > 0) {
    const answered = await deps.waiting.answered(found.pending, { waitMs, signal });
    if (answered?.state === "denied") throw saidNo(answered);
    if (answered?.state === "approved") found = await deps.approvals.find(binding, answered.id);
  }
  if ("pending" in found) throw approvalRequired(route, decision, found.pending);
  const { id, within } = found.approved;
  return {
    within,
    async spend() {
      call.approval = id;
      await deps.approvals.consume(id, { callId: call.id, binding });
    },
  };
}
