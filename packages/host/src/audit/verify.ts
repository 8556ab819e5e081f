import { createPublicKey, type KeyObject } from "node:crypto";
import type { ChainHead, ChainStore, Checkpoint } from "../store/index.ts";
import { isSignedBy } from "./checkpoint.ts";
import type { AuditVerification } from "./types.ts";

/** Recomputes the chain, then holds it against every signed checkpoint and, when given, a head kept elsewhere. */
export async function verifyChain(
  chain: ChainStore,
  signingKey: KeyObject,
  expectedHead?: ChainHead,
): Promise<AuditVerification> {
  const report = await chain.recompute();
  const problems = [...report.problems];
  const hashAt = async (seq: number): Promise<string | null> =>
    (await chain.read(seq - 1, 1)).find((row) => row.seq === seq)?.hash ?? null;
  const publicKey = createPublicKey(signingKey);
  for (const checkpoint of await chain.checkpoints()) {
    const problem = isSignedBy(publicKey, checkpoint)
      ? compare(checkpoint, await hashAt(checkpoint.seq), report.head)
      : "the checkpoint's signature is not by this home's key";
    if (problem) problems.push({ seq: checkpoint.seq, problem });
  }
  if (expectedHead && expectedHead.seq > 0) {
    const problem = compare(expectedHead, await hashAt(expectedHead.seq), report.head);
    if (problem) problems.push({ seq: expectedHead.seq, problem: `expected head: ${problem}` });
  }
  return { ok: problems.length === 0, events: report.events, head: report.head, problems };
}

/** What is wrong between a place that someone vouched for and the chain; `null` when they agree. */
export function compare(
  vouched: Pick<Checkpoint, "seq" | "hash">,
  found: string | null,
  head: ChainHead | null,
): string | null {
  if (found === vouched.hash) return null;
  if (found !== null)
    return `event ${vouched.seq} has another hash than was vouched for; the log was rewritten or forked`;
  return vouched.seq > (head?.seq ?? 0)
    ? `events up to ${vouched.seq} were vouched for, but the log ends at ${head?.seq ?? 0}; its end was cut`
    : `event ${vouched.seq} was vouched for and is missing`;
}
