import type { GroupLimits } from "./cgroup-group.ts";

/**
 * What Deno and V8 need before a plugin allocates anything (most of it is reserved, not used). `RLIMIT_DATA` counts it,
 * so a plugin's budget is added to it.
 */
export const DATA_BASELINE_MB = 550;
const OPEN_FILES = 256;
/** With 0 a machine whose core dumps go to a program would hand that program a plugin's memory all the same; 1 is none at all. */
const CORE_BYTES = 1;
/** Of the first thread; memory that no other limit counts. */
const STACK_BYTES = 8 * 1024 * 1024;
/** Signals that wait; the kernel counts those of all processes of a user together. */
const WAITING_SIGNALS = 256;
/** Processes and threads of one plugin, the sandbox's own two included, unless the operator says otherwise. */
export const TASKS = 64;
/** Memory over a plugin's budget that is the runtime's own. */
export const RUNTIME_MEMORY_BYTES = 128 * 1024 * 1024;
/** Size of a program's own /tmp, and of any file that a plugin may write. */
export const SCRATCH_BYTES = 16 * 1024 * 1024;

const MIB = 1024 * 1024;

/** The kernel's limits on one process, soft and hard alike, by the names of prlimit(1). `tasks` only where they are counted for this plugin alone. */
export function resourceLimits(
  memoryMb: number,
  tasks: number | null,
  baselineMb = DATA_BASELINE_MB,
): readonly (readonly [string, number])[] {
  return [
    ["data", (baselineMb + memoryMb) * MIB],
    ["nofile", OPEN_FILES],
    ["fsize", SCRATCH_BYTES],
    ["core", CORE_BYTES],
    ["stack", STACK_BYTES],
    ["sigpending", WAITING_SIGNALS],
    ...(tasks === null ? [] : ([["nproc", tasks]] as const)),
  ];
}

/** The walls of one plugin's group, where the machine has groups. */
export function groupLimits(memoryMb: number, tasks: number, processors?: number): GroupLimits {
  return {
    memoryBytes: memoryMb * MIB + RUNTIME_MEMORY_BYTES,
    tasks,
    ...(processors === undefined ? {} : { processors }),
  };
}
