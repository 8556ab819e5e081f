import { Worker } from "node:worker_threads";
import { SallyportError } from "../kernel/index.ts";
import { chainHash, GENESIS_HASH } from "./chain.ts";
import type { ChainPage, HashQuestion } from "./messages.ts";
import type { ChainHead, ChainReport, ChainRow } from "./types.ts";

export interface ChainReader {
  /** The head that the store's thread holds. */
  head(): Promise<ChainHead>;
  page(after: number, upTo: number, limit: number): Promise<ChainPage | null>;
  rows(after: number, limit: number): Promise<readonly ChainRow[]>;
  /** How many events lie where none can be: before the first. */
  strays(): Promise<number>;
}

type Problem = ChainReport["problems"][number];

/** Events a page: about a millisecond of the store's thread, then other requests are served. */
const PAGE = 1000;
/** Pages that may wait for their hashes. */
const AHEAD = 4;
const MAX_PROBLEMS = 100;

/** Recomputes every hash up to the head of now: one thread reads, another hashes, this one only passes on. */
export async function recompute(reader: ChainReader): Promise<ChainReport> {
  const hasher = startHasher();
  try {
    return await walk(reader, (question) => hasher.isSound(question));
  } finally {
    await hasher.stop();
  }
}

async function walk(reader: ChainReader, isSound: (question: HashQuestion) => Promise<boolean>): Promise<ChainReport> {
  const head = await reader.head();
  const strays = await reader.strays();
  const found: Promise<readonly Problem[]>[] = [];
  let seq = 0;
  let hash = GENESIS_HASH;
  let events = 0;
  for (;;) {
    const page = await reader.page(seq, head.seq, PAGE);
    if (!page) break;
    found.push(examine(reader, { first: seq + 1, prevHash: hash, page }, isSound));
    await found.at(-AHEAD);
    seq = page.last;
    // The stored hash, even if it is wrong: so one change is one problem, and pages need not wait for each other.
    hash = page.hashes.slice(-GENESIS_HASH.length);
    events += page.count;
  }
  const problems = (await Promise.all(found)).flat();
  if (strays > 0) problems.unshift({ seq: 0, problem: `${strays} events were put before the first` });
  if (seq !== head.seq || hash !== head.hash) {
    problems.push({
      seq: head.seq,
      problem: "the newest event is not the one that was written last; the end of the log was changed or cut",
    });
  }
  return { events, head: events === 0 ? null : { seq, hash }, problems: problems.slice(0, MAX_PROBLEMS) };
}

/** Page by page is the fast way; row by row only to say which event is wrong. */
async function examine(
  reader: ChainReader,
  question: HashQuestion,
  isSound: (question: HashQuestion) => Promise<boolean>,
): Promise<readonly Problem[]> {
  if (await isSound(question)) return [];
  const problems: Problem[] = [];
  let { first: expected, prevHash: hash } = question;
  for (const row of await reader.rows(expected - 1, question.page.count)) {
    if (row.seq !== expected)
      problems.push({ seq: expected, problem: `events ${expected} to ${row.seq - 1} are missing` });
    else if (chainHash(row.seq, hash, row.body) !== row.hash) {
      problems.push({
        seq: row.seq,
        problem: "the event's content, place or predecessor is not what its hash was made of",
      });
    }
    hash = row.hash;
    expected = row.seq + 1;
  }
  return problems.length > 0 ? problems : [{ seq: expected, problem: "the log changed while it was read" }];
}

/** As in `thread-client.ts`: always the compiled entry. */
const ENTRY = new URL("../../dist/store/hasher.js", import.meta.url);

function startHasher() {
  const waiting: { resolve(sound: boolean): void; reject(error: Error): void }[] = [];
  const worker = new Worker(ENTRY, { name: "sallyport-hasher", env: {}, execArgv: [] });
  worker.on("message", (sound: unknown) => waiting.shift()?.resolve(sound === true));
  const fail = (cause?: unknown): void => {
    const error = new SallyportError("internal", "The thread that recomputes hashes ended.", { cause });
    for (const { reject } of waiting.splice(0)) reject(error);
  };
  worker.on("error", fail);
  worker.on("exit", () => fail());
  return {
    isSound: (question: HashQuestion): Promise<boolean> =>
      new Promise((resolve, reject) => {
        waiting.push({ resolve, reject });
        // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
        worker.postMessage(question);
      }),
    // It holds nothing that could be torn.
    stop: () => worker.terminate(),
  };
}
