import { SallyportError } from "../kernel/index.ts";
import type { Appended } from "../store/index.ts";

interface Batch {
  readonly bodies: string[];
  bytes: number;
  /** Somebody waits for it. */
  urgent: boolean;
  readonly done: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: SallyportError) => void;
}

export interface QueueLimits {
  /** Events that may wait, in memory, to become durable. */
  readonly maxWaiting: number;
  /** Events, and characters, of one transaction. */
  readonly maxBatch: number;
  readonly maxBatchBytes: number;
}

const DEFAULT_LIMITS: QueueLimits = { maxWaiting: 100_000, maxBatch: 2048, maxBatchBytes: 2 * 1024 * 1024 };
/**
 * Events that nobody waits for gather this long, in milliseconds, or until there are so many: a commit each would keep the
 * disk busy for calls that need none.
 */
const GATHER_MS = 25;
const GATHER_EVENTS = 512;
/** One batch is committed while the next one waits in the thread's inbox, so that the thread never idles. */
const IN_FLIGHT = 2;

export interface AppendQueue {
  /** Queues one event. The promise is that of its whole batch: one commit for all who wait. */
  push(body: string): Promise<void>;
  /** The same, for one nobody waits for; `failure` says when it was not taken. */
  add(body: string): void;
  /** Resolves when everything queued so far is durable. */
  flush(): Promise<void>;
  /** Sends what is queued at once, so that what the caller sends next comes after it. */
  sendAll(): void;
  /** Why nothing is taken any more; `null` while all is well. */
  readonly failure: SallyportError | null;
  fail(error: SallyportError): void;
}

/** Gathers events into few, large appends. After one failure it takes nothing more. */
export function createAppendQueue(
  append: (bodies: readonly string[]) => Promise<Appended>,
  onDurable: (bodies: readonly string[], appended: Appended) => void,
  limits: QueueLimits = DEFAULT_LIMITS,
): AppendQueue {
  let open: Batch | null = null;
  const full: Batch[] = [];
  const sent = new Set<Batch>();
  let waiting = 0;
  let scheduled = false;
  let gathering: NodeJS.Timeout | undefined;
  let failure: SallyportError | null = null;

  const close = (): void => {
    if (open) full.push(open);
    open = null;
  };
  const send = (batch: Batch): void => {
    sent.add(batch);
    void write(batch);
  };
  const write = async (batch: Batch): Promise<void> => {
    try {
      const appended = await append(batch.bodies);
      sent.delete(batch);
      waiting -= batch.bodies.length;
      batch.resolve();
      onDurable(batch.bodies, appended);
      if (full.length > 0 || open?.urgent === true) pump();
      else if (open) gather(open);
    } catch (error) {
      fail(unavailable(error));
    }
  };
  const pump = (): void => {
    scheduled = false;
    clearTimeout(gathering);
    gathering = undefined;
    if (failure) return;
    while (sent.size < IN_FLIGHT) {
      if (full.length === 0) close();
      const batch = full.shift();
      if (!batch) return;
      send(batch);
    }
  };
  const fail = (error: SallyportError): void => {
    failure ??= error;
    close();
    for (const batch of [...sent, ...full.splice(0)]) batch.reject(failure);
    sent.clear();
  };
  /** Not a microtask: everything that this turn of the loop has to say goes into one commit. */
  const schedule = (batch: Batch | null): void => {
    if (batch) batch.urgent = true;
    if (scheduled || sent.size >= IN_FLIGHT) return;
    scheduled = true;
    setImmediate(pump);
  };
  const gather = (batch: Batch): void => {
    if (batch.bodies.length >= GATHER_EVENTS) schedule(batch);
    else if (!scheduled) gathering ??= setTimeout(pump, GATHER_MS);
  };
  const add = (body: string): Batch | null => {
    if (failure) return null;
    if (waiting >= limits.maxWaiting) {
      fail(unavailable(new Error(`${waiting} events wait to be written.`)));
      return null;
    }
    if (open && (open.bodies.length >= limits.maxBatch || open.bytes + body.length > limits.maxBatchBytes)) close();
    open ??= newBatch();
    open.bodies.push(body);
    open.bytes += body.length;
    waiting += 1;
    return open;
  };
  return {
    get failure() {
      return failure;
    },
    fail,
    add(body) {
      const batch = add(body);
      if (batch) gather(batch);
    },
    async push(body) {
      const batch = add(body);
      if (!batch) throw failure;
      schedule(batch);
      await batch.done;
    },
    async flush() {
      if (failure) throw failure;
      schedule(open);
      const last = open ?? full.at(-1) ?? [...sent].at(-1);
      await last?.done;
    },
    sendAll() {
      close();
      for (const batch of full.splice(0)) send(batch);
    },
  };
}

function newBatch(): Batch {
  let resolve!: () => void;
  let reject!: (error: SallyportError) => void;
  const done = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  // Notes have nobody who waits; the queue itself remembers the failure.
  done.catch(() => undefined);
  return { bodies: [], bytes: 0, urgent: false, done, resolve, reject };
}

export function unavailable(cause: unknown): SallyportError {
  return new SallyportError("audit_unavailable", "The audit cannot be written, so nothing runs.", {
    detail: cause instanceof SallyportError ? (cause.detail ?? cause.message) : "The store does not take events.",
    fix: "Free disk space or mend the store, then start Sallyport again.",
    cause,
  });
}
