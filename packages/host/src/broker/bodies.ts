import { SallyportError } from "../kernel/index.ts";
import { throwIfAborted } from "./aborting.ts";
import { CHUNK_BYTES, INLINE_BYTES } from "./network-limits.ts";
import type { ResponseBody } from "./response-body.ts";

/** How long the answer to `fetch` waits for a small body to be complete, so that it can come along. Milliseconds. */
const INLINE_WAIT_MS = 10;

export type Delivery =
  | { readonly body: Buffer; readonly stream: null }
  | { readonly body: null; readonly stream: string };

/** Answers' bodies that a plugin has not read to their end. Nothing is read from a server before the plugin asks. */
export interface Bodies {
  /** A small body that is complete comes whole; any other gets an id. `finish` is called once, when the body is over. */
  deliver(
    callId: string,
    body: ResponseBody,
    finish: (error?: unknown) => void,
    /** `wait`: whether the answer may wait a moment for the body. `signal`: fires when nobody wants it any more. */
    options: { readonly wait: boolean; readonly signal: AbortSignal },
  ): Promise<Delivery>;
  read(callId: string, id: string): Promise<{ data: Buffer; done: boolean }>;
  cancel(callId: string, id: string): void;
  endCall(callId: string): void;
  close(): void;
}

interface OpenBody {
  readonly callId: string;
  readonly body: ResponseBody;
  /** Pieces that were read from the server and not yet by the plugin: at most one answer's worth. */
  buffered: Buffer[];
  /** A read from the server that is under way. */
  pending: Promise<Buffer | null> | undefined;
  turn: Promise<unknown>;
  readonly finish: (error?: unknown) => void;
}

export function createBodies(): Bodies {
  const open = new Map<string, OpenBody>();
  let count = 0;

  const find = (callId: string, id: string): OpenBody => {
    const found = open.get(id);
    if (found?.callId === callId) return found;
    throw new SallyportError("not_found", "There is no such body in this call.", {
      detail: "It was read to its end, cancelled, or never there.",
    });
  };

  const drop = (id: string, entry: OpenBody, error?: unknown): void => {
    if (!open.delete(id)) return;
    entry.body.cancel();
    entry.finish(error);
  };

  const readNext = async (id: string, entry: OpenBody): Promise<{ data: Buffer; done: boolean }> => {
    try {
      let first: Buffer | null | undefined = entry.buffered.shift();
      if (first === undefined) {
        const pending = entry.pending ?? entry.body.next();
        entry.pending = undefined;
        first = await pending;
      }
      if (first === null) {
        drop(id, entry);
        return { data: Buffer.alloc(0), done: true };
      }
      if (first.length > CHUNK_BYTES) entry.buffered.unshift(first.subarray(CHUNK_BYTES));
      return { data: first.subarray(0, CHUNK_BYTES), done: false };
    } catch (error) {
      drop(id, entry, error);
      throw error;
    }
  };

  return {
    async deliver(callId, body, finish, { wait, signal }) {
      let start: Start = { buffered: [], pending: undefined, complete: false };
      try {
        if (wait) start = await readStart(body);
        throwIfAborted(signal);
      } catch (error) {
        finish(error);
        throw error;
      }
      const { buffered, pending, complete } = start;
      if (complete) {
        finish();
        return { body: Buffer.concat(buffered), stream: null };
      }
      const id = `b${++count}`;
      open.set(id, { callId, body, buffered, pending, turn: Promise.resolve(), finish });
      return { body: null, stream: id };
    },
    read(callId, id) {
      const entry = find(callId, id);
      const result = entry.turn.then(() => {
        if (open.get(id) !== entry) return { data: Buffer.alloc(0), done: true };
        return readNext(id, entry);
      });
      entry.turn = result.catch(() => undefined);
      return result;
    },
    cancel(callId, id) {
      const entry = open.get(id);
      if (entry?.callId === callId) drop(id, entry);
    },
    endCall(callId) {
      for (const [id, entry] of open) if (entry.callId === callId) drop(id, entry);
    },
    close() {
      for (const [id, entry] of open) drop(id, entry);
    },
  };
}

interface Start {
  readonly buffered: Buffer[];
  readonly pending: Promise<Buffer | null> | undefined;
  readonly complete: boolean;
}

/** Reads until the body is complete, too large to come along, or slower than the answer may wait. */
async function readStart(body: ResponseBody): Promise<Start> {
  const buffered: Buffer[] = [];
  const timer = startTimer(INLINE_WAIT_MS);
  try {
    for (let size = 0; size <= INLINE_BYTES;) {
      const pending = body.next();
      // Its failure belongs to whoever reads on; until then it must not count as unhandled.
      pending.catch(() => undefined);
      const piece = await Promise.race([pending, timer.elapsed]);
      if (piece === "late") return { buffered, pending, complete: false };
      if (piece === null) return { buffered, pending: undefined, complete: true };
      buffered.push(piece);
      size += piece.length;
    }
    return { buffered, pending: undefined, complete: false };
  } finally {
    timer.stop();
  }
}

function startTimer(ms: number): { elapsed: Promise<"late">; stop: () => void } {
  let timer: NodeJS.Timeout | undefined;
  const elapsed = new Promise<"late">((resolve) => {
    timer = setTimeout(() => resolve("late"), ms);
  });
  return { elapsed, stop: () => clearTimeout(timer) };
}
