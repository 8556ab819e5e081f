/** Bounds of the commands that a plugin runs. Bytes, unless the name says otherwise. */
export interface ExecLimits {
  readonly args: number;
  readonly argBytes: number;
  /** All arguments of one run together. */
  readonly argsBytes: number;
  readonly stdinBytes: number;
  /** What is kept of stdout; a command that writes more is ended. */
  readonly stdoutBytes: number;
  /** What is kept of stderr; more is read and dropped, up to the next. */
  readonly stderrBytes: number;
  /** A command that writes more than this to stderr is ended. */
  readonly mostStderrBytes: number;
  /** Files that one run is handed, and their bytes together. */
  readonly files: number;
  readonly filesBytes: number;
  /** A run without a time of its own, and the longest. */
  readonly timeoutMs: number;
  readonly mostTimeoutMs: number;
  /** Runs of one process of a plugin at the same time. */
  readonly atOnce: number;
  /** Starts a second of one plugin, after a burst. */
  readonly perSecond: number;
  readonly burst: number;
  readonly memoryMb: number;
  /** Threads of one run, the sandbox's own tasks included; nothing forks. */
  readonly tasks: number;
}

const MIB = 1024 * 1024;

export const EXEC_LIMITS: ExecLimits = {
  args: 256,
  argBytes: 8 * 1024,
  argsBytes: 64 * 1024,
  stdinBytes: MIB,
  stdoutBytes: MIB,
  stderrBytes: 64 * 1024,
  mostStderrBytes: 16 * MIB,
  files: 32,
  filesBytes: 64 * MIB,
  timeoutMs: 10_000,
  mostTimeoutMs: 60_000,
  atOnce: 4,
  perSecond: 10,
  burst: 20,
  memoryMb: 256,
  tasks: 32,
};
