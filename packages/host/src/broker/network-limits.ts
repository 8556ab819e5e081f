/** Bounds of a plugin's requests to the network. Sizes in bytes, times in milliseconds. */
export interface NetworkLimits {
  /** Requests of one plugin whose answer is not over. More wait. */
  readonly concurrent: number;
  /** Requests a second, and how many may come at once. More are refused. */
  readonly perSecond: number;
  readonly burst: number;
  readonly requestBytes: number;
  /** Of an answer's body, as sent and as decoded. */
  readonly responseBytes: number;
  readonly requestHeaderBytes: number;
  readonly responseHeaderBytes: number;
  readonly urlBytes: number;
  readonly redirects: number;
  readonly resolveMs: number;
  readonly connectMs: number;
  readonly headersMs: number;
  /** Between two pieces of a body. */
  readonly idleMs: number;
  /** From the request to the last byte of its answer. */
  readonly totalMs: number;
}

export const NETWORK_LIMITS: NetworkLimits = {
  concurrent: 16,
  perSecond: 50,
  burst: 200,
  requestBytes: 64 * 1024 * 1024,
  responseBytes: 64 * 1024 * 1024,
  requestHeaderBytes: 32 * 1024,
  responseHeaderBytes: 32 * 1024,
  urlBytes: 16 * 1024,
  redirects: 5,
  resolveMs: 5_000,
  connectMs: 10_000,
  headersMs: 30_000,
  idleMs: 30_000,
  totalMs: 300_000,
};

/** What one `body.read` answers at most, and what comes with the answer to `fetch` itself. */
export const CHUNK_BYTES = 256 * 1024;
export const INLINE_BYTES = 64 * 1024;
