import { PolicyViolationError, SallyportError } from "../kernel/index.ts";
import {
  type ApprovalScope,
  type Database,
  decideApproval,
  findApproval,
  type StoredApproval,
} from "../store/index.ts";
import { type ApprovalDeps, end } from "./end.ts";
import { decidedEvent } from "./events.ts";

/** Who answers: an operator, and the id of the token that proved it, if one did. */
export interface Answerer {
  readonly name: string;
  readonly token?: string | undefined;
}

export interface CallAnswer {
  readonly state: "approved" | "denied";
  readonly operator: Answerer;
  readonly reason?: string | undefined;
  /** Milliseconds since the epoch; for an approval, a quarter of an hour from now unless told. */
  readonly expiresAt?: number | undefined;
  /** How many calls it covers: once unless told, `null` for any number until it ends. */
  readonly uses?: number | null | undefined;
  readonly scope?: ApprovalScope | undefined;
}

const APPROVED_MS = 15 * 60 * 1000;

/**
 * Answers a pending request for one call. Answers of a plugin's permissions go through the catalog.
 * @throws {SallyportError} `conflict` when it was answered before or is over; `forbidden` for the requester; `usage` for an
 * end that is past.
 */
export async function decideCall(
  deps: ApprovalDeps,
  request: StoredApproval,
  { state, operator, reason, scope, uses, expiresAt }: CallAnswer,
): Promise<StoredApproval> {
  assertNotRequester(request, operator);
  const at = deps.clock.now();
  if (state === "approved" && expiresAt !== undefined && expiresAt <= at) {
    throw new SallyportError("usage", "The time until which it would hold is past.", {
      fix: "Name one to come: --until 2h",
    });
  }
  const decided =
    state === "approved"
      ? {
          expiresAt: expiresAt ?? at + APPROVED_MS,
          usesLeft: uses === undefined ? 1 : uses,
          ...(scope === undefined ? {} : { scope }),
        }
      : {};
  const statement = decideApproval(request.id, { state, by: operator.name, at, reason, ...decided });
  const event = decidedEvent(request, {
    state,
    operator: operator.name,
    token: operator.token,
    reason,
    time: at,
    ...decided,
  });
  try {
    await deps.audit.commit([statement], [event]);
  } catch (error) {
    throw await overtaken(deps.db, request.id, error);
  }
  return { ...request, state, decidedAt: at, decidedBy: operator.name, reason: reason ?? null, ...decided };
}

/**
 * Takes back a yes to a call that has uses left. Calls that run already go on.
 * @throws {SallyportError} `conflict` when it is not approved any more.
 */
export async function withdrawCall(
  deps: ApprovalDeps,
  approval: StoredApproval,
  operator: Answerer,
  reason: string,
): Promise<StoredApproval> {
  try {
    return await end(deps, approval, "withdrawn", `operator:${operator.name}`, reason);
  } catch (error) {
    throw await overtaken(deps.db, approval.id, error);
  }
}

/**
 * Who asks does not answer: not with the very token that proved who asked, nor with another of the same operator. Agents reach no
 * verb that answers at all.
 */
function assertNotRequester(request: StoredApproval, operator: Answerer): void {
  if (request.token === null || operator.token === undefined) return;
  if (request.token !== operator.token && request.operator !== operator.name) return;
  throw new PolicyViolationError("forbidden", "Who asked cannot answer.", {
    detail: "The call was made with this token, or with another one of the same operator.",
    fix: "Answer it from the command line of the home's user, or with another operator's token.",
  });
}

async function overtaken(db: Database, id: string, error: unknown): Promise<unknown> {
  if (!(error instanceof SallyportError) || error.code !== "conflict") return error;
  const latest = await getApproval(db, id);
  const by = latest.endedBy ?? latest.decidedBy;
  return new SallyportError(
    "conflict",
    `The request ${id} is ${latest.state === "pending" ? "over" : latest.state} already.`,
    {
      ...(by === null ? {} : { detail: `By ${by}.` }),
      fix: "List what is open: sallyport approval list",
      data: { state: latest.state, ...(by === null ? {} : { by }) },
      cause: error,
    },
  );
}

/** @throws {SallyportError} `not_found`. */
export async function getApproval(db: Database, id: string): Promise<StoredApproval> {
  const approval = await findApproval(db, id);
  if (approval) return approval;
  throw new SallyportError("not_found", `There is no approval request ${id.slice(0, 100)}.`, {
    fix: "List what is open: sallyport approval list",
  });
}
