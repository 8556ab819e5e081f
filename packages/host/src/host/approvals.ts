import { decideCall, getApproval } from "../approval/index.ts";
import type { AuditLog } from "../audit/index.ts";
import type { ApprovalsApi, ApprovalView, PluginsApi } from "../host-api.ts";
import { type Clock, SallyportError } from "../kernel/index.ts";
import { type Database, expireApprovals, listApprovals, type StoredApproval } from "../store/index.ts";

/** Requests of plugins and of calls, in one inbox. An answer to a plugin's request is an approval of the plugin. */
export function createApprovalsApi(db: Database, audit: AuditLog, clock: Clock, plugins: PluginsApi): ApprovalsApi {
  return {
    async list(filter = {}) {
      await db.atomically([expireApprovals(clock.now())]);
      return (await listApprovals(db, filter)).map(toView);
    },
    async approve(operator, id, options = {}) {
      const request = await getApproval(db, id);
      if (request.kind === "call") {
        const answer = {
          state: "approved",
          operator: operator.name,
          expiresAt: options.expiresAt,
          uses: options.uses,
        } as const;
        return toView(await decideCall(db, audit, clock, id, answer));
      }
      assertOpen(request);
      await plugins.approve(
        operator,
        request.plugin.id,
        options.expiresAt === undefined ? {} : { expiresAt: options.expiresAt },
      );
      return toView(await getApproval(db, id));
    },
    async deny(operator, id, reason) {
      const request = await getApproval(db, id);
      if (request.kind === "call") {
        return toView(await decideCall(db, audit, clock, id, { state: "denied", operator: operator.name, reason }));
      }
      assertOpen(request);
      await plugins.deny(operator, request.plugin.id, reason);
      return toView(await getApproval(db, id));
    },
  };
}

function assertOpen(request: StoredApproval): void {
  if (request.state === "pending") return;
  throw new SallyportError("conflict", `The request ${request.id} is ${request.state} already.`, {
    fix: "List what is open: sallyport approval list",
  });
}

function toView(approval: StoredApproval): ApprovalView {
  return {
    id: approval.id,
    kind: approval.kind,
    state: approval.state,
    createdAt: approval.createdAt,
    expiresAt: approval.expiresAt,
    plugin: approval.plugin,
    sentence: approval.sentence,
    ...(approval.tool === null ? {} : { tool: approval.tool }),
    ...(approval.agent === null ? {} : { agent: approval.agent }),
    ...(approval.input === undefined ? {} : { input: approval.input }),
    ...(approval.decidedBy === null ? {} : { decidedBy: approval.decidedBy }),
  };
}
