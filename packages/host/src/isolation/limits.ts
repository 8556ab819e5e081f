/**
 * What Deno and V8 need before a plugin allocates anything (most of it is reserved, not used). `RLIMIT_DATA` counts it,
 * so a plugin's budget is added to it.
 */
export const DATA_BASELINE_MB = 550;
const OPEN_FILES = 256;
/** Processes and threads of one plugin. */
const TASKS = 64;
/** Size of a plugin's own /tmp, and of any file in it. */
export const SCRATCH_BYTES = 16 * 1024 * 1024;

const MIB = 1024 * 1024;

/** Arguments of prlimit(1): soft and hard alike. `tasks` only where they are counted for this plugin alone. */
export function prlimitArguments(memoryMb: number, countTasks: boolean): string[] {
  const limits: [string, number][] = [
    ["data", (DATA_BASELINE_MB + memoryMb) * MIB],
    ["nofile", OPEN_FILES],
    ["fsize", SCRATCH_BYTES],
    ["core", 0],
  ];
  if (countTasks) limits.push(["nproc", TASKS]);
  return limits.map(([name, value]) => `--${name}=${value}:${value}`);
}
