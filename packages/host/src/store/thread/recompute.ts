import { chainHash, GENESIS_HASH } from "../chain.ts";
import type { ChainHead, ChainReport } from "../types.ts";
import type { Connection } from "./connection.ts";

/** Events a step; a few milliseconds, then other requests are served. */
const STEP = 1000;
const MAX_PROBLEMS = 100;

/** Recomputes every hash up to the head that this thread holds, in steps. */
export async function recompute(db: Connection, head: ChainHead): Promise<ChainReport> {
  const problems: { seq: number; problem: string }[] = [];
  const report = (seq: number, problem: string): void => {
    if (problems.length < MAX_PROBLEMS) problems.push({ seq, problem });
  };
  const strays = Number(db.rows("SELECT count(*) FROM audit_events WHERE seq < 1", [])[0]?.[0]);
  if (strays > 0) report(0, `${strays} events were put before the first`);
  let seq = 0;
  let hash = GENESIS_HASH;
  let events = 0;
  for (;;) {
    const bodies = db.rows("SELECT body FROM audit_events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?", [
      seq,
      head.seq,
      STEP,
    ]);
    if (bodies.length === 0) break;
    const whole = db.rows(
      "SELECT count(*), max(seq), group_concat(hash, '') FROM (SELECT seq, hash FROM audit_events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?)",
      [seq, head.seq, STEP],
    )[0];
    const last = Number(whole?.[1]);
    const stored = String(whole?.[2]);
    let computed = "";
    let running = hash;
    if (last - seq === bodies.length && stored.length === bodies.length * 64) {
      for (const [index, row] of bodies.entries()) {
        running = chainHash(seq + 1 + index, running, String(row[0]));
        computed += running;
      }
    }
    // Column by column is the fast way; row by row only to say which one is wrong.
    hash = computed === stored ? running : explain(db, seq, hash, last, report);
    seq = last;
    events += bodies.length;
    await new Promise((resolve) => setImmediate(resolve));
  }
  if (seq !== head.seq || hash !== head.hash)
    report(head.seq, "the newest event is not the one that was written last; the end of the log was changed or cut");
  return { events, head: events === 0 ? null : { seq, hash }, problems };
}

/** Finds what is wrong between two places. Goes on from the stored hash, so that one change is one problem. */
function explain(
  db: Connection,
  after: number,
  before: string,
  last: number,
  report: (seq: number, problem: string) => void,
): string {
  let expected = after + 1;
  let hash = before;
  for (const [seq, stored, body] of db.rows(
    "SELECT seq, hash, body FROM audit_events WHERE seq > ? AND seq <= ? ORDER BY seq",
    [after, last],
  )) {
    const place = Number(seq);
    if (place !== expected) report(expected, `events ${expected} to ${place - 1} are missing`);
    else if (chainHash(place, hash, String(body)) !== stored)
      report(place, "the event's content, place or predecessor is not what its hash was made of");
    hash = String(stored);
    expected = place + 1;
  }
  return hash;
}
