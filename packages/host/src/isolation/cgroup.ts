import { spawn } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { SallyportError, toSallyportError } from "../kernel/index.ts";
import { type ControlGroup, groupAt, type GroupLimits, makeGroup } from "./cgroup-group.ts";
import { type Place, placesFor } from "./cgroup-place.ts";
import { makeRoom } from "./cgroup-room.ts";
import { isAlive, startTimeOf } from "./process-tree.ts";

/** Makes groups of the kernel's, one for each plugin process. */
export interface ControlGroups {
  readonly version: 1 | 2;
  /** Whether a group can bound the processors that a plugin uses. */
  readonly processors: boolean;
  /** @throws {SallyportError} `launch_failed`. */
  make(limits: GroupLimits): ControlGroup;
}

export type ControlGroupReport =
  | { readonly available: true; readonly detail: string }
  | { readonly available: false; readonly reason: string; readonly fix: string };

export interface ControlGroupProbe {
  readonly groups: ControlGroups | null;
  readonly report: ControlGroupReport;
}

export interface ControlGroupOptions {
  readonly hostIsRoot: boolean;
  /** The user that plugins run as when the host is root. */
  readonly nobody: number;
  /** A program that waits for its input to end; something has to be moved to know that moving works. */
  readonly waiting: string;
  /** Instead of what /proc says. */
  readonly places?: readonly Place[];
}

const TRIAL: GroupLimits = { memoryBytes: 256 * 1024 * 1024, tasks: 16 };
const PREFIX = "sallyport-";
const FIX =
  "Start the owner in a group of its own that is delegated to you: `systemd-run --user --scope -p Delegate=yes sallyport start`; in a container, mount /sys/fs/cgroup writable.";

/**
 * Finds out by trying whether groups can be made, bounded and entered here, and removes groups that a host which was
 * killed has left. Groups that were not made by Sallyport are never touched.
 */
export async function probeControlGroups(options: ControlGroupOptions): Promise<ControlGroupProbe> {
  const places = options.places ?? placesFor(text("/proc/self/mountinfo"), text("/proc/self/cgroup"));
  const own = places.find(({ version }) => version === 2);
  if (own !== undefined) makeRoom(own, process.pid);
  const reasons: string[] = [];
  for (const place of places) {
    try {
      await removeLeftovers(place);
      await enterForTrial(place, options);
      const processors = boundsProcessors(place);
      return found({ version: place.version, processors, make: maker(processors ? place : withoutProcessors(place)) });
    } catch (error) {
      reasons.push(reasonOf(error, place));
    }
  }
  const [reason = "This machine has no cgroup hierarchy with memory and pids."] = reasons;
  return { groups: null, report: { available: false, reason, fix: FIX } };
}

function found(groups: ControlGroups): ControlGroupProbe {
  const exact = groups.processors ? "memory, tasks and processors" : "memory and tasks";
  return {
    groups,
    report: { available: true, detail: `cgroup v${groups.version}: ${exact} are bounded exactly, by the kernel` },
  };
}

let made = 0;

/** `sallyport-NAMESPACE-PID-STARTTIME-NUMBER`: whose it is, for hosts that share a hierarchy. */
function newName(): string {
  return `${PREFIX}${pidNamespace()}-${process.pid}-${startTimeOf(process.pid) ?? 0}-${made++}`;
}

function pidNamespace(): string {
  return /\d+/.exec(readlinkSync("/proc/self/ns/pid"))?.[0] ?? "0";
}

/** With the controller of processors, even when nothing bounds them: a group's threads share its part, however many they are. */
function maker(place: Place): (limits: GroupLimits) => ControlGroup {
  return (limits) => makeGroup(place, newName(), limits);
}

function withoutProcessors({ version, folders: { cpu: _cpu, ...folders } }: Place): Place {
  return { version, folders };
}

async function enterForTrial(place: Place, { waiting, hostIsRoot, nobody }: ControlGroupOptions): Promise<void> {
  const group = maker(withoutProcessors(place))(TRIAL);
  const user = hostIsRoot ? { uid: nobody, gid: nobody } : {};
  const child = spawn(waiting, [], { env: {}, cwd: "/", stdio: ["pipe", "ignore", "ignore"], ...user });
  const closed = new Promise((resolve) => child.once("close", resolve).once("error", resolve));
  try {
    if (child.pid === undefined) throw new SallyportError("launch_failed", "A test process did not start.");
    group.enter(child.pid);
    if (!group.members().includes(child.pid)) throw new SallyportError("launch_failed", "A test process is not in it.");
  } finally {
    child.kill("SIGKILL");
    await closed;
    await gone(group);
  }
}

function boundsProcessors(place: Place): boolean {
  if (place.folders.cpu === undefined) return false;
  try {
    maker(place)({ ...TRIAL, processors: 1 }).remove();
    return true;
  } catch {
    return false;
  }
}

const POLL_MS = 5;
const POLLS = 200;

/** Removes a group that is empty, or becomes so. */
export async function gone(group: ControlGroup): Promise<boolean> {
  for (let tries = 0; tries < POLLS; tries++) {
    if (group.remove()) return true;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return false;
}

/** Groups of hosts that are gone, seen from the same pid namespace: what is in them is ended. */
async function removeLeftovers(place: Place): Promise<void> {
  const own = new RegExp(`^${PREFIX}${pidNamespace()}-(\\d+)-(\\d+)-\\d+$`);
  const names = new Set(Object.values(place.folders).flatMap(entries));
  for (const name of names) {
    const [, pid, startTime] = own.exec(name) ?? [];
    if (pid === undefined || startTime === undefined || isAlive({ pid: Number(pid), startTime })) continue;
    const group = groupAt(place, name);
    group.kill();
    await gone(group);
  }
}

function entries(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function reasonOf(error: unknown, { version }: Place): string {
  const { message, detail, cause } = toSallyportError(error);
  const code = cause instanceof Error && "code" in cause ? ` (${String(cause.code)})` : "";
  return `cgroup v${version} is there and cannot be used${code}: ${detail ?? message}`;
}

function text(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
