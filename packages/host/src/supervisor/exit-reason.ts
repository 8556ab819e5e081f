import { constants } from "node:os";
import type { SandboxExit } from "../isolation/index.ts";

export interface ExitEvidence {
  readonly exit: SandboxExit;
  /** The last of what it wrote to its error output: the runtime's own last words, or a plugin's imitation of them. */
  readonly lastWords: string;
  /** Its limit of processes and threads. */
  readonly tasks: number;
}

export const MEMORY_REACHED = "the process was killed at its memory limit";

export function tasksReached(tasks: number): string {
  return `the process was ended at its limit of ${tasks} threads and processes`;
}

const GAVE_UP = "the process gave up; its last lines may say why";

/** What ended a process, by signal. At a kernel level the sandbox reports a signal as the exit code 128 + its number. */
const BY_SIGNAL: Readonly<Record<string, string>> = {
  SIGTRAP: GAVE_UP,
  SIGABRT: GAVE_UP,
  SIGSEGV: "the process crashed",
  SIGBUS: "the process crashed",
  SIGILL: "the process crashed",
  SIGXFSZ: "the process wrote a file over its size limit",
  SIGSYS: "the process made a forbidden system call",
  SIGKILL: "the process was killed from outside, most likely because the machine ran out of memory",
  SIGTERM: "the process was ended from outside",
};

/** Signals by which the runtime ends itself; what it said before tells why. */
const BY_ITSELF: readonly (string | null)[] = ["SIGTRAP", "SIGABRT", "SIGSEGV", "SIGILL", null];

/** Words of V8, Deno and libc. A plugin that imitates them chooses between our sentences, and no more. */
const NO_TASKS =
  /(?:failed to|can't) (?:spawn|create|start)\b.{0,40}thread|thread constructor failed|pthread_create|Resource temporarily unavailable|os error 11\b/i;
const NO_MEMORY =
  /out of memory|OutOfMemory|memory allocation of \d+ bytes failed|allocation failed|heap limit|os error 12\b|Cannot allocate memory/i;
const NO_FILES = /too many open files|os error 24\b/i;

/** Why a process ended by itself, in plain words: first what its level knows, then what the kernel counted, then its signal, then its last words. */
export function exitReason({ exit, lastWords, tasks }: ExitEvidence): string {
  const { code, signal, counted, reason } = exit;
  if (reason !== undefined) return reason;
  if ((counted?.memoryKills ?? 0) > 0) return MEMORY_REACHED;
  const name = signal ?? signalOf(code);
  if (code !== 0 && BY_ITSELF.includes(name)) {
    if ((counted?.tasksRefused ?? 0) > 0 || NO_TASKS.test(lastWords)) return tasksReached(tasks);
    if (NO_FILES.test(lastWords)) return "the process reached its limit of open files";
    if (NO_MEMORY.test(lastWords)) return "the process reached its memory limit";
  }
  if (name !== null) return BY_SIGNAL[name] ?? `the process was ended by ${name}`;
  return code === 0 ? "the process ended by itself" : `the process ended by itself with code ${code}`;
}

function signalOf(code: number | null): string | null {
  if (code === null || code <= 128) return null;
  const found = Object.entries(constants.signals).find(([, number]) => number === code - 128);
  return found?.[0] ?? null;
}
