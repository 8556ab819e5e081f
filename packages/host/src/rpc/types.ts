import type { Readable, Writable } from "node:stream";
import type { Clock, SallyportError } from "../kernel/index.ts";
import type { RemoteError } from "./messages.ts";
import type { Timers } from "./timers.ts";

export interface PeerLimits {
  readonly lineBytes: number;
  readonly jsonDepth: number;
  /** Values in one message. */
  readonly values: number;
  /** What may wait for the other side's pipe. */
  readonly outboundBytes: number;
  /** Our requests that wait for an answer. */
  readonly outstanding: number;
  /** The other side's requests that we work on; more are answered with `busy`. */
  readonly inboundRequests: number;
  /** Messages nobody asked for (notifications, requests refused as `busy`) in one second, and their bytes. More is a violation. */
  readonly unaskedPerSecond: number;
  readonly unaskedBytesPerSecond: number;
  /** Values in all its requests and notifications of one second: parsing them holds up everybody. More is a violation. */
  readonly valuesPerSecond: number;
  /** Ids of requests that we gave up on, remembered so that a late answer to one is dropped instead of taken for a lie. */
  readonly abandonedIds: number;
}

/** How a request of ours ended: the other side's answer, or an error of ours (deadline, abandoned, closed, limits). */
export type PeerAnswer =
  | { readonly kind: "result"; readonly result: unknown; readonly bytes: number }
  | { readonly kind: "error"; readonly error: RemoteError; readonly bytes: number }
  | { readonly kind: "failed"; readonly error: SallyportError };

export interface PeerOptions {
  readonly readable: Readable;
  readonly writable: Writable;
  readonly limits?: Partial<PeerLimits>;
  readonly clock?: Clock;
  readonly timers?: Timers;
  /** Answers a request of the other side. What it throws goes to the other side as code, message and fix. */
  readonly onRequest: (method: string, params: unknown) => Promise<unknown>;
  readonly onNotification: (method: string, params: unknown, bytes: number) => void;
  /** An answer to a request that was given up has come; it was dropped. */
  readonly onLateAnswer?: (id: number) => void;
  /** Called at most once, with `protocol_violation`; nothing is read or written afterwards. The caller kills the process. */
  readonly onViolation: (error: SallyportError) => void;
  /** Takes requests with any id that JSON-RPC knows, also twice: for peers that are no runner of ours. */
  readonly anyRequestId?: boolean;
}

/** One side of a JSON-RPC 2.0 connection over lines, bounded in every direction. */
export interface Peer {
  /**
   * Sends a request; `settle` is called exactly once. A late answer after the deadline is dropped.
   * @returns the id, for `abandon`; 0 when nothing was sent (then `settle` was already called).
   */
  send(method: string, params: unknown, timeoutMs: number, settle: (answer: PeerAnswer) => void): number;
  /** As `send`, as a promise. @throws {SallyportError} of ours; a remote error is returned. */
  request(method: string, params: unknown, timeoutMs: number): Promise<Exclude<PeerAnswer, { kind: "failed" }>>;
  /** Gives a request up: it fails with `error` now, and its answer is dropped when it comes. */
  abandon(id: number, error: SallyportError): void;
  /** @returns false when the line does not fit into the outbound queue. */
  notify(method: string, params: unknown): boolean;
  /** Reports a violation that the caller found in a message's content. */
  violate(problem: string): void;
  /** Fails everything outstanding with `error` and stops reading and writing. */
  close(error: SallyportError): void;
  readonly stats: PeerStats;
}

export interface PeerStats {
  readonly outstanding: number;
  readonly inbound: number;
  /** Answers to abandoned requests that came late and were dropped. */
  readonly lateAnswers: number;
}
