/** What the kernel says of processes below this one. Linux only, as the levels that are measured. */
import { readdirSync, readFileSync } from "node:fs";

/** Pids of everything below `root`. */
export function below(root = process.pid) {
  const children = new Map();
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const parent = Number(/\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1]);
      children.set(parent, [...(children.get(parent) ?? []), Number(pid)]);
    } catch {
      // Ended meanwhile.
    }
  }
  const all = [];
  for (const todo = [root]; todo.length > 0;) {
    const found = children.get(todo.pop()) ?? [];
    all.push(...found);
    todo.push(...found);
  }
  return all;
}

/** Proportional set size of these processes together, MiB: shared pages count once. */
export function pss(pids) {
  const kib = pids.map((pid) => {
    try {
      return Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1] ?? 0);
    } catch {
      return 0;
    }
  });
  return kib.reduce((sum, value) => sum + value, 0) / 1024;
}

export function isAlive(pid) {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
