import { RUNTIME_MEMORY_BYTES } from "../isolation/index.ts";
import { LIMITS } from "../kernel/index.ts";

/** Bounds of one plugin's process, in milliseconds, bytes and counts. */
export interface SupervisorLimits {
  readonly handshakeMs: number;
  /** Importing the bundle. */
  readonly importMs: number;
  readonly initializeMs: number;
  readonly queuedCalls: number;
  /** What hooks and subscribers are told at the same time. */
  readonly deliveries: number;
  readonly outputBytes: number;
  /** How long a process may leave a ping unanswered once a call was given up, and with no call in flight. */
  readonly pingGraceMs: number;
  readonly heartbeatGraceMs: number;
  /** How long a call that was given up may keep others waiting that must not run beside it. */
  readonly drainGraceMs: number;
  /** Calls given up and not yet ended by the plugin. */
  readonly drainingCalls: number;
  /** How often memory, processor time and, with no call in flight, health are looked at. */
  readonly watchMs: number;
  /** Resident memory over the plugin's budget that is the runtime's own. */
  readonly runtimeMemoryBytes: number;
  /** Share of one processor that a process may use over two looks with no call in flight. */
  readonly idleProcessorShare: number;
  readonly stderrTailBytes: number;
  readonly stderrBytesPerSecond: number;
  readonly stderrLinesPerSecond: number;
}

export const SUPERVISOR_LIMITS: SupervisorLimits = {
  handshakeMs: LIMITS.handshakeMs,
  importMs: 10_000,
  initializeMs: LIMITS.initializeMs,
  queuedCalls: LIMITS.queuedCalls,
  deliveries: 32,
  outputBytes: LIMITS.outputBytes,
  pingGraceMs: 3_000,
  heartbeatGraceMs: 10_000,
  drainGraceMs: 5_000,
  drainingCalls: 64,
  watchMs: 2_000,
  runtimeMemoryBytes: RUNTIME_MEMORY_BYTES,
  idleProcessorShare: 0.5,
  stderrTailBytes: 16 * 1024,
  stderrBytesPerSecond: 4 * 1024 * 1024,
  stderrLinesPerSecond: 100,
};
