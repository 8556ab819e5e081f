import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";

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
function startTimeOf(pid: number): string | null {
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

/** A zombie counts as gone: it runs nothing and holds nothing. */
export function isAlive({ pid, startTime }: ProcessId): boolean {
  const stat = read(`/proc/${pid}/stat`);
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields !== undefined && fields[19] === startTime && fields[0] !== "Z" && fields[0] !== "X";
}

/** Memory of its own (not of files) that a process holds, in bytes; null when it cannot be read. */
export async function residentBytesOf(pid: number): Promise<number | null> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => null);
  if (status === null) return null;
  let kibibytes = 0;
  for (const [, size] of status.matchAll(/^(?:RssAnon|RssShmem):\s+(\d+) kB$/gm)) kibibytes += Number(size);
  return kibibytes * 1024;
}
