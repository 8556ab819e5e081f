import { dirname, join } from "node:path";

export type Controller = "memory" | "pids" | "cpu";

/** Where groups can be made: with version 1 a folder for each controller, with version 2 the same folder for all. */
export interface Place {
  readonly version: 1 | 2;
  readonly folders: Readonly<Partial<Record<Controller, string>>>;
}

interface Mount {
  readonly version: 1 | 2;
  /** The part of the hierarchy that is mounted. */
  readonly root: string;
  readonly point: string;
  readonly options: readonly string[];
}

/**
 * Folders below which this process may find room for groups of its own, best first: its own group, so that whatever
 * bounds the host bounds its plugins too; with version 2 also the groups around it, since a group with processes in it
 * can have no children that are bounded.
 * @param mountinfo the text of /proc/self/mountinfo
 * @param membership the text of /proc/self/cgroup
 */
export function placesFor(mountinfo: string, membership: string): readonly Place[] {
  const mounts = mountinfo.split("\n").flatMap((line) => readMount(line) ?? []);
  const own = readMembership(membership);
  return [...versionOne(mounts, own), ...versionTwo(mounts, own)];
}

function versionOne(mounts: readonly Mount[], own: ReadonlyMap<string, string>): readonly Place[] {
  const folderOf = (controller: Controller): string | null => {
    const mount = mounts.find(({ version, options }) => version === 1 && options.includes(controller));
    return mount === undefined ? null : inside(mount, own.get(controller));
  };
  const [memory, pids, cpu] = [folderOf("memory"), folderOf("pids"), folderOf("cpu")];
  if (memory === null || pids === null) return [];
  return [{ version: 1, folders: { memory, pids, ...(cpu === null ? {} : { cpu }) } }];
}

function versionTwo(mounts: readonly Mount[], own: ReadonlyMap<string, string>): readonly Place[] {
  const mount = mounts.find(({ version }) => version === 2);
  const start = mount === undefined ? null : inside(mount, own.get(""));
  if (mount === undefined || start === null) return [];
  const places: Place[] = [];
  for (let at = start; ; at = dirname(at)) {
    places.push({ version: 2, folders: { memory: at, pids: at, cpu: at } });
    if (at === mount.point) return places;
  }
}

/** `31 23 0:28 ROOT POINT rw,relatime … - cgroup SOURCE rw,memory`. */
function readMount(line: string): Mount | null {
  const [before = "", after = ""] = line.split(" - ");
  const [, , , root, point] = before.split(" ");
  const [type, , options = ""] = after.split(" ");
  if (root === undefined || point === undefined || (type !== "cgroup" && type !== "cgroup2")) return null;
  return {
    version: type === "cgroup" ? 1 : 2,
    root: unescape(root),
    point: unescape(point),
    options: options.split(","),
  };
}

/** The kernel writes space, tab, newline and backslash of a path as three octal digits. */
function unescape(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

/** Lines `4:memory,other:/path`; version 2 has no name. */
function readMembership(text: string): ReadonlyMap<string, string> {
  const own = new Map<string, string>();
  for (const line of text.split("\n")) {
    const match = /^\d+:([^:]*):(\/.*)$/.exec(line);
    for (const name of match?.[1]?.split(",") ?? []) own.set(name, match?.[2] ?? "/");
  }
  return own;
}

/** Null when the group lies outside of what is mounted here. */
function inside({ root, point }: Mount, path: string | undefined): string | null {
  if (path === undefined || path.split("/").includes("..")) return null;
  if (root === "/") return join(point, path).replace(/(?<=.)\/$/, "");
  if (path === root) return point;
  return path.startsWith(`${root}/`) ? join(point, path.slice(root.length)) : null;
}
