import { z } from "zod";
import type { ApprovalChange, Host } from "../host-api.ts";
import { APPROVAL_STATES } from "../wire/index.ts";
import { handle, jsonObject, reason, timeMs } from "./fields.ts";
import { done, type Route, type RouteRequest } from "./route.ts";
import { toApproval, toPromptStats } from "./wire.ts";

const place = z.string().min(1).max(4096);

const approveBody = z.strictObject({
  expires_at: timeMs.optional(),
  /** `null`: any number until `expires_at`. */
  uses: z.number().int().min(1).max(1_000_000).nullable().optional(),
  /** `["city=Be*"]`, or conditions as in `when:` of a rule. */
  match: z.union([z.array(z.string().min(1).max(1000)).min(1).max(32), jsonObject]).optional(),
  hosts: z.array(place).max(100).optional(),
  paths: z.array(place).max(100).optional(),
});

export const approvalRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/api/approvals",
    verb: "approval.list",
    audience: "operator",
    needsPassphrase: false,
    needs: "any",
    handle: async (request) => {
      const { state, standing } = request.query(
        z.strictObject({ state: z.enum(APPROVAL_STATES).optional(), standing: z.literal("true").optional() }),
      );
      const { approvals } = request.host;
      const found = await approvals.list({
        ...(state === undefined ? {} : { state }),
        ...(standing === undefined ? {} : { standing: true }),
      });
      return done(found.map(toApproval), { prompts: toPromptStats(await approvals.stats()) });
    },
  },
  {
    method: "GET",
    path: "/api/approvals/watch",
    verb: "approval.watch",
    audience: "operator",
    needsPassphrase: false,
    needs: "any",
    handle: async (request) => ({ lines: changes(request) }),
  },
  {
    method: "POST",
    path: "/api/approvals/:id/approve",
    verb: "approval.approve",
    audience: "operator",
    needsPassphrase: true,
    needs: "approve",
    handle: async (request) => {
      const { expires_at: expiresAt, uses, match, hosts, paths } = await request.body(approveBody);
      return answered(request, (approvals, id) =>
        approvals.approve(request.operator(), id, {
          ...(expiresAt !== undefined && { expiresAt }),
          ...(uses !== undefined && { uses }),
          ...(match !== undefined && { match }),
          ...(hosts !== undefined && { hosts }),
          ...(paths !== undefined && { paths }),
        }),
      );
    },
  },
  {
    method: "POST",
    path: "/api/approvals/:id/deny",
    verb: "approval.deny",
    audience: "operator",
    needsPassphrase: false,
    needs: "approve",
    handle: async (request) => {
      const { reason: why } = await request.body(reason);
      return answered(request, (approvals, id) => approvals.deny(request.operator(), id, why));
    },
  },
  {
    method: "POST",
    path: "/api/approvals/:id/withdraw",
    verb: "approval.withdraw",
    audience: "operator",
    needsPassphrase: false,
    needs: "approve",
    handle: async (request) => {
      const { reason: why } = await request.body(reason);
      return answered(request, (approvals, id) => approvals.withdraw(request.operator(), id, why));
    },
  },
];

async function answered(
  request: RouteRequest,
  answer: (approvals: Host["approvals"], id: string) => ReturnType<Host["approvals"]["deny"]>,
) {
  const approval = toApproval(await answer(request.host.approvals, request.param("id", handle)));
  return done(approval, { approval });
}

async function* changes({ host, endless }: RouteRequest) {
  for await (const { change, approval } of host.approvals.watch(endless)) {
    yield { change, approval: toApproval(approval) } satisfies { change: ApprovalChange["change"]; approval: unknown };
  }
}
