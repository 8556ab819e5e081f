import { readdirSync, readFileSync } from "node:fs";
import type { SandboxUsage } from "./types.ts";

/** One process for all time: pids are used again, a pid with its start time is not. */
export interface ProcessId {
  readonly pid: number;
  readonly startTime: string;
}

function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

/** The 22nd field of /proc/PID/stat; the second one may hold spaces and parentheses. */
export function startTimeOf(pid: number): string | null {
  const stat = read(`/proc/${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? null;
}

/** A process and all its descendants as /proc shows them now; empty when it is gone or there is no /proc. */
export function processTree(root: number): ProcessId[] {
  const found: ProcessId[] = [];
  const waiting = [root];
  for (let pid = waiting.pop(); pid !== undefined; pid = waiting.pop()) {
    const startTime = startTimeOf(pid);
    if (startTime === null) continue;
    found.push({ pid, startTime });
    const children = read(`/proc/${pid}/task/${pid}/children`) ?? "";
    waiting.push(...children.split(" ").filter(Boolean).map(Number));
  }
  return found;
}

/** A zombie counts as gone, for it runs nothing and holds nothing, but not one whose first thread alone is over. */
export function isAlive({ pid, startTime }: ProcessId): boolean {
  const stat = read(`/proc/${pid}/stat`);
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (fields === undefined || fields[19] !== startTime) return false;
  return (fields[0] !== "Z" && fields[0] !== "X") || Number(fields[17]) > 1;
}

/** Clock ticks a second in /proc, the same on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** Memory of its own (not of files), also where the machine has put it elsewhere, and the tables of its pages. */
const OWN_MEMORY = /^(?:RssAnon|RssShmem|VmSwap|VmPTE):\s+(\d+) kB$/gm;

/** The kernel tells the memory of a process by any of its threads but one that is over, and the first may be. */
function memoryStatus(pid: number, first: string): string {
  if (first.includes("\nRssAnon:") || !first.includes("\nState:\tZ")) return first;
  for (const thread of threadsOf(pid)) {
    const status = read(`/proc/${pid}/task/${thread}/status`);
    if (status?.includes("\nRssAnon:") === true) return status;
  }
  return first;
}

function threadsOf(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

/** What one process uses: memory of its own, processor time, threads. Null when it cannot be read. */
export function usageOf(pid: number): SandboxUsage | null {
  // In this turn: /proc never waits for a disk, and a thread of the pool for each file costs five times as much.
  const [status, stat] = [read(`/proc/${pid}/status`), read(`/proc/${pid}/stat`)];
  if (status === null || stat === null) return null;
  let kibibytes = 0;
  for (const [, size] of memoryStatus(pid, status).matchAll(OWN_MEMORY)) kibibytes += Number(size);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ticks = Number(fields[11]) + Number(fields[12]);
  const tasks = Number(/^Threads:\s+(\d+)$/m.exec(status)?.[1] ?? 1);
  return { residentBytes: kibibytes * 1024, processorMs: (ticks * 1000) / TICKS_PER_SECOND, tasks };
}
