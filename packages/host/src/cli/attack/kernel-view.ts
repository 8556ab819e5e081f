import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** What the kernel holds about one process, as the host sees it. Empty fields could not be read. */
export interface ProcessView {
  readonly pid: number;
  readonly startTime: string;
  readonly name: string;
  readonly namespaces: Readonly<Record<string, string>>;
  readonly status: Readonly<Record<string, string>>;
  readonly limits: string;
  readonly nice: string;
  /** Objects that only an attack would hold: internet sockets, anonymous files of dangerous kinds, planted files. */
  readonly holds: readonly string[];
}

const NAMESPACES = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];
const STATUS = ["Uid", "Gid", "Groups", "CapPrm", "CapEff", "NoNewPrivs", "Seccomp", "TracerPid", "Cpus_allowed"];
const DANGEROUS =
  /^(?:anon_inode:\[?(?:io_uring|userfaultfd|perf_event|fanotify|pidfd|fscontext|bpf[-\w]*|mount)\]?|\/memfd:planted|\/secretmem|pipe:\[host\])/;

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

/** A running process below another, and the child of that other through which it came to be. */
interface Descendant {
  readonly pid: number;
  readonly branch: number;
}

/** All that run below a process, in order of their pids; the bundler's service is the host's own and left out. */
export function familyOf(pid: number): readonly Descendant[] {
  const found: Descendant[] = [];
  const waiting: Descendant[] = childrenOf(pid).map((child) => ({ pid: child, branch: child }));
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    const { pid: child, branch } = at;
    if (isRunning(child) && !read(`/proc/${child}/comm`).startsWith("esbuild")) found.push(at);
    waiting.push(...childrenOf(child).map((below) => ({ pid: below, branch })));
  }
  return found.toSorted((a, b) => a.pid - b.pid);
}

/** Any thread may have started them. */
function childrenOf(pid: number): number[] {
  return list(`/proc/${pid}/task`).flatMap((thread) =>
    read(`/proc/${pid}/task/${thread}/children`).split(" ").filter(Boolean).map(Number),
  );
}

export function descendantsOf(pid: number): number[] {
  return familyOf(pid).map((found) => found.pid);
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function statFields(pid: number): readonly string[] {
  const stat = read(`/proc/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

export function isRunning(pid: number): boolean {
  const [state = ""] = statFields(pid);
  return state !== "" && state !== "Z" && state !== "X";
}

/** Now, as `startTime` counts: hundredths of a second since the machine started. */
export function kernelTime(): number {
  return Math.floor(Number(read("/proc/uptime").split(" ")[0]) * 100);
}

/** Looks at one process; null when it is gone. `planted`: paths that it must not hold open. */
export function viewOf(pid: number, planted: readonly string[]): ProcessView | null {
  const fields = statFields(pid);
  if (fields.length < 20 || fields[0] === "Z") return null;
  const status = Object.fromEntries(
    read(`/proc/${pid}/status`)
      .split("\n")
      .map((line) => line.split(":\t", 2))
      .filter(([key = ""]) => STATUS.includes(key))
      .map(([key = "", value = ""]) => [key, value.trim()]),
  );
  return {
    pid,
    startTime: fields[19] ?? "",
    name: read(`/proc/${pid}/comm`).trim(),
    namespaces: Object.fromEntries(NAMESPACES.map((kind) => [kind, link(`/proc/${pid}/ns/${kind}`)])),
    status,
    limits: read(`/proc/${pid}/limits`),
    nice: fields[16] ?? "",
    holds: heldBy(pid, planted),
  };
}

function heldBy(pid: number, planted: readonly string[]): string[] {
  const targets = list(`/proc/${pid}/fd`).map((descriptor) => link(`/proc/${pid}/fd/${descriptor}`));
  const sockets = new Set(targets.flatMap((target) => /^socket:\[(\d+)\]$/.exec(target)?.[1] ?? []));
  const internet = ["tcp", "tcp6", "udp", "udp6", "raw", "raw6"].flatMap((kind) =>
    read(`/proc/${pid}/net/${kind}`)
      .split("\n")
      .slice(1)
      .filter((line) => sockets.has(line.trim().split(/\s+/)[9] ?? ""))
      .map(() => `a socket (${kind})`),
  );
  const others = targets.filter((target) => DANGEROUS.test(target) || planted.includes(target));
  return [...internet, ...others].toSorted();
}

/** What changed in a process, in words; nothing when nothing did. */
export function changesIn(before: ProcessView, after: ProcessView): readonly string[] {
  const changes: string[] = [];
  for (const [kind, id] of Object.entries(before.namespaces)) {
    const now = after.namespaces[kind] ?? "";
    if (id !== "" && now !== "" && now !== id) changes.push(`its ${kind} namespace changed`);
  }
  for (const [key, value] of Object.entries(before.status)) {
    const now = after.status[key];
    if (now !== undefined && now !== value) changes.push(`${key} changed from ${value} to ${now}`);
  }
  if (before.limits !== "" && after.limits !== "" && after.limits !== before.limits) changes.push("its limits changed");
  if (after.nice !== before.nice) changes.push("its priority changed");
  for (const held of after.holds) if (!before.holds.includes(held)) changes.push(`it holds ${held}`);
  return changes;
}
