import { constants } from "node:os";
import {
  type EnginePaths,
  groupLimits,
  planCommand,
  type Probe,
  type SandboxedProcess,
  spawnSandboxed,
} from "../isolation/index.ts";
import { type IsolationLevel, SallyportError } from "../kernel/index.ts";
import type { ExecLimits } from "./exec-limits.ts";

/** What puts the walls around a command. */
export interface CommandWalls {
  readonly engine: EnginePaths;
  readonly probe: Probe;
  readonly hostIsRoot: boolean;
}

export interface CommandRun {
  readonly level: IsolationLevel;
  readonly file: string;
  readonly argv: readonly string[];
  readonly folder: string | null;
  readonly stdin: Buffer;
  readonly timeoutMs: number;
}

export interface CommandResult {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  /** Whether anything of stdout or stderr is missing. */
  readonly truncated: boolean;
}

/**
 * Runs a command to its end, or ends it: at the deadline, when the signal fires, when it writes too much. Resolves or throws only
 * when every process of it is gone.
 * @throws {SallyportError} `deadline_exceeded`, `cancelled`, `launch_failed`, `isolation_unavailable`.
 */
export async function runCommand(
  { engine, probe, hostIsRoot }: CommandWalls,
  limits: ExecLimits,
  run: CommandRun,
  signal: AbortSignal,
): Promise<CommandResult> {
  const { level, file, argv, folder, timeoutMs } = run;
  const { memoryMb, tasks } = limits;
  const plan = await planCommand({
    level,
    jail: engine.jail,
    tools: probe.tools,
    file,
    argv,
    folder,
    memoryMb,
    tasks,
    cpuSeconds: Math.max(1, Math.ceil(timeoutMs / 1000)),
    hostIsRoot,
  });
  if (signal.aborted) throw ended("cancelled", timeoutMs);
  const process = await spawnSandboxed(plan, probe.groups?.make(groupLimits(memoryMb, tasks)) ?? null);
  let why: "cancelled" | "deadline_exceeded" | undefined;
  const end = (reason: typeof why): void => {
    why ??= reason;
    process.kill();
  };
  const onAbort = (): void => end("cancelled");
  const timer = setTimeout(() => end("deadline_exceeded"), timeoutMs);
  signal.addEventListener("abort", onAbort, { once: true });
  // It may have fired while the process was starting.
  if (signal.aborted) onAbort();
  try {
    const { stdoutBytes, stderrBytes, mostStderrBytes } = limits;
    const stdout = collect(process.stdout, stdoutBytes, stdoutBytes, () => process.kill());
    // Reading what is dropped costs this host time as well.
    const stderr = collect(process.stderr, stderrBytes, mostStderrBytes, () => process.kill());
    process.stdin.on("error", () => undefined).end(run.stdin);
    const { code, signal: endedBy } = await process.gone;
    if (why !== undefined) throw ended(why, timeoutMs);
    const result = { stdout: stdout.bytes(), stderr: stderr.bytes(), truncated: stdout.over() || stderr.over() };
    assertStarted(level, code, result.stderr);
    return { ...exitOf(level, code, endedBy), ...result };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}

/** Keeps what comes first. @param most from which on `onTooMuch` is called. */
function collect(stream: SandboxedProcess["stdout"], keep: number, most: number, onTooMuch: () => void) {
  const chunks: Buffer[] = [];
  let total = 0;
  stream.on("error", () => undefined);
  stream.on("data", (chunk: Buffer) => {
    if (total < keep) chunks.push(chunk.subarray(0, keep - total));
    total += chunk.length;
    if (total > most) onTooMuch();
  });
  return { bytes: () => Buffer.concat(chunks), over: () => total > keep };
}

/** bubblewrap tells a signal as a shell does. */
function exitOf(level: IsolationLevel, code: number | null, signal: NodeJS.Signals | null) {
  if (level !== "namespace" || code === null || code <= 128) return { code, signal };
  const [name] = Object.entries(constants.signals).find(([, number]) => number === code - 128) ?? [];
  return name === undefined ? { code, signal } : { code: null, signal: name };
}

const JAIL_REFUSED = 121;

/** What the walls say when they could not be put up names places of the host's, which the plugin need not know. */
function assertStarted(level: IsolationLevel, code: number | null, stderr: Buffer): void {
  const said = stderr.subarray(0, 200).toString("latin1");
  const jail = code === JAIL_REFUSED && said.startsWith("sallyport-jail: ");
  if (!jail && !(level === "namespace" && code === 1 && said.startsWith("bwrap: "))) return;
  throw new SallyportError("launch_failed", "The command could not be started within its walls.", {
    fix: "The operator's `sallyport doctor` says what this machine lacks.",
    data: { stderr: said.trim() },
  });
}

function ended(code: "cancelled" | "deadline_exceeded", timeoutMs: number): SallyportError {
  return code === "cancelled"
    ? new SallyportError(code, "The call that this command belongs to is over.")
    : new SallyportError(code, `The command ran longer than ${timeoutMs} ms and was ended.`, {
        fix: "Give it less to do, or more time: ctx.exec(command, args, { timeout }).",
      });
}
