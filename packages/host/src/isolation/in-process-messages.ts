import type { MessagePort } from "node:worker_threads";

/** What a plugin's thread is given. */
export interface ThreadData {
  readonly port: MessagePort;
  /** `file:` URL of the runner. */
  readonly runner: string;
}

/** Asks the thread what it uses; it answers with a `ThreadMemory`. */
export const ASK_MEMORY = "memory";
/** Says that the thread has taken all bytes, and the host may send more. */
export const TAKEN = "taken";

export interface ThreadMemory {
  /** Of the thread's own heap, and of what its objects hold outside of it. */
  readonly heapBytes: number;
  readonly outsideBytes: number;
}
