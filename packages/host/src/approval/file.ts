import { canonicalJson, newId, SallyportError } from "../kernel/index.ts";
import {
  approvalsForCall,
  countPrompts,
  endApproval,
  type ApprovalEnd,
  insertApproval,
  lastApprovedCall,
  pendingOf,
  type StoredApproval,
} from "../store/index.ts";
import { type CallBinding, isOf, rulesText, viaOf } from "./binding.ts";
import { changesSince } from "./changes.ts";
import { type ApprovalDeps, expireDue, unlessConflict } from "./end.ts";
import { endedEvent, requestedEvent } from "./events.ts";
import { reachOf, sentenceFor } from "./sentence.ts";

/** A request that nobody answers is over after a day. */
const PENDING_MS = 24 * 60 * 60 * 1000;
/** An agent must not be able to fill the store, or bury one request under thousands of others. */
const PENDING_PER_AGENT = 100;
/** Nor make an inbox that is too large to be looked at. Of all their inputs, characters. */
const PENDING_CHARS_PER_AGENT = 8 * 1024 * 1024;

/** Files requests and answers their ids. One agent asking twice at the same time joins one request. */
export function createFiling(deps: ApprovalDeps): (binding: CallBinding) => Promise<string> {
  const filing = new Map<string, Promise<string>>();
  return (binding) => {
    const { tool, definitionDigest, plugin, inputDigest, caller, policySnapshot, rules } = binding;
    const key = canonicalJson([
      [caller.agent, caller.operator ?? null, viaOf(caller)],
      [tool, definitionDigest, plugin.digest, inputDigest, policySnapshot, rules],
    ]);
    const known = filing.get(key);
    if (known) return known;
    const filed = file(deps, binding).finally(() => filing.delete(key));
    filing.set(key, filed);
    return filed;
  };
}

async function file(deps: ApprovalDeps, binding: CallBinding): Promise<string> {
  for (let tries = 1; ; tries++) {
    try {
      return await fileOnce(deps, binding);
    } catch (error) {
      // An operator answered what it would replace, at this very moment.
      if (tries === 3) throw error;
      unlessConflict(error);
    }
  }
}

async function fileOnce(deps: ApprovalDeps, binding: CallBinding): Promise<string> {
  const { db, audit, clock } = deps;
  const { caller, tool } = binding;
  await assertRoom(deps, caller.agent, canonicalJson(binding.input ?? null).length);
  const last = await lastApprovedCall(db, tool, caller.agent);
  const outdated = await requestsOutdatedBy(deps, binding);
  const now = clock.now();
  const changes = last === null ? undefined : changesSince(last, binding.input);
  const facts = {
    effect: binding.effect,
    reach: reachOf(binding.scopes),
    ...(changes === undefined ? {} : { changes: changes.lines }),
  };
  const approval: StoredApproval = {
    id: newId("apr"),
    kind: "call",
    state: "pending",
    createdAt: now,
    expiresAt: now + PENDING_MS,
    decidedAt: null,
    decidedBy: null,
    reason: null,
    plugin: { id: binding.plugin.id, version: binding.plugin.version, digest: binding.plugin.digest },
    tool,
    agent: caller.agent,
    operator: caller.operator ?? null,
    token: caller.token ?? null,
    via: viaOf(caller),
    inputDigest: binding.inputDigest,
    definitionDigest: binding.definitionDigest,
    policySnapshot: binding.policySnapshot,
    rule: rulesText(binding),
    input: binding.input,
    facts,
    scope: null,
    usesLeft: 1,
    uses: 0,
    endedAt: null,
    endedBy: null,
    endedReason: null,
    sentence: sentenceFor(binding, facts.reach, changes),
  };
  const ends = outdated.map((old) => {
    const end: ApprovalEnd = { state: "cancelled", by: "host", at: now, reason: "changed" };
    return { statement: endApproval(old.id, end), event: endedEvent(old, end) };
  });
  await audit.commit(
    [
      ...ends.map(({ statement }) => statement),
      insertApproval(approval),
      countPrompts({ agent: caller.agent, calls: 0, prompts: 1 }),
    ],
    [...ends.map(({ event }) => event), requestedEvent(approval)],
  );
  return approval.id;
}

/** Requests of the same caller for the same input that wait, and cannot lead anywhere: tool, plugin or policy is another one now. */
async function requestsOutdatedBy({ db }: ApprovalDeps, binding: CallBinding): Promise<readonly StoredApproval[]> {
  const { tool, caller, inputDigest } = binding;
  const same = await approvalsForCall(db, {
    tool,
    agent: caller.agent,
    inputDigest,
    deniedAfter: Number.MAX_SAFE_INTEGER,
  });
  return same.filter((old) => old.state === "pending" && old.inputDigest === inputDigest && isOf(old, binding));
}

async function assertRoom(deps: ApprovalDeps, agent: string, characters: number): Promise<void> {
  const isFull = async (): Promise<boolean> => {
    const waiting = await pendingOf(deps.db, agent);
    return waiting.count >= PENDING_PER_AGENT || waiting.characters + characters > PENDING_CHARS_PER_AGENT;
  };
  if (!(await isFull())) return;
  await expireDue(deps);
  if (!(await isFull())) return;
  throw new SallyportError(
    "limit_exceeded",
    `${PENDING_PER_AGENT} calls of this agent wait for an answer already, or ${PENDING_CHARS_PER_AGENT} characters of input.`,
    { fix: "Wait until an operator has answered some of them." },
  );
}
