import { isAbsolute, join, relative, resolve, sep } from "node:path";
import { openLockFile } from "../home/index.ts";
import { displayLine, PolicyViolationError } from "../kernel/index.ts";
import { LOCK_BYTES, LOCK_FILE, type LockEntry, readLock, writeLock } from "../registry/index.ts";

/*
 * The lock of a project lies in its version control, so what it names below the project is written relative to it. It has no
 * seal: whoever reviews the project reviews the lock.
 */

const fileOf = (folder: string) => openLockFile(join(folder, LOCK_FILE), { mode: 0o644, mostBytes: LOCK_BYTES });

/** What a folder's lock pins, with absolute paths. @throws {SallyportError} `lock_mismatch` without a lock, or for a wrong one. */
export async function readLockOf(folder: string): Promise<readonly LockEntry[]> {
  const text = await fileOf(folder).read();
  if (text !== undefined)
    return Object.values(readLock(text).plugins).map((entry) => placed(entry, folder, toAbsolute));
  throw new PolicyViolationError("lock_mismatch", `There is no ${LOCK_FILE} in ${displayLine(folder, 300)}.`, {
    detail: "With --frozen nothing is installed but what it pins.",
    fix: "Write it with: sallyport plugin install SOURCE --project DIR",
    data: { file: LOCK_FILE, field: "file", expected: "a lock", actual: "no file" },
  });
}

/** Pins a version in the place of any other of its id. */
export async function pinInProject(folder: string, entry: LockEntry): Promise<void> {
  const file = fileOf(folder);
  const text = await file.read();
  const others = Object.values(text === undefined ? {} : readLock(text).plugins).filter(({ id }) => id !== entry.id);
  const next = writeLock([...others, placed(entry, folder, toRelative)]);
  if (next === text) return;
  const staged = await file.stage(next);
  await staged.commit();
}

/** What to ask the host for, so that it comes to the very version that is pinned. */
export function specOf(entry: LockEntry): string {
  if (entry.registry === null) return entry.spec;
  const [, name = entry.id] = /^[a-z]+:[^/]+\/(.+)@[^@]+#[^#]*$/.exec(entry.source) ?? [];
  return `${entry.registry}:${name}@${entry.version}`;
}

function placed(entry: LockEntry, folder: string, move: (path: string, folder: string) => string): LockEntry {
  if (entry.registry !== null) return entry;
  const kind = entry.source.slice(0, entry.source.indexOf(":"));
  return {
    ...entry,
    spec: move(entry.spec, folder),
    source: `${kind}:${move(entry.source.slice(kind.length + 1), folder)}`,
  };
}

function toAbsolute(path: string, folder: string): string {
  return isAbsolute(path) ? path : resolve(folder, path);
}

function toRelative(path: string, folder: string): string {
  const below = relative(folder, path);
  const inside = below !== "" && !isAbsolute(below) && below.split(sep)[0] !== "..";
  return inside ? `./${below.split(sep).join("/")}` : path;
}
