import type { KeyObject } from "node:crypto";
import { type Clock, SallyportError } from "../kernel/index.ts";
import type { Appended, ChainFilter, ChainStore } from "../store/index.ts";
import { signCheckpoint } from "./checkpoint.ts";
import { decodeEvent } from "./decode.ts";
import { encodeEvent } from "./encode.ts";
import { exportLines } from "./export.ts";
import { createAppendQueue, type QueueLimits, unavailable } from "./queue.ts";
import type { AuditEvent, AuditFilter, OwnedAuditLog, StoredAuditEvent } from "./types.ts";
import { verifyChain } from "./verify.ts";

export interface OpenAuditLogOptions {
  readonly database: { readonly chain: ChainStore };
  readonly clock: Clock;
  /** Ed25519, private. Signs checkpoints and the head of an export. */
  readonly signingKey: KeyObject;
  /** Events between two checkpoints; 10,000 unless told. */
  readonly checkpointEvery?: number;
  readonly queue?: QueueLimits;
}

const CHECKPOINT_EVERY = 10_000;
const MAX_LIMIT = 1000;

/** Opens the log of a home's store. @throws {SallyportError} `store_unavailable`. */
export async function openAuditLog(options: OpenAuditLogOptions): Promise<OwnedAuditLog> {
  const { clock, signingKey } = options;
  const { chain } = options.database;
  const listeners = new Set<(event: StoredAuditEvent) => void>();
  const every = options.checkpointEvery ?? CHECKPOINT_EVERY;
  let signedUpTo = (await chain.checkpoints()).at(-1)?.seq ?? 0;
  let head = await chain.head();
  let checkpointing: Promise<void> = Promise.resolve();

  const checkpoint = (): void => {
    signedUpTo = head.seq;
    const signed = signCheckpoint(signingKey, head, clock.now());
    checkpointing = checkpointing
      .then(() => chain.addCheckpoint(signed))
      .catch((error: unknown) => queue.fail(unavailable(error)));
  };
  const onDurable = (bodies: readonly string[], appended: Appended): void => {
    const last = appended.firstSeq + bodies.length - 1;
    if (last > head.seq) head = { seq: last, hash: appended.hashes.at(-1) ?? head.hash };
    if (head.seq - signedUpTo >= every) checkpoint();
    if (listeners.size > 0) announce(bodies, appended, listeners);
  };
  const queue = createAppendQueue((bodies) => chain.append(bodies), onDurable, options.queue);

  /* Notes are encoded when the loop has nothing better to do, so that a call does not wait for its own book-keeping. */
  let noted: AuditEvent[] = [];
  const takeNotes = (): void => {
    const events = noted;
    noted = [];
    for (const event of events) queue.add(encodeEvent(event));
  };
  const takeNotesLater = (): void => {
    try {
      takeNotes();
    } catch (error) {
      queue.fail(unavailable(error));
    }
  };
  /* In order: what was noted before comes before. */
  const flush = (): Promise<void> => {
    takeNotes();
    return queue.flush();
  };

  return {
    get healthy() {
      return queue.failure === null;
    },
    async record(event) {
      takeNotes();
      await queue.push(encodeEvent(event));
    },
    note(event) {
      // A queue that takes nothing more shows in `healthy`; whoever needs a durable event meets it there.
      if (noted.push(event) === 1) setImmediate(takeNotesLater);
    },
    async flush() {
      await flush();
    },
    async commit(statements, events) {
      takeNotes();
      if (queue.failure) throw queue.failure;
      const bodies = events.map(encodeEvent);
      if (bodies.length === 0) throw new SallyportError("internal", "A change of state needs its event.");
      // What was noted before belongs before it in the chain.
      queue.sendAll();
      try {
        onDurable(bodies, await chain.append(bodies, statements));
      } catch (error) {
        if (error instanceof SallyportError && error.code === "conflict") throw error;
        queue.fail(unavailable(error));
        throw queue.failure;
      }
    },
    async query(filter) {
      await flushQuietly(flush());
      return (await chain.find(toChainFilter(filter))).map(decodeEvent);
    },
    async verify(expectedHead) {
      await flushQuietly(flush());
      await checkpointing;
      return verifyChain(chain, signingKey, expectedHead);
    },
    async *export() {
      await flushQuietly(flush());
      yield* exportLines(chain, signingKey, () => clock.now());
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async head() {
      await flushQuietly(flush());
      return chain.head();
    },
    async close() {
      await flush();
      if (head.seq > signedUpTo) checkpoint();
      await checkpointing;
      if (queue.failure) throw queue.failure;
    },
  };
}

function announce(
  bodies: readonly string[],
  appended: Appended,
  listeners: ReadonlySet<(event: StoredAuditEvent) => void>,
): void {
  let prevHash = appended.prevHash;
  for (const [index, body] of bodies.entries()) {
    const hash = appended.hashes[index] ?? "";
    const event = decodeEvent({ seq: appended.firstSeq + index, hash, prevHash, body });
    prevHash = hash;
    for (const listener of listeners) {
      try {
        listener(event);
      } catch {
        // One reader's defect is neither the log's nor another reader's.
      }
    }
  }
}

/** Reading goes on when writing no longer does. */
function flushQuietly(flushed: Promise<void>): Promise<void> {
  return flushed.catch(() => undefined);
}

/** @throws {SallyportError} `usage` for a limit out of range. */
function toChainFilter(filter: AuditFilter): ChainFilter {
  const limit = filter.limit ?? 100;
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
    throw new SallyportError("usage", `limit must be a whole number from 1 to ${MAX_LIMIT}.`);
  }
  return {
    limit,
    order: filter.order ?? "desc",
    ...(filter.type === undefined ? {} : { type: filter.type }),
    ...(filter.plugin === undefined ? {} : { pluginId: filter.plugin }),
    ...(filter.agent === undefined ? {} : { agent: filter.agent }),
    ...(filter.tool === undefined ? {} : { tool: filter.tool }),
    ...(filter.call === undefined ? {} : { callId: filter.call }),
    ...(filter.outcome === undefined ? {} : { outcome: filter.outcome }),
    ...(filter.since === undefined ? {} : { since: filter.since }),
    ...(filter.until === undefined ? {} : { until: filter.until }),
    ...(filter.afterSeq === undefined ? {} : { afterSeq: filter.afterSeq }),
  };
}
