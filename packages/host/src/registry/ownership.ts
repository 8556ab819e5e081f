import type { Stats } from "node:fs";
import { readFile } from "node:fs/promises";
import { SallyportError } from "../kernel/index.ts";

/** Whose files are trusted not to change under us. */
export interface Ownership {
  readonly uid: number;
  /** Whether nobody but this user (and root) is in the group: then group-writable is no wider than user-writable. */
  readonly isPrivateGroup: (gid: number) => boolean;
}

/**
 * The ownership of this process. Many systems give each user a group of their own and a umask of 002, so that every clone is
 * group-writable; such a group is recognised in /etc/group and /etc/passwd, any other counts as strangers.
 * @throws {SallyportError} `source_unsafe` where the system has no user ids: what cannot be checked is refused.
 */
export async function currentOwnership(): Promise<Ownership> {
  const uid = process.geteuid?.();
  if (uid === undefined) {
    throw new SallyportError("source_unsafe", "Owners of files cannot be checked on this system.", {
      detail: "A directory that others may write to could change after it was approved.",
      fix: "Install from Linux, macOS or WSL2.",
    });
  }
  const [groups, users] = await Promise.all([readOrEmpty("/etc/group"), readOrEmpty("/etc/passwd")]);
  const gid = privateGroupOf(uid, groups, users);
  return { uid, isPrivateGroup: (candidate) => candidate === gid };
}

/**
 * The id of the group that has the user's name, no other member, and is no other user's primary group. Undefined also for a user
 * without an entry, as in many containers.
 */
export function privateGroupOf(uid: number, groupFile: string, passwdFile: string): number | undefined {
  const users = passwdFile.split("\n").map((line) => line.split(":"));
  const user = users.find((fields) => fields[2] === String(uid))?.[0];
  const groups = groupFile.split("\n").map((line) => line.split(":"));
  const [group, ...more] = groups.filter(([name]) => name === user);
  const [, , gid, members] = group ?? [];
  if (user === undefined || more.length > 0 || gid === undefined || !/^\d+$/.test(gid)) return undefined;
  if (groups.filter((other) => other[2] === gid).length !== 1) return undefined;
  const strangers = (members ?? "").split(",").some((member) => member !== "" && member !== user);
  const shared = users.some(([name, , , primary]) => primary === gid && name !== user);
  return strangers || shared ? undefined : Number(gid);
}

/** What is wrong with a file or folder, and what a sound one has there. */
export interface Problem {
  readonly problem: string;
  readonly expected: string;
  readonly actual: string;
}

/** What is wrong with the owner or mode of a file or folder inside the plugin's root, or undefined. */
export function unsafeInside(stat: Stats, owner: Ownership): Problem | undefined {
  if (stat.uid !== owner.uid && stat.uid !== 0) return foreign(stat, owner);
  const mode = (problem: string): Problem => ({ problem, expected: "go-w", actual: octal(stat.mode) });
  if ((stat.mode & 0o002) !== 0) return mode("may be written by anyone");
  if ((stat.mode & 0o020) !== 0 && !owner.isPrivateGroup(stat.gid))
    return mode("may be written by a group of other users");
  if (stat.isFile() && (stat.mode & 0o6000) !== 0)
    return { problem: "runs as its owner or group, whoever starts it", expected: "ug-s", actual: octal(stat.mode) };
  return undefined;
}

/**
 * The same for a folder above the root. One with the sticky bit, such as /tmp, may be written by others: they can add to it but
 * not rename or replace what belongs to the user or root.
 */
export function unsafeAbove(stat: Stats, owner: Ownership): Problem | undefined {
  const sticky = (stat.mode & 0o1000) !== 0;
  if (!sticky) return unsafeInside(stat, owner);
  return stat.uid !== owner.uid && stat.uid !== 0 ? foreign(stat, owner) : undefined;
}

function foreign(stat: Stats, owner: Ownership): Problem {
  const expected = owner.uid === 0 ? "uid 0" : `uid ${owner.uid} or 0`;
  return { problem: "belongs to another user", expected, actual: `uid ${stat.uid}` };
}

function octal(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, "0");
}

async function readOrEmpty(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch {
    return "";
  }
}
