import { sql, type Selectable } from "kysely";
import type { PluginRef } from "../../kernel/index.ts";
import { build, fromJson, toJson } from "../build.ts";
import type { ApprovalsTable } from "../schema.ts";
import type { Database, Statement, StoredApproval } from "../types.ts";
import { APPROVAL_STATES, type ApprovalState, statesBefore } from "./approval-states.ts";

export interface ApprovalFilter {
  readonly state?: ApprovalState;
  readonly kind?: StoredApproval["kind"];
  readonly pluginId?: string;
  readonly tool?: string;
  readonly agent?: string;
  readonly inputDigest?: string;
  /** Approved for more than one call. */
  readonly standing?: boolean;
  /** 1..1000; 1000 unless told. */
  readonly limit?: number;
}

/** Newest first. */
export async function listApprovals(db: Database, filter: ApprovalFilter = {}): Promise<readonly StoredApproval[]> {
  let query = db.query.selectFrom("approvals").selectAll();
  if (filter.state !== undefined) query = query.where("state", "=", filter.state);
  if (filter.kind !== undefined) query = query.where("kind", "=", filter.kind);
  if (filter.pluginId !== undefined) query = query.where("plugin_id", "=", filter.pluginId);
  if (filter.tool !== undefined) query = query.where("tool", "=", filter.tool);
  if (filter.agent !== undefined) query = query.where("agent", "=", filter.agent);
  if (filter.inputDigest !== undefined) query = query.where("input_digest", "=", filter.inputDigest);
  if (filter.standing === true) {
    query = query
      .where("kind", "=", "call")
      .where("state", "=", "approved")
      .where((eb) => eb.or([eb("wide", "=", 1), eb("uses_left", "is", null), eb("uses_left", ">", 1)]));
  }
  const limit = Math.min(Math.max(filter.limit ?? 1000, 1), 1000);
  const rows = await query.orderBy("created_at", "desc").orderBy("id").limit(limit).execute();
  return rows.map(toApproval);
}

/** What may cover one call: requests and answers about this very input, answers about more than one, and a no since `deniedAfter`. */
export async function approvalsForCall(
  db: Database,
  call: {
    readonly tool: string;
    readonly agent: string;
    readonly inputDigest: string;
    readonly deniedAfter: number;
  },
): Promise<readonly StoredApproval[]> {
  const rows = await db.query
    .selectFrom("approvals")
    .selectAll()
    .where("tool", "=", call.tool)
    .where("agent", "=", call.agent)
    .where("kind", "=", "call")
    .where((eb) =>
      eb.or([
        eb("state", "in", ["pending", "approved"]),
        eb.and([eb("state", "=", "denied"), eb("decided_at", ">", call.deniedAfter)]),
      ]),
    )
    .where((eb) =>
      eb.or([eb("input_digest", "=", call.inputDigest), eb.and([eb("wide", "=", 1), eb("state", "=", "approved")])]),
    )
    .orderBy("wide")
    .orderBy("created_at", "desc")
    .orderBy("id")
    .limit(1000)
    .execute();
  return rows.map(toApproval);
}

/** The newest call of a tool by an agent that an operator said yes to. */
export async function lastApprovedCall(db: Database, tool: string, agent: string): Promise<StoredApproval | null> {
  const row = await db.query
    .selectFrom("approvals")
    .selectAll()
    .where("tool", "=", tool)
    .where("agent", "=", agent)
    .where("kind", "=", "call")
    .where("uses", ">", 0)
    .orderBy("decided_at", "desc")
    .orderBy("id")
    .limit(1)
    .executeTakeFirst();
  return row ? toApproval(row) : null;
}

/** Whose time is over by `at`, oldest first, at most 500. */
export async function dueApprovals(db: Database, at: number): Promise<readonly StoredApproval[]> {
  const rows = await db.query
    .selectFrom("approvals")
    .selectAll()
    .where("state", "in", statesBefore("expired"))
    .where("expires_at", "<=", at)
    .orderBy("expires_at")
    .orderBy("id")
    .limit(500)
    .execute();
  return rows.map(toApproval);
}

export async function findApproval(db: Database, id: string): Promise<StoredApproval | null> {
  const row = await db.query.selectFrom("approvals").selectAll().where("id", "=", id).executeTakeFirst();
  return row ? toApproval(row) : null;
}

export function insertApproval(approval: StoredApproval): Statement {
  return { query: build.insertInto("approvals").values(toRow(approval)).compile(), expect: 1 };
}

export interface ApprovalDecision {
  readonly state: "approved" | "denied";
  readonly by: string;
  readonly at: number;
  readonly reason?: string | undefined;
  /** Replace what the request carried; absent keeps it. */
  readonly expiresAt?: number | null | undefined;
  readonly usesLeft?: number | null | undefined;
  readonly scope?: StoredApproval["scope"] | undefined;
}

/** Answers a pending request once; `conflict` when it is no longer pending or has expired by `at`. */
export function decideApproval(id: string, decision: ApprovalDecision): Statement {
  return {
    query: build
      .updateTable("approvals")
      .set({
        state: decision.state,
        decided_by: decision.by,
        decided_at: decision.at,
        reason: decision.reason ?? null,
        ...(decision.expiresAt === undefined ? {} : { expires_at: decision.expiresAt }),
        ...(decision.usesLeft === undefined ? {} : { uses_left: decision.usesLeft }),
        ...(decision.scope === undefined ? {} : scopeColumns(decision.scope)),
      })
      .where("id", "=", id)
      .where("state", "in", statesBefore(decision.state))
      .where((eb) => eb.or([eb("expires_at", "is", null), eb("expires_at", ">", decision.at)]))
      .compile(),
    expect: 1,
  };
}

/**
 * Takes one use of an approved call; the last use makes it `consumed`. `conflict` when it is not approved, has expired by
 * `at`, has no use left, or is for another input alone.
 */
export function consumeApproval(id: string, use: { readonly inputDigest: string; readonly at: number }): Statement {
  return {
    query: build
      .updateTable("approvals")
      .set((eb) => ({
        uses: eb("uses", "+", 1),
        uses_left: eb("uses_left", "-", 1),
        state: eb.case().when("uses_left", "=", 1).then("consumed").else("approved").end(),
      }))
      .where("id", "=", id)
      .where("kind", "=", "call")
      .where("state", "in", statesBefore("consumed"))
      .where((eb) => eb.or([eb("input_digest", "=", use.inputDigest), eb("wide", "=", 1)]))
      .where((eb) => eb.or([eb("expires_at", "is", null), eb("expires_at", ">", use.at)]))
      .where((eb) => eb.or([eb("uses_left", "is", null), eb("uses_left", ">", 0)]))
      .compile(),
    expect: 1,
  };
}

export interface ApprovalEnd {
  readonly state: "expired" | "cancelled" | "withdrawn";
  readonly by: string;
  readonly at: number;
  readonly reason: string;
}

/** Ends one request; `conflict` when it is in no state that ends so, or, to expire, when its time is not over by `at`. */
export function endApproval(id: string, end: ApprovalEnd): Statement {
  let query = build
    .updateTable("approvals")
    .set({ state: end.state, ended_by: end.by, ended_at: end.at, ended_reason: end.reason })
    .where("id", "=", id)
    .where("state", "in", statesBefore(end.state));
  if (end.state === "expired") query = query.where("expires_at", "<=", end.at);
  return { query: query.compile(), expect: 1 };
}

/** Whose open requests end: those about a plugin or these bytes of it, or an agent's. */
export type ApprovalSubject = PluginRef | { readonly id: string } | { readonly agent: string } | "everything";

/** Ends all that is open about a plugin or of an agent: what waits is cancelled, what was approved withdrawn. */
export function closeApprovalsOf(subject: ApprovalSubject, by: string, at: number, reason: string): Statement {
  const open = build
    .updateTable("approvals")
    .set((eb) => ({
      state: eb.case().when("state", "=", "pending").then("cancelled").else("withdrawn").end(),
      ended_by: by,
      ended_at: at,
      ended_reason: reason,
    }))
    .where("state", "in", ["pending", "approved"]);
  return { query: ofSubject(open, subject).compile() };
}

/** Ends the yeses to calls only: what was said yes to under a grant ends with that grant. */
export function withdrawCallsOf(subject: ApprovalSubject, by: string, at: number, reason: string): Statement {
  const approved = build
    .updateTable("approvals")
    .set({ state: "withdrawn", ended_by: by, ended_at: at, ended_reason: reason })
    .where("kind", "=", "call")
    .where("state", "in", statesBefore("withdrawn"));
  return { query: ofSubject(approved, subject).compile() };
}

interface Narrowable<Q> {
  where(column: "agent" | "plugin_id" | "plugin_digest", operator: "=", value: string): Q;
}

function ofSubject<Q extends Narrowable<Q>>(query: Q, subject: ApprovalSubject): Q {
  if (subject === "everything") return query;
  if ("agent" in subject) return query.where("agent", "=", subject.agent);
  const ofPlugin = query.where("plugin_id", "=", subject.id);
  return "digest" in subject ? ofPlugin.where("plugin_digest", "=", subject.digest) : ofPlugin;
}

/** What waits of one agent's calls: how many, and how many characters their inputs have together. */
export async function pendingOf(
  db: Database,
  agent: string,
): Promise<{ readonly count: number; readonly characters: number }> {
  return db.query
    .selectFrom("approvals")
    .select([sql<number>`COUNT(*)`.as("count"), sql<number>`COALESCE(SUM(LENGTH(input)), 0)`.as("characters")])
    .where("kind", "=", "call")
    .where("state", "=", "pending")
    .where("agent", "=", agent)
    .executeTakeFirstOrThrow();
}

/** How many wait, and how many yeses cover more than one call. */
export async function countApprovals(db: Database): Promise<{ readonly waiting: number; readonly standing: number }> {
  const row = await db.query
    .selectFrom("approvals")
    .select([
      sql<number>`COALESCE(SUM(state = 'pending'), 0)`.as("waiting"),
      sql<number>`COALESCE(SUM(state = 'approved' AND kind = 'call' AND (wide = 1 OR uses_left IS NULL OR uses_left > 1)), 0)`.as(
        "standing",
      ),
    ])
    .where("state", "in", ["pending", "approved"])
    .executeTakeFirstOrThrow();
  return row;
}

function toRow(approval: StoredApproval): Selectable<ApprovalsTable> {
  return {
    id: approval.id,
    kind: approval.kind,
    state: approval.state,
    created_at: approval.createdAt,
    expires_at: approval.expiresAt,
    decided_at: approval.decidedAt,
    decided_by: approval.decidedBy,
    reason: approval.reason,
    plugin_id: approval.plugin.id,
    plugin_version: approval.plugin.version,
    plugin_digest: approval.plugin.digest,
    tool: approval.tool,
    agent: approval.agent,
    operator: approval.operator,
    token: approval.token,
    via: approval.via === null ? null : toJson(approval.via),
    input_digest: approval.inputDigest,
    definition_digest: approval.definitionDigest,
    policy_snapshot: approval.policySnapshot,
    rule: approval.rule,
    input: approval.input === undefined ? null : toJson(approval.input),
    facts: approval.facts === null ? null : toJson(approval.facts),
    ...scopeColumns(approval.scope),
    uses_left: approval.usesLeft,
    uses: approval.uses,
    ended_at: approval.endedAt,
    ended_by: approval.endedBy,
    ended_reason: approval.endedReason,
    sentence: approval.sentence,
  };
}

function scopeColumns(scope: StoredApproval["scope"]): Pick<Selectable<ApprovalsTable>, "scope" | "wide"> {
  return { scope: scope === null ? null : toJson(scope), wide: scope?.match === undefined ? 0 : 1 };
}

function toApproval(row: Selectable<ApprovalsTable>): StoredApproval {
  return {
    id: row.id,
    kind: row.kind === "call" ? "call" : "plugin",
    state: APPROVAL_STATES.find((state) => state === row.state) ?? "denied",
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    decidedAt: row.decided_at,
    decidedBy: row.decided_by,
    reason: row.reason,
    plugin: { id: row.plugin_id, version: row.plugin_version, digest: row.plugin_digest },
    tool: row.tool,
    agent: row.agent,
    operator: row.operator,
    token: row.token,
    via: row.via === null ? null : fromJson<NonNullable<StoredApproval["via"]>>(row.via),
    inputDigest: row.input_digest,
    definitionDigest: row.definition_digest,
    policySnapshot: row.policy_snapshot,
    rule: row.rule,
    input: row.input === null ? undefined : fromJson<unknown>(row.input),
    facts: row.facts === null ? null : fromJson<NonNullable<StoredApproval["facts"]>>(row.facts),
    scope: row.scope === null ? null : fromJson<NonNullable<StoredApproval["scope"]>>(row.scope),
    usesLeft: row.uses_left,
    uses: row.uses,
    endedAt: row.ended_at,
    endedBy: row.ended_by,
    endedReason: row.ended_reason,
    sentence: row.sentence,
  };
}
