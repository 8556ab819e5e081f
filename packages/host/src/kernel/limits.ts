/** Bounds that hold everywhere, in bytes unless the name says otherwise. Each is tested where it is used. */
export const LIMITS = {
  /** One line of protocol v1. */
  lineBytes: 4 * 1024 * 1024,
  jsonDepth: 64,
  /** A tool's canonical input, and its output. */
  inputBytes: 1024 * 1024,
  outputBytes: 1024 * 1024,
  /** What the audit keeps of an input. */
  auditInputBytes: 16 * 1024,
  manifestBytes: 256 * 1024,
  schemaBytes: 64 * 1024,
  /** Calls in flight in one plugin, unless manifest or operator say otherwise; the most that either may say; and calls that may wait for a place. */
  concurrency: 32,
  mostConcurrency: 256,
  queuedCalls: 256,
  /** Messages to a plugin that wait for its pipe. */
  outboundBytes: 16 * 1024 * 1024,
  /** Requests of one plugin to the broker at the same time. */
  brokerRequests: 64,
  defaultTimeoutMs: 30_000,
  maxTimeoutMs: 600_000,
  handshakeMs: 10_000,
  initializeMs: 30_000,
  shutdownGraceMs: 2_000,
  /** Memory of one plugin in MiB, unless its manifest asks for another amount; the most that it gets unless the operator says otherwise. */
  memoryMb: 256,
  mostMemoryMb: 1024,
} as const;
