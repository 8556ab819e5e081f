import type { AuditEvent, AuditLog } from "../audit/index.ts";
import {
  canonicalJson,
  type Clock,
  displayLine,
  LIMITS,
  newId,
  type PluginRef,
  PolicyViolationError,
  SallyportError,
} from "../kernel/index.ts";
import {
  consumeApproval,
  type Database,
  expireApprovals,
  findApproval,
  insertApproval,
  listApprovals,
  type StoredApproval,
} from "../store/index.ts";

/** All that an approval of one call is bound to. A change in any of it makes another request. */
export interface CallBinding {
  readonly plugin: PluginRef;
  /** `<plugin>__<tool>`. */
  readonly tool: string;
  /** Digest of the whole tool definition. */
  readonly definitionDigest: string;
  readonly agent: string;
  /** Digest of the canonical input. */
  readonly inputDigest: string;
  /** For people; redacted. */
  readonly input: unknown;
  readonly effect: string;
  readonly policySnapshot: string;
}

export interface CallApprovals {
  /** An approval that covers this call now, or the pending request that this call files or joins. */
  find(
    binding: CallBinding,
    approvalId?: string,
  ): Promise<{ readonly approved: string } | { readonly pending: string }>;
  /** Spends one use. @throws {PolicyViolationError} `approval_expired` when it is spent, withdrawn, expired or for another input. */
  consume(approvalId: string, inputDigest: string): Promise<void>;
}

/** A request that nobody answers is over after a day. */
const PENDING_MS = 24 * 60 * 60 * 1000;

export function createCallApprovals(db: Database, audit: AuditLog, clock: Clock): CallApprovals {
  /** One agent asking twice at the same time must join one request, not file two. */
  const filing = new Map<string, Promise<string>>();

  async function request(binding: CallBinding): Promise<string> {
    const key = canonicalJson([
      binding.agent,
      binding.tool,
      binding.inputDigest,
      binding.definitionDigest,
      binding.plugin,
    ]);
    const known = filing.get(key);
    if (known) return known;
    const filed = file(db, audit, clock, binding).finally(() => filing.delete(key));
    filing.set(key, filed);
    return filed;
  }

  return {
    async find(binding, approvalId) {
      const now = clock.now();
      const candidates = await candidatesFor(db, binding, approvalId);
      const usable = candidates.filter((approval) => covers(approval, binding) && !isOver(approval, now));
      const approved = usable.find((approval) => approval.state === "approved");
      if (approved) return { approved: approved.id };
      const pending = usable.find((approval) => approval.state === "pending");
      return { pending: pending?.id ?? (await request(binding)) };
    },
    async consume(approvalId, inputDigest) {
      try {
        await db.atomically([consumeApproval(approvalId, { inputDigest, at: clock.now() })]);
      } catch (error) {
        if (!(error instanceof SallyportError) || error.code !== "conflict") throw error;
        throw new PolicyViolationError("approval_expired", "The approval was spent, withdrawn, or is over.", {
          fix: "Make the call again to ask anew.",
          data: { approval: approvalId },
          cause: error,
        });
      }
    },
  };
}

async function candidatesFor(
  db: Database,
  binding: CallBinding,
  id: string | undefined,
): Promise<readonly StoredApproval[]> {
  if (id === undefined) {
    const { tool, agent, inputDigest } = binding;
    return listApprovals(db, { kind: "call", tool, agent, inputDigest });
  }
  const approval = await findApproval(db, id);
  return approval ? [approval] : [];
}

function covers(approval: StoredApproval, binding: CallBinding): boolean {
  return (
    approval.kind === "call" &&
    approval.tool === binding.tool &&
    approval.agent === binding.agent &&
    approval.inputDigest === binding.inputDigest &&
    approval.definitionDigest === binding.definitionDigest &&
    approval.plugin.id === binding.plugin.id &&
    approval.plugin.version === binding.plugin.version &&
    approval.plugin.digest === binding.plugin.digest
  );
}

function isOver(approval: StoredApproval, now: number): boolean {
  return (approval.expiresAt !== null && approval.expiresAt <= now) || approval.usesLeft === 0;
}

async function file(db: Database, audit: AuditLog, clock: Clock, binding: CallBinding): Promise<string> {
  const now = clock.now();
  await assertRoom(db, binding.agent, now);
  const approval: StoredApproval = {
    id: newId("apr"),
    kind: "call",
    state: "pending",
    createdAt: now,
    expiresAt: now + PENDING_MS,
    decidedAt: null,
    decidedBy: null,
    reason: null,
    plugin: binding.plugin,
    tool: binding.tool,
    agent: binding.agent,
    inputDigest: binding.inputDigest,
    definitionDigest: binding.definitionDigest,
    policySnapshot: binding.policySnapshot,
    input: binding.input,
    usesLeft: 1,
    sentence: sentenceFor(binding),
  };
  await audit.commit([insertApproval(approval)], [requested(approval)]);
  return approval.id;
}

/** An agent must not be able to fill the store, or bury one request under thousands of others. */
const PENDING_PER_AGENT = 100;

async function assertRoom(db: Database, agent: string, now: number): Promise<void> {
  const filter = { kind: "call", state: "pending", agent, limit: PENDING_PER_AGENT } as const;
  const isFull = async (): Promise<boolean> => (await listApprovals(db, filter)).length >= PENDING_PER_AGENT;
  if (!(await isFull())) return;
  await db.atomically([expireApprovals(now)]);
  if (!(await isFull())) return;
  throw new SallyportError("limit_exceeded", `${PENDING_PER_AGENT} calls of this agent wait for an answer already.`, {
    fix: "Wait until an operator has answered some of them.",
  });
}

const EFFECT_WORDS: Readonly<Record<string, string>> = {
  read: "which only reads",
  write: "which changes data on this machine",
  external: "which may send data elsewhere",
  destructive: "which may destroy data or run programs",
};

function sentenceFor(binding: CallBinding): string {
  const text = canonicalJson(binding.input ?? null);
  const input = displayLine(text.length > LIMITS.auditInputBytes ? text.slice(0, LIMITS.auditInputBytes) : text, 400);
  const effect = EFFECT_WORDS[binding.effect] ?? "whose effect is unknown";
  return `Agent "${displayLine(binding.agent, 100)}" wants to call ${binding.tool}, ${effect}, with ${input}.`;
}

function requested(approval: StoredApproval): AuditEvent {
  return {
    v: 1,
    id: newId("evt"),
    time: approval.createdAt,
    type: "approval.requested",
    actor: `agent:${approval.agent ?? ""}`,
    approval: approval.id,
    plugin: approval.plugin,
    ...(approval.agent === null ? {} : { agent: approval.agent }),
    ...(approval.tool === null ? {} : { tool: approval.tool }),
    ...(approval.inputDigest === null ? {} : { input_digest: approval.inputDigest }),
    ...(approval.policySnapshot === null ? {} : { policy_snapshot: approval.policySnapshot }),
  };
}
