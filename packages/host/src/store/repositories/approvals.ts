import type { Selectable } from "kysely";
import type { PluginRef } from "../../kernel/index.ts";
import { build, fromJson, toJson } from "../build.ts";
import type { ApprovalsTable } from "../schema.ts";
import type { Database, Statement, StoredApproval } from "../types.ts";

export interface ApprovalFilter {
  readonly state?: StoredApproval["state"];
  readonly kind?: StoredApproval["kind"];
  readonly pluginId?: string;
  readonly tool?: string;
  readonly agent?: string;
  readonly inputDigest?: string;
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
  const limit = Math.min(Math.max(filter.limit ?? 1000, 1), 1000);
  const rows = await query.orderBy("created_at", "desc").orderBy("id").limit(limit).execute();
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
      })
      .where("id", "=", id)
      .where("state", "=", "pending")
      .where((eb) => eb.or([eb("expires_at", "is", null), eb("expires_at", ">", decision.at)]))
      .compile(),
    expect: 1,
  };
}

/**
 * Takes one use of an approved call; the last use makes it `consumed`. `conflict` when it is not approved, has expired
 * by `at`, has no use left, or is for another input.
 */
export function consumeApproval(id: string, use: { readonly inputDigest: string; readonly at: number }): Statement {
  return {
    query: build
      .updateTable("approvals")
      .set((eb) => ({
        uses_left: eb("uses_left", "-", 1),
        state: eb.case().when("uses_left", "=", 1).then("consumed").else("approved").end(),
      }))
      .where("id", "=", id)
      .where("state", "=", "approved")
      .where("input_digest", "=", use.inputDigest)
      .where((eb) => eb.or([eb("expires_at", "is", null), eb("expires_at", ">", use.at)]))
      .where((eb) => eb.or([eb("uses_left", "is", null), eb("uses_left", ">", 0)]))
      .compile(),
    expect: 1,
  };
}

/** Marks every pending or approved request whose time is over. */
export function expireApprovals(at: number): Statement {
  return {
    query: build
      .updateTable("approvals")
      .set({ state: "expired" })
      .where("state", "in", ["pending", "approved"])
      .where("expires_at", "<=", at)
      .compile(),
  };
}

/** Ends every open request of a plugin, or of these bytes of it, when they are revoked or uninstalled. */
export function closeApprovalsOf(
  plugin: PluginRef | { readonly id: string },
  by: string,
  at: number,
  reason: string,
): Statement {
  let query = build
    .updateTable("approvals")
    .set({ state: "denied", decided_by: by, decided_at: at, reason })
    .where("plugin_id", "=", plugin.id)
    .where("state", "in", ["pending", "approved"]);
  if ("digest" in plugin) query = query.where("plugin_digest", "=", plugin.digest);
  return { query: query.compile() };
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
    input_digest: approval.inputDigest,
    definition_digest: approval.definitionDigest,
    policy_snapshot: approval.policySnapshot,
    input: approval.input === undefined ? null : toJson(approval.input),
    uses_left: approval.usesLeft,
    sentence: approval.sentence,
  };
}

function toApproval(row: Selectable<ApprovalsTable>): StoredApproval {
  return {
    id: row.id,
    kind: row.kind === "call" ? "call" : "plugin",
    state: toState(row.state),
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    decidedAt: row.decided_at,
    decidedBy: row.decided_by,
    reason: row.reason,
    plugin: { id: row.plugin_id, version: row.plugin_version, digest: row.plugin_digest },
    tool: row.tool,
    agent: row.agent,
    inputDigest: row.input_digest,
    definitionDigest: row.definition_digest,
    policySnapshot: row.policy_snapshot,
    input: row.input === null ? undefined : fromJson<unknown>(row.input),
    usesLeft: row.uses_left,
    sentence: row.sentence,
  };
}

/** An unknown state admits nothing. */
function toState(text: string): StoredApproval["state"] {
  return text === "pending" || text === "approved" || text === "expired" || text === "consumed" ? text : "denied";
}
