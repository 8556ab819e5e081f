import { closeSync, constants, existsSync, mkdirSync, openSync, readFileSync, rmdirSync, writeSync } from "node:fs";
import { join } from "node:path";
import { SallyportError } from "../kernel/index.ts";
import type { Controller, Place } from "./cgroup-place.ts";

/** Bounds of one group: bytes, processes and threads, processors (1 is one whole). */
export interface GroupLimits {
  readonly memoryBytes: number;
  readonly tasks: number;
  readonly processors?: number;
}

/** What the kernel counted at the walls of a group. */
export interface GroupCounts {
  /** Processes that it ended because the group's memory was used up. */
  readonly memoryKills: number;
  /** Starts of threads or processes that it refused. */
  readonly tasksRefused: number;
}

/** A group of the kernel's for one plugin process and all that it starts. */
export interface ControlGroup {
  /** @throws {SallyportError} `launch_failed`: then the process must not run. */
  enter(pid: number): void;
  members(): readonly number[];
  /** SIGKILL to every member. */
  kill(): void;
  counts(): GroupCounts;
  /** Whether it is gone; false while a process is in it. */
  remove(): boolean;
}

const PERIOD_US = 100_000;
const SWAP = /swap|memsw/;

/**
 * Makes a group with its limits set. Nothing of it is left when it throws.
 * @throws {SallyportError} `launch_failed`.
 */
export function makeGroup(place: Place, name: string, limits: GroupLimits): ControlGroup {
  const made: string[] = [];
  try {
    for (const folder of foldersOf(place)) {
      mkdirSync(join(folder, name), { mode: 0o755 });
      made.push(join(folder, name));
    }
    for (const [controller, file, value] of settings(place.version, limits)) {
      const parent = place.folders[controller];
      if (parent === undefined) throw new Error(`no controller for ${controller}`);
      const path = join(parent, name, file);
      // Machines without swap have no such file, and nothing to bound.
      if (!SWAP.test(file) || existsSync(path)) write(path, value);
    }
    return groupAt(place, name);
  } catch (error) {
    for (const folder of made) removeFolder(folder);
    throw unusable("made", error);
  }
}

/** A group that is there already. */
export function groupAt(place: Place, name: string): ControlGroup {
  const folders = foldersOf(place).map((folder) => join(folder, name));
  const path = (controller: Controller, file: string): string => join(place.folders[controller] ?? "", name, file);
  const members = (): readonly number[] => [
    ...new Set(folders.flatMap((folder) => read(join(folder, "cgroup.procs")).split("\n").filter(Boolean).map(Number))),
  ];
  return {
    enter(pid) {
      try {
        for (const folder of folders) write(join(folder, "cgroup.procs"), String(pid));
      } catch (error) {
        throw unusable("entered", error);
      }
    },
    members,
    kill() {
      if (place.version === 2 && attempt(() => write(path("memory", "cgroup.kill"), "1"))) return;
      for (const pid of members()) attempt(() => process.kill(pid, "SIGKILL"));
    },
    counts: () => ({
      memoryKills: count(
        read(path("memory", place.version === 2 ? "memory.events" : "memory.oom_control")),
        "oom_kill",
      ),
      tasksRefused: count(read(path("pids", "pids.events")), "max"),
    }),
    remove: () => folders.map(removeFolder).every(Boolean),
  };
}

function foldersOf({ folders }: Place): readonly string[] {
  return [...new Set(Object.values(folders))];
}

function settings(version: 1 | 2, limits: GroupLimits): readonly (readonly [Controller, string, string])[] {
  const bytes = String(limits.memoryBytes);
  const quota = limits.processors === undefined ? null : String(Math.round(limits.processors * PERIOD_US));
  const tasks = ["pids", "pids.max", String(limits.tasks)] as const;
  if (version === 1) {
    return [
      ["memory", "memory.limit_in_bytes", bytes],
      ["memory", "memory.memsw.limit_in_bytes", bytes],
      tasks,
      ...(quota === null
        ? []
        : ([
            ["cpu", "cpu.cfs_period_us", String(PERIOD_US)],
            ["cpu", "cpu.cfs_quota_us", quota],
          ] as const)),
    ];
  }
  return [
    ["memory", "memory.max", bytes],
    ["memory", "memory.swap.max", "0"],
    ["memory", "memory.oom.group", "1"],
    tasks,
    ...(quota === null ? [] : ([["cpu", "cpu.max", `${quota} ${PERIOD_US}`]] as const)),
  ];
}

function unusable(what: string, cause: unknown): SallyportError {
  return new SallyportError("launch_failed", "The kernel's group for the plugin's process is not usable.", {
    detail: `It could not be ${what}; a process outside of it would not be bounded as this host promises.`,
    fix: "Run `sallyport doctor`; restart the owner if the rights on the machine's cgroups changed.",
    cause,
  });
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Never makes a file: what the kernel does not offer is an error. */
function write(path: string, value: string): void {
  const file = openSync(path, constants.O_WRONLY);
  try {
    writeSync(file, value);
  } finally {
    closeSync(file);
  }
}

function attempt(action: () => void): boolean {
  try {
    action();
    return true;
  } catch {
    return false;
  }
}

function count(text: string, name: string): number {
  const line = text.split("\n").find((one) => one.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1) ?? 0);
}

function removeFolder(folder: string): boolean {
  return attempt(() => rmdirSync(folder)) || !existsSync(folder);
}
