import type { Scope } from "../capability/index.ts";
import { PolicyViolationError, SallyportError } from "../kernel/index.ts";
import { approvalsForCall, consumeApproval, findApproval, type StoredApproval } from "../store/index.ts";
import { type CallBinding, coversInput, isAbout } from "./binding.ts";
import type { ApprovalDeps } from "./end.ts";
import { usedEvent } from "./events.ts";
import { createFiling } from "./file.ts";

/** A yes that covers a call. */
export interface CoveringApproval {
  readonly id: string;
  /** What each capability that is in here may reach at most during the call. */
  readonly within?: readonly Scope[] | undefined;
}

export interface CallApprovals {
  /**
   * An approval that covers this call now, or the pending request that this call files or joins.
   * @throws {PolicyViolationError} `policy_denied` when an operator said no to this very call a moment ago; `limit_exceeded`
   * when too many of the agent's calls wait.
   */
  find(
    binding: CallBinding,
    approvalId?: string,
  ): Promise<{ readonly approved: CoveringApproval } | { readonly pending: string }>;
  /**
   * Spends one use, durably, and says so in the audit.
   * @throws {PolicyViolationError} `approval_expired` when it is spent, withdrawn, expired or for another input.
   */
  consume(approvalId: string, use: { readonly callId: string; readonly binding: CallBinding }): Promise<void>;
}

/** For so long a no to a call answers the same call again, so that nobody is asked until they give in. */
export const DENIED_MS = 5 * 60 * 1000;

export function createCallApprovals(deps: ApprovalDeps): CallApprovals {
  const { db, audit, clock } = deps;
  const request = createFiling(deps);

  async function candidates(binding: CallBinding, id: string | undefined): Promise<readonly StoredApproval[]> {
    const named = id === undefined ? null : await findApproval(db, id);
    const { tool, caller, inputDigest } = binding;
    const found = await approvalsForCall(db, {
      tool,
      agent: caller.agent,
      inputDigest,
      deniedAfter: clock.now() - DENIED_MS,
    });
    // Naming one comes first, and hides nothing: a no to this very call counts whatever the caller names.
    const all = named === null ? found : [named, ...found];
    return all.filter((approval) => isAbout(approval, binding));
  }

  return {
    async find(binding, approvalId) {
      const now = clock.now();
      const found = await candidates(binding, approvalId);
      const open = found.filter((approval) => !isOver(approval, now));
      const approved = open.find((approval) => approval.state === "approved" && coversInput(approval, binding));
      if (approved) return { approved: { id: approved.id, within: approved.scope?.within } };
      const pending = open.find((approval) => approval.state === "pending" && isSameInput(approval, binding));
      if (pending) return { pending: pending.id };
      const no = found.find((approval) => isNo(approval, now) && isSameInput(approval, binding));
      if (no) throw saidNo(no);
      return { pending: await request(binding) };
    },
    async consume(approvalId, { callId, binding }) {
      const time = clock.now();
      const statement = consumeApproval(approvalId, { inputDigest: binding.inputDigest, at: time });
      try {
        await audit.commit([statement], [usedEvent(approvalId, binding, { callId, time })]);
      } catch (error) {
        if (!(error instanceof SallyportError) || error.code !== "conflict") throw error;
        throw new PolicyViolationError("approval_expired", "The approval was spent, withdrawn, or is over.", {
          fix: "Make the call again to ask anew.",
          data: { approval: approvalId },
          cause: error,
        });
      }
    },
  };
}

function isSameInput(approval: StoredApproval, { inputDigest }: CallBinding): boolean {
  return approval.inputDigest === inputDigest;
}

function isOver(approval: StoredApproval, now: number): boolean {
  return (approval.expiresAt !== null && approval.expiresAt <= now) || approval.usesLeft === 0;
}

function isNo({ state, decidedAt }: StoredApproval, now: number): boolean {
  return state === "denied" && decidedAt !== null && decidedAt > now - DENIED_MS;
}

/** What a caller is told whose call an operator said no to. */
export function saidNo(approval: StoredApproval): PolicyViolationError {
  return new PolicyViolationError("policy_denied", "An operator said no to this call.", {
    ...(approval.reason === null ? {} : { detail: approval.reason }),
    fix: "Do something else. The same call may be asked about again in a few minutes.",
    data: { approval: approval.id, reason: "approval_denied" },
  });
}
