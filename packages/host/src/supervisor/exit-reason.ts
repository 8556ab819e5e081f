import { constants } from "node:os";
import type { SandboxExit } from "../isolation/index.ts";

/** What ended a process, by signal. At a kernel level the sandbox reports a signal as the exit code 128 + its number. */
const BY_SIGNAL: Readonly<Record<string, string>> = {
  SIGTRAP: "the process reached its memory limit",
  SIGABRT: "the process gave up, most likely at its memory limit",
  SIGSEGV: "the process crashed",
  SIGBUS: "the process crashed",
  SIGILL: "the process crashed",
  SIGXFSZ: "the process wrote a file over its size limit",
  SIGSYS: "the process made a forbidden system call",
  SIGKILL: "the process was killed from outside, most likely because the machine ran out of memory",
  SIGTERM: "the process was ended from outside",
};

export function exitReason({ code, signal }: SandboxExit): string {
  const name = signal ?? signalOf(code);
  if (name !== null) return BY_SIGNAL[name] ?? `the process was ended by ${name}`;
  return code === 0 ? "the process ended by itself" : `the process ended by itself with code ${code}`;
}

function signalOf(code: number | null): string | null {
  if (code === null || code <= 128) return null;
  const found = Object.entries(constants.signals).find(([, number]) => number === code - 128);
  return found?.[0] ?? null;
}
