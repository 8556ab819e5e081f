import type { AuditEvent } from "../audit/index.ts";
import { canonicalJson, newId, sha256 } from "../kernel/index.ts";
import type { ApprovalEnd, ApprovalScope, StoredApproval } from "../store/index.ts";
import type { CallBinding } from "./binding.ts";

/** One event for each step of a request, in the transaction of the step itself: what is not in the audit did not happen. */

export function requestedEvent(approval: StoredApproval): AuditEvent {
  return {
    ...about(approval, "approval.requested", approval.createdAt),
    actor: askedBy(approval),
    ...(approval.rule === null ? {} : { rule: approval.rule }),
    ...(approval.policySnapshot === null ? {} : { policy_snapshot: approval.policySnapshot }),
    ...(approval.token === null && approval.via === null
      ? {}
      : {
          data: {
            ...(approval.token === null ? {} : { token: approval.token }),
            ...(approval.via === null ? {} : { via: [...approval.via.chain] }),
          },
        }),
  };
}

export interface DecidedFacts {
  readonly state: "approved" | "denied";
  readonly operator: string;
  readonly token?: string | undefined;
  readonly reason?: string | undefined;
  readonly time: number;
  readonly usesLeft?: number | null | undefined;
  readonly expiresAt?: number | null | undefined;
  readonly scope?: ApprovalScope | null | undefined;
}

export function decidedEvent(request: StoredApproval, facts: DecidedFacts): AuditEvent {
  const { usesLeft, expiresAt, scope, token } = facts;
  const data = {
    ...(token === undefined ? {} : { token }),
    ...(expiresAt === undefined || expiresAt === null ? {} : { expires_at: expiresAt }),
    ...(usesLeft === undefined ? {} : { uses: usesLeft }),
    ...(scope?.match === undefined ? {} : { match: scope.match }),
    ...(scope?.within === undefined ? {} : { within: scope.within }),
  };
  return {
    ...about(request, "approval.decided", facts.time),
    actor: `operator:${facts.operator}`,
    decision: facts.state === "approved" ? "allow" : "deny",
    ...(facts.reason === undefined ? {} : { reason: facts.reason }),
    ...(Object.keys(data).length === 0 ? {} : { data }),
  };
}

/** One use, by one call. */
export function usedEvent(
  approval: string,
  { plugin, tool, caller, input, inputDigest }: CallBinding,
  use: { readonly callId: string; readonly time: number },
): AuditEvent {
  return {
    v: 1,
    id: newId("evt"),
    time: use.time,
    type: "approval.used",
    actor: caller.operator === undefined ? `agent:${caller.agent}` : `operator:${caller.operator}`,
    agent: caller.agent,
    approval,
    plugin,
    tool,
    call_id: use.callId,
    ...digestOf(input, inputDigest),
  };
}

export function endedEvent(approval: StoredApproval, end: ApprovalEnd): AuditEvent {
  return { ...about(approval, `approval.${end.state}`, end.at), actor: end.by, reason: end.reason };
}

function about(approval: StoredApproval, type: AuditEvent["type"], time: number): Omit<AuditEvent, "actor"> {
  return {
    v: 1,
    id: newId("evt"),
    time,
    type,
    approval: approval.id,
    plugin: approval.plugin,
    ...(approval.agent === null ? {} : { agent: approval.agent }),
    ...(approval.tool === null ? {} : { tool: approval.tool }),
    ...digestOf(approval.input, approval.inputDigest),
  };
}

/** Of an input that is kept as it was: of one from which something was taken out, a digest would tell it to whoever guesses. */
function digestOf(input: unknown, digest: string | null): Pick<AuditEvent, "input_digest"> {
  return digest !== null && input !== undefined && sha256(canonicalJson(input)) === digest
    ? { input_digest: digest }
    : {};
}

function askedBy({ operator, agent }: StoredApproval): string {
  return operator === null ? `agent:${agent ?? ""}` : `operator:${operator}`;
}
