import { decideCall, getApproval } from "../approval/index.ts";
import type { ApprovalsApi, ApprovalView } from "../host-api.ts";
import { SallyportError } from "../kernel/index.ts";
import { expireApprovals, listApprovals, type StoredApproval, type StoredPlugin } from "../store/index.ts";
import { approvePlugin, denyPlugin } from "./approve.ts";
import type { PluginsDeps } from "./plugins-deps.ts";

/** Requests of plugins and of calls, in one inbox. An answer to a plugin's request is an answer to exactly its version. */
export function createApprovalsApi(deps: PluginsDeps): ApprovalsApi {
  const { db, audit, clock } = deps;

  /** @throws {SallyportError} `conflict` when it was answered, or its bytes are no longer here. */
  function askedFor(request: StoredApproval): StoredPlugin {
    const record = deps.catalog.current(request.plugin);
    if (request.state === "pending" && record) return record;
    throw new SallyportError("conflict", `The request ${request.id} is ${record ? request.state : "over"} already.`, {
      fix: "List what is open: sallyport approval list",
    });
  }

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
      if (options.uses !== undefined) {
        throw new SallyportError("usage", "A plugin's grant has no number of uses.", {
          fix: "Give it an end with --expires instead.",
        });
      }
      const { expiresAt } = options;
      await approvePlugin(deps, operator, askedFor(request), expiresAt === undefined ? {} : { expiresAt });
      return toView(await getApproval(db, id));
    },
    async deny(operator, id, reason) {
      const request = await getApproval(db, id);
      if (request.kind === "call") {
        return toView(await decideCall(db, audit, clock, id, { state: "denied", operator: operator.name, reason }));
      }
      await denyPlugin(deps, operator, askedFor(request), reason);
      return toView(await getApproval(db, id));
    },
  };
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
