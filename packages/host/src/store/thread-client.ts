import { Worker } from "node:worker_threads";
import { SallyportError } from "../kernel/index.ts";
import type { ThreadData, ThreadReply, ThreadRequest } from "./messages.ts";

/** A request without its number. */
export type Ask = ThreadRequest extends infer R ? (R extends ThreadRequest ? Omit<R, "id"> : never) : never;

export interface StoreThread {
  /** Answers come in the order of the requests, but for `index`, which lets others pass. */
  ask(request: Ask): Promise<unknown>;
  /** Resolves when the thread has ended. */
  readonly ended: Promise<void>;
}

/** The compiled entry, whether this file runs from `dist` or, in tests, from `src`: Node 20 runs no TypeScript in a thread. */
const ENTRY = new URL("../../dist/store/worker.js", import.meta.url);

/** Starts the thread and waits until the store is open. @throws {SallyportError} what opening it threw. */
export async function startThread(data: ThreadData): Promise<StoreThread> {
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  let lastId = 0;
  let gone: SallyportError | null = null;
  const worker = new Worker(ENTRY, { workerData: data, name: "sallyport-store", env: {}, execArgv: [] });

  worker.on("message", (reply: ThreadReply) => {
    const caller = waiting.get(reply.id);
    waiting.delete(reply.id);
    if (reply.ok) caller?.resolve(reply.value);
    else caller?.reject(fromWire(reply.error));
  });
  const ended = new Promise<void>((resolve) => {
    const end = (cause?: unknown): void => {
      gone ??= new SallyportError("store_unavailable", "The store is closed.", { cause });
      for (const caller of waiting.values()) caller.reject(gone);
      waiting.clear();
      resolve();
    };
    worker.on("error", end);
    worker.on("exit", () => end());
  });
  const wait = (id: number): Promise<unknown> => new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));

  const opened = wait(0);
  try {
    await opened;
  } catch (error) {
    await ended;
    throw error;
  }
  return {
    ended,
    ask(request) {
      if (gone) return Promise.reject(gone);
      lastId += 1;
      const answered = wait(lastId);
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
      worker.postMessage({ ...request, id: lastId });
      return answered;
    },
  };
}

function fromWire(error: Extract<ThreadReply, { ok: false }>["error"]): SallyportError {
  return new SallyportError(error.code, error.message, {
    ...(error.detail === undefined ? {} : { detail: error.detail }),
    ...(error.fix === undefined ? {} : { fix: error.fix }),
  });
}
