import type { AuditEvent, AuditLog } from "../audit/index.ts";
import { type Clock, newId, SallyportError } from "../kernel/index.ts";
import { type Database, decideApproval, findApproval, type StoredApproval } from "../store/index.ts";

export interface CallAnswer {
  readonly state: "approved" | "denied";
  readonly operator: string;
  readonly reason?: string | undefined;
  /** Milliseconds since the epoch; for an approval, a quarter of an hour from now unless told. */
  readonly expiresAt?: number | undefined;
  /** How often the same call may run; once unless told. */
  readonly uses?: number | undefined;
}

const APPROVED_MS = 15 * 60 * 1000;

/**
 * Answers a pending request for one call. Answers of a plugin's permissions go through the catalog.
 * @throws {SallyportError} `not_found`; `conflict` when it was answered before or is over.
 */
export async function decideCall(
  db: Database,
  audit: AuditLog,
  clock: Clock,
  id: string,
  answer: CallAnswer,
): Promise<StoredApproval> {
  const now = clock.now();
  const request = await getApproval(db, id);
  const statement = decideApproval(id, {
    state: answer.state,
    by: answer.operator,
    at: now,
    reason: answer.reason,
    expiresAt: answer.state === "approved" ? (answer.expiresAt ?? now + APPROVED_MS) : undefined,
    usesLeft: answer.uses,
  });
  try {
    await audit.commit([statement], [decidedEvent(clock, request, answer)]);
  } catch (error) {
    if (!(error instanceof SallyportError) || error.code !== "conflict") throw error;
    const latest = await getApproval(db, id);
    throw new SallyportError(
      "conflict",
      `The request ${id} is ${latest.state === "pending" ? "over" : latest.state} already.`,
      {
        fix: "List what is open: sallyport approval list",
        cause: error,
      },
    );
  }
  return getApproval(db, id);
}

/** @throws {SallyportError} `not_found`. */
export async function getApproval(db: Database, id: string): Promise<StoredApproval> {
  const approval = await findApproval(db, id);
  if (approval) return approval;
  throw new SallyportError("not_found", `There is no approval request ${id.slice(0, 100)}.`, {
    fix: "List what is open: sallyport approval list",
  });
}

export function decidedEvent(
  clock: Clock,
  request: StoredApproval,
  answer: Pick<CallAnswer, "state" | "operator" | "reason">,
): AuditEvent {
  return {
    v: 1,
    id: newId("evt"),
    time: clock.now(),
    type: "approval.decided",
    actor: `operator:${answer.operator}`,
    approval: request.id,
    plugin: request.plugin,
    decision: answer.state === "approved" ? "allow" : "deny",
    ...(request.agent === null ? {} : { agent: request.agent }),
    ...(request.tool === null ? {} : { tool: request.tool }),
    ...(request.inputDigest === null ? {} : { input_digest: request.inputDigest }),
    ...(answer.reason === undefined ? {} : { reason: answer.reason }),
  };
}
