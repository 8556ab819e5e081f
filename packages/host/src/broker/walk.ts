import type { Stats } from "node:fs";
import { constants } from "node:fs";
import { type FileHandle, mkdir, open } from "node:fs/promises";
import { PolicyViolationError } from "../kernel/index.ts";

/**
 * Walking a path one name at a time, each below the directory that was just opened and checked, so that nobody can swap
 * a part of it in between. Nodes are opened with O_PATH: looking at a pipe or a device does not touch it.
 * Linux only: `/proc/self/fd/N/name` stands in for openat(2).
 */
const O_PATH = 0o10000000;
const LOOK = O_PATH | constants.O_NOFOLLOW;

export interface Node {
  readonly handle: FileHandle;
  readonly stat: Stats;
}

/** Opens a directory by its absolute path; its last part is no link. */
export async function openRoot(path: string): Promise<Node> {
  const handle = await open(path, LOOK | constants.O_DIRECTORY);
  return { handle, stat: await statOf(handle) };
}

/** What `name` is in a directory. A link is refused, wherever it leads. */
export async function openChild(parent: Node, name: string): Promise<Node> {
  const handle = await open(below(parent, name), LOOK);
  const stat = await statOf(handle);
  if (stat.isFile() || stat.isDirectory()) return { handle, stat };
  await handle.close();
  throw new PolicyViolationError("permission_denied", "The path leads over something that plugins may not touch.", {
    detail: `A part of it is ${kindOf(stat)}; only plain files and directories are served.`,
    fix: "Grant the real path.",
  });
}

async function statOf(handle: FileHandle): Promise<Stats> {
  try {
    return await handle.stat();
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** The path of a name in an opened directory. The name is one segment. */
export function below(parent: Node, name: string): string {
  if (name === "" || name === "." || name === ".." || name.includes("/") || name.includes("\0")) {
    throw new PolicyViolationError("permission_denied", "The path has a part that is no name.");
  }
  return `${self(parent)}/${name}`;
}

/** The very node that was looked at, for opening it to read or write. */
export function self(node: Node): string {
  return `/proc/self/fd/${node.handle.fd}`;
}

export interface WalkOptions {
  /** Throws to refuse a directory on the way, or the end. */
  readonly check: (node: Node) => void;
  /** Given: directories that are missing are made. Called before each; throws to refuse it. */
  readonly create?: (() => Promise<void>) | undefined;
}

/** The node at the end of the names. The caller closes it; those on the way are closed. */
export async function walk(root: Node, names: readonly string[], options: WalkOptions): Promise<Node> {
  let current = root;
  try {
    options.check(current);
    for (const name of names) {
      const next = await childOf(current, name, options.create);
      await current.handle.close();
      current = next;
      options.check(current);
    }
    return current;
  } catch (error) {
    await current.handle.close();
    throw error;
  }
}

async function childOf(parent: Node, name: string, create: WalkOptions["create"]): Promise<Node> {
  try {
    return await openChild(parent, name);
  } catch (error) {
    if (create === undefined || !isErrno(error, "ENOENT")) throw error;
  }
  await create();
  await mkdir(below(parent, name), { mode: 0o700 }).catch((error: unknown) => {
    if (!isErrno(error, "EEXIST")) throw error;
  });
  return openChild(parent, name);
}

export function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}

function kindOf(stat: Stats): string {
  if (stat.isSymbolicLink()) return "a link";
  if (stat.isFIFO()) return "a pipe";
  if (stat.isSocket()) return "a socket";
  return "a device";
}
