import type { KeyObject } from "node:crypto";
import { canonicalJson, parseBoundedJson, SallyportError } from "../kernel/index.ts";
import { chainHash, type ChainRow, type ChainStore, GENESIS_HASH } from "../store/index.ts";
import { isSignedBy, publicKeyFrom, publicKeyText, signCheckpoint } from "./checkpoint.ts";
import type { AuditVerification } from "./types.ts";

const PAGE = 500;
const MAX_LINE = 256 * 1024;
const MAX_PROBLEMS = 100;

/** One canonical JSON object a line: every event up to the head of now, then the head and its signature. */
export async function* exportLines(
  chain: ChainStore,
  signingKey: KeyObject,
  now: () => number,
): AsyncGenerator<string> {
  const head = await chain.head();
  let seq = 0;
  while (seq < head.seq) {
    const rows = await chain.read(seq, PAGE);
    for (const row of rows) {
      if (row.seq > head.seq) break;
      yield exportLine(row);
    }
    const last = rows.at(-1);
    if (!last) break;
    seq = last.seq;
  }
  const signed = signCheckpoint(signingKey, head, now());
  yield canonicalJson({
    at: signed.at,
    hash: signed.hash,
    kind: "sallyport-audit-head",
    public_key: publicKeyText(signingKey),
    seq: signed.seq,
    signature: signed.signature,
  });
}

/** The event with its place. Parsing and writing canonically gives the very bytes that were hashed, or shows that they were not canonical. */
function exportLine(row: ChainRow): string {
  const event: unknown = JSON.parse(row.body);
  return canonicalJson({
    ...(isObject(event) ? event : { body: row.body }),
    seq: row.seq,
    prev_hash: row.prevHash,
    hash: row.hash,
  });
}

/**
 * Verifies an export with nothing but itself, and with `publicKey` (base64, SubjectPublicKeyInfo) that nobody replaced
 * its head. Without the key the signature proves only that the file is in one piece.
 */
export async function verifyExport(
  lines: AsyncIterable<string> | Iterable<string>,
  publicKey?: string,
): Promise<AuditVerification> {
  const problems: { seq: number; problem: string }[] = [];
  const report = (seq: number, problem: string): void => {
    if (problems.length < MAX_PROBLEMS) problems.push({ seq, problem });
  };
  let seq = 0;
  let hash = GENESIS_HASH;
  let events = 0;
  let signed = false;
  for await (const line of lines) {
    if (line === "") continue;
    const entry = parseLine(line);
    if (!entry || signed) {
      report(seq + 1, signed ? "there is a line after the signed head" : "the line is no event");
      continue;
    }
    if (entry["kind"] === "sallyport-audit-head") {
      signed = true;
      checkHead(entry, { seq, hash }, publicKey, report);
      continue;
    }
    const { seq: place, prev_hash: previous, hash: stated, ...event } = entry;
    const expected = seq + 1;
    events += 1;
    if (place !== expected)
      report(
        expected,
        typeof place === "number" && place > expected
          ? `events ${expected} to ${place - 1} are missing`
          : "an event is out of its place",
      );
    else if (previous !== hash || chainHash(expected, hash, canonicalJson(event)) !== stated)
      report(expected, "the event's content, place or predecessor is not what its hash was made of");
    seq = typeof place === "number" ? place : expected;
    hash = typeof stated === "string" ? stated : "";
  }
  if (!signed) report(seq, "the signed head is missing; the end was cut");
  return { ok: problems.length === 0, events, head: events === 0 ? null : { seq, hash }, problems };
}

function checkHead(
  entry: Record<string, unknown>,
  found: { readonly seq: number; readonly hash: string },
  publicKey: string | undefined,
  report: (seq: number, problem: string) => void,
): void {
  const { seq, hash, at, signature, public_key: own } = entry;
  if (
    typeof seq !== "number" ||
    typeof hash !== "string" ||
    typeof at !== "number" ||
    typeof signature !== "string" ||
    typeof own !== "string"
  ) {
    report(found.seq, "the signed head is malformed");
    return;
  }
  if (seq !== found.seq || hash !== found.hash)
    report(
      seq,
      `the signed head is event ${seq}, but the events end at ${found.seq} or differ; the end was cut or changed`,
    );
  if (publicKey !== undefined && own !== publicKey) report(seq, "the head is signed by another key than expected");
  if (!isGenuine(publicKey ?? own, { seq, hash, at, signature })) report(seq, "the head's signature is wrong");
}

function isGenuine(key: string, checkpoint: Parameters<typeof isSignedBy>[1]): boolean {
  try {
    return isSignedBy(publicKeyFrom(key), checkpoint);
  } catch {
    return false;
  }
}

function parseLine(line: string): Record<string, unknown> | null {
  if (line.length > MAX_LINE) return null;
  try {
    const value = parseBoundedJson(line, { maxDepth: 128 });
    return isObject(value) ? value : null;
  } catch (error) {
    if (error instanceof SallyportError) return null;
    throw error;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
