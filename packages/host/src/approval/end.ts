import type { AuditLog } from "../audit/index.ts";
import { type Clock, type PluginRef, SallyportError } from "../kernel/index.ts";
import {
  type ApprovalEnd,
  type Database,
  dueApprovals,
  endApproval,
  listApprovals,
  type StoredApproval,
} from "../store/index.ts";
import { endedEvent } from "./events.ts";

export interface ApprovalDeps {
  readonly db: Database;
  readonly audit: Pick<AuditLog, "commit">;
  /** One that never goes back: what was over stays over. */
  readonly clock: Clock;
}

/** Ends what nobody answered or used in time. Whoever was faster wins, and then this did nothing. */
export async function expireDue({ db, audit, clock }: ApprovalDeps): Promise<void> {
  for (const approval of await dueApprovals(db, clock.now())) {
    await end({ db, audit, clock }, approval, "expired", "host", "time").catch(unlessConflict);
  }
}

/** @throws {SallyportError} `conflict` when it is in another state by now; then nothing has changed. */
export async function end(
  { audit, clock }: ApprovalDeps,
  approval: StoredApproval,
  state: ApprovalEnd["state"],
  by: string,
  reason: string,
): Promise<StoredApproval> {
  const ending: ApprovalEnd = { state, by, at: clock.now(), reason };
  await audit.commit([endApproval(approval.id, ending)], [endedEvent(approval, ending)]);
  return { ...approval, state, endedAt: ending.at, endedBy: by, endedReason: reason };
}

/** Takes back every yes to a call of these bytes: what they are to the operator has changed. */
export async function withdrawCalls(deps: ApprovalDeps, { id, digest }: PluginRef, reason: string): Promise<void> {
  for (const approval of await listApprovals(deps.db, { kind: "call", state: "approved", pluginId: id })) {
    if (approval.plugin.digest === digest) await end(deps, approval, "withdrawn", "host", reason).catch(unlessConflict);
  }
}

export function unlessConflict(error: unknown): void {
  if (!(error instanceof SallyportError) || error.code !== "conflict") throw error;
}
