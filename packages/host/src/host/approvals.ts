import {
  type ApprovalDeps,
  decideCall,
  expireDue,
  getApproval,
  matchScope,
  type Meter,
  narrowed,
  scopeWords,
  watchRequests,
  withdrawCall,
} from "../approval/index.ts";
import type { ApprovalsApi, ApprovalView, ApproveCallOptions } from "../host-api.ts";
import { SallyportError } from "../kernel/index.ts";
import { parseConditionArguments } from "../policy/index.ts";
import { type ApprovalScope, listApprovals, type StoredApproval, type StoredPlugin } from "../store/index.ts";
import { approvePlugin, denyPlugin } from "./approve.ts";
import { promptStats } from "./prompt-stats.ts";
import type { PluginsDeps } from "./plugins-deps.ts";

/** Requests of plugins and of calls, in one inbox. An answer to a plugin's request is an answer to exactly its version. */
export function createApprovalsApi(deps: PluginsDeps, meter: Meter): ApprovalsApi {
  const { db, audit, clock } = deps;
  const calls: ApprovalDeps = { db, audit, clock };

  /** @throws {SallyportError} `conflict` when it was answered, or its bytes are no longer here. */
  function askedFor(request: StoredApproval): StoredPlugin {
    const record = deps.catalog.current(request.plugin);
    if (request.state === "pending" && record) return record;
    throw new SallyportError("conflict", `The request ${request.id} is ${record ? request.state : "over"} already.`, {
      fix: "List what is open: sallyport approval list",
    });
  }

  /** What the operator's words make of this request; `undefined` for exactly this call. */
  function scopeOf(request: StoredApproval, options: ApproveCallOptions): ApprovalScope | undefined {
    const { match, hosts = [], paths = [] } = options;
    const record = deps.catalog.current(request.plugin);
    const granted = (record && deps.views.grantOf(record)?.scopes) ?? [];
    const within = narrowed(granted, hosts, paths);
    if (match === undefined && within.length === 0) return undefined;
    return {
      ...(match === undefined ? {} : matchScope(request, isList(match) ? parseConditionArguments(match) : match)),
      ...(within.length === 0 ? {} : { within }),
    };
  }

  return {
    async list(filter = {}) {
      await expireDue(calls);
      return (await listApprovals(db, filter)).map(toApprovalView);
    },
    async approve(operator, id, options = {}) {
      const request = await getApproval(db, id);
      if (request.kind === "call") {
        const answer = {
          state: "approved",
          operator,
          expiresAt: options.expiresAt,
          uses: usesOf(options),
          scope: scopeOf(request, options),
        } as const;
        return toApprovalView(await decideCall(calls, request, answer));
      }
      const { expiresAt, ...forCalls } = options;
      if (Object.keys(forCalls).length > 0) {
        throw new SallyportError(
          "usage",
          "A plugin's grant has no number of uses, no arguments and no limits of a call.",
          {
            fix: "Give it an end with --expires, or less with: sallyport plugin approve ID --scope …",
          },
        );
      }
      await approvePlugin(deps, operator, askedFor(request), expiresAt === undefined ? {} : { expiresAt });
      return toApprovalView(await getApproval(db, id));
    },
    async deny(operator, id, reason) {
      const request = await getApproval(db, id);
      if (request.kind === "call") {
        return toApprovalView(await decideCall(calls, request, { state: "denied", operator, reason }));
      }
      await denyPlugin(deps, operator, askedFor(request), reason);
      return toApprovalView(await getApproval(db, id));
    },
    async withdraw(operator, id, reason = "withdrawn") {
      const approval = await getApproval(db, id);
      if (approval.kind === "call") return toApprovalView(await withdrawCall(calls, approval, operator, reason));
      throw new SallyportError("usage", `${id} is a plugin's request; its grant is what holds.`, {
        fix: `Run: sallyport plugin deny ${approval.plugin.id}`,
      });
    },
    async *watch(signal) {
      await expireDue(calls);
      for await (const { change, approval } of watchRequests(deps, signal)) {
        yield { change, approval: toApprovalView(approval) };
      }
    },
    stats: () => promptStats(db, meter),
  };
}

function isList(match: NonNullable<ApproveCallOptions["match"]>): match is readonly string[] {
  return Array.isArray(match);
}

/** @throws {SallyportError} `usage` for a yes that has no end. */
function usesOf({ match, uses, expiresAt }: ApproveCallOptions): number | null | undefined {
  if (uses === null && expiresAt === undefined) throw endless("Any number of calls needs a time at which that ends.");
  if (uses !== undefined || match === undefined) return uses;
  if (expiresAt === undefined) throw endless("A yes to more than one call says how many, or until when.");
  return null;
}

function endless(message: string): SallyportError {
  return new SallyportError("usage", message, { fix: "Add --uses 5, --until 2h, or both." });
}

export function toApprovalView(approval: StoredApproval): ApprovalView {
  const { facts, via, usesLeft } = approval;
  const isCall = approval.kind === "call";
  return {
    id: approval.id,
    kind: approval.kind,
    state: approval.state,
    createdAt: approval.createdAt,
    expiresAt: approval.expiresAt,
    plugin: approval.plugin,
    sentence: approval.sentence,
    standing: isCall && approval.state === "approved" && (approval.scope?.match !== undefined || usesLeft !== 1),
    covers: isCall ? scopeWords(approval) : [],
    usesLeft,
    uses: approval.uses,
    ...(approval.tool === null ? {} : { tool: approval.tool }),
    ...(approval.agent === null ? {} : { agent: approval.agent }),
    ...(approval.operator === null ? {} : { operator: approval.operator }),
    ...(approval.input === undefined ? {} : { input: approval.input }),
    ...(approval.inputDigest === null ? {} : { inputDigest: approval.inputDigest }),
    ...(approval.rule === null ? {} : { rule: approval.rule }),
    ...(via === null ? {} : { via: via.chain }),
    ...(facts === null ? {} : { effect: facts.effect, reach: facts.reach }),
    ...(facts?.changes === undefined ? {} : { changes: facts.changes }),
    ...(approval.decidedBy === null ? {} : { decidedBy: approval.decidedBy }),
    ...(approval.decidedAt === null ? {} : { decidedAt: approval.decidedAt }),
    ...(approval.reason === null ? {} : { reason: approval.reason }),
    ...(approval.endedAt === null ? {} : { endedAt: approval.endedAt }),
    ...(approval.endedBy === null ? {} : { endedBy: approval.endedBy }),
    ...(approval.endedReason === null ? {} : { endedReason: approval.endedReason }),
  };
}
