import { constants, type Stats } from "node:fs";
import { type FileHandle, lstat, open, opendir } from "node:fs/promises";
import { displayLine, SallyportError, sha256 } from "../kernel/index.ts";
import type { FileLeaf } from "../trust/index.ts";
import type { SourceLimits } from "./limits.ts";
import { collisionKey, nameProblem } from "./names.ts";
import type { Problem } from "./ownership.ts";

/** A file and the very bytes that its digest covers. */
export interface SourceFile extends FileLeaf {
  readonly bytes: Uint8Array;
}

export interface WalkRules {
  readonly limits: SourceLimits;
  /** Names that are not part of the plugin, at every level. */
  readonly skip: (name: string) => boolean;
  /** What is wrong with an entry's owner or mode, or undefined. */
  readonly problem: (stat: Stats) => string | Problem | undefined;
  /** Mode of the leaf, from the mode on disk. */
  readonly mode: (stat: Stats) => number;
}

const O_DIRECTORY_READ = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const O_FILE_READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

interface Folder {
  readonly handle: FileHandle;
  /** Path on disk; only used where the system cannot name an open folder. */
  readonly disk: string;
  /** Path below the root, "" at the root. */
  readonly path: string;
  readonly depth: number;
}

interface Progress {
  readonly files: SourceFile[];
  entries: number;
  bytes: number;
}

/**
 * Reads every file below a folder into memory, each folder through the descriptor of the one above it, so that nothing swapped
 * while reading can lead elsewhere. Only regular files with one name and folders pass.
 * @throws {SallyportError} `source_unsafe`, `source_too_large`, both with `data.file`.
 */
export async function readTree(disk: string, rules: WalkRules): Promise<SourceFile[]> {
  const handle = await openSafely(disk, O_DIRECTORY_READ, "");
  const progress: Progress = { files: [], entries: 0, bytes: 0 };
  try {
    const problem = rules.problem(await handle.stat());
    if (problem !== undefined) throw unsafe("", problem);
    await walk({ handle, disk, path: "", depth: 0 }, rules, progress);
  } finally {
    await handle.close();
  }
  return progress.files;
}

async function walk(folder: Folder, rules: WalkRules, progress: Progress): Promise<void> {
  const seen = new Map<string, string>();
  for (const name of await namesIn(folder, rules, progress)) {
    const path = folder.path === "" ? name : `${folder.path}/${name}`;
    const wrong = nameProblem(name);
    if (wrong !== undefined) throw unsafe(path, wrong);
    const twin = seen.get(collisionKey(name));
    if (twin !== undefined) throw unsafe(path, `has the same name as "${twin}" on some systems`);
    seen.set(collisionKey(name), name);
    if (rules.skip(name)) continue;
    if (Buffer.byteLength(path) > rules.limits.pathBytes) throw tooLarge(path, "path", rules.limits.pathBytes);
    await take(folder, name, path, rules, progress);
  }
}

async function namesIn(folder: Folder, rules: WalkRules, progress: Progress): Promise<string[]> {
  const names: string[] = [];
  for await (const entry of await opendir(nameOf(folder), { bufferSize: 256 })) {
    progress.entries++;
    if (progress.entries > 2 * rules.limits.files) throw tooLarge(folder.path, "entries", 2 * rules.limits.files);
    names.push(entry.name);
  }
  return names.toSorted();
}

async function take(folder: Folder, name: string, path: string, rules: WalkRules, progress: Progress): Promise<void> {
  const disk = `${nameOf(folder)}/${name}`;
  const before = await lstat(disk);
  if (!before.isFile() && !before.isDirectory()) throw unsafe(path, `is ${kindOf(before)}`);
  const handle = await openSafely(disk, before.isDirectory() ? O_DIRECTORY_READ : O_FILE_READ, path);
  try {
    const stat = await handle.stat();
    const problem = rules.problem(stat);
    if (problem !== undefined) throw unsafe(path, problem);
    if (stat.isDirectory()) {
      if (folder.depth >= rules.limits.depth) throw tooLarge(path, "depth", rules.limits.depth);
      await walk({ handle, disk: `${folder.disk}/${name}`, path, depth: folder.depth + 1 }, rules, progress);
      return;
    }
    if (!stat.isFile()) throw unsafe(path, `is ${kindOf(stat)}`);
    if (stat.nlink !== 1) throw unsafe(path, "has more than one name (a hard link)");
    if (progress.files.length >= rules.limits.files) throw tooLarge(path, "files", rules.limits.files);
    const bytes = await readExactly(handle, stat, path, rules.limits.fileBytes);
    progress.bytes += bytes.length;
    if (progress.bytes > rules.limits.totalBytes) throw tooLarge(path, "totalBytes", rules.limits.totalBytes);
    progress.files.push({ path, mode: rules.mode(stat), size: bytes.length, sha256: sha256(bytes), bytes });
  } finally {
    await handle.close();
  }
}

/** @throws {SallyportError} when the file is over `limit` bytes, or is not the file that `stat` described when it was read. */
export async function readExactly(handle: FileHandle, stat: Stats, path: string, limit: number): Promise<Uint8Array> {
  if (stat.size > limit) throw tooLarge(path, "fileBytes", limit);
  const buffer = Buffer.alloc(stat.size + 1);
  let length = 0;
  while (length < buffer.length) {
    const { bytesRead } = await handle.read(buffer, length, buffer.length - length, length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  const after = await handle.stat();
  if (length !== stat.size || after.mtimeMs !== stat.mtimeMs || after.ctimeMs !== stat.ctimeMs) {
    throw unsafe(path, "changed while it was read");
  }
  return buffer.subarray(0, length);
}

async function openSafely(disk: string, flags: number, path: string): Promise<FileHandle> {
  try {
    return await open(disk, flags);
  } catch (error) {
    throw unsafe(path, `cannot be opened (${codeOf(error)})`, error);
  }
}

/** Opens a regular file without following a link at its end. @throws {SallyportError} `source_unsafe`. */
export function openFile(disk: string, path: string): Promise<FileHandle> {
  return openSafely(disk, O_FILE_READ, path);
}

function nameOf(folder: Folder): string {
  return process.platform === "linux" ? `/proc/self/fd/${folder.handle.fd}` : folder.disk;
}

function kindOf(stat: Stats): string {
  if (stat.isSymbolicLink()) return "a symbolic link";
  if (stat.isFIFO()) return "a named pipe";
  if (stat.isSocket()) return "a socket";
  return stat.isDirectory() ? "a folder" : "a device";
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown error";
}

export function unsafe(path: string, wrong: string | Problem, cause?: unknown): SallyportError {
  const shown = path === "" ? "The plugin's root" : `"${displayLine(path)}"`;
  const { problem, ...facts } = typeof wrong === "string" ? { problem: wrong } : wrong;
  return new SallyportError("source_unsafe", `${shown} ${problem}${factsOf(wrong)}.`, {
    detail: "Only files and folders that nobody else can change, and that lead nowhere else, are taken.",
    fix: "Replace links by files, remove special files, and run: chmod -R go-w on the plugin's folder, chown to yourself.",
    data: { file: displayLine(path), problem, ...facts },
    cause,
  });
}

export function factsOf(wrong: string | Problem): string {
  return typeof wrong === "string" ? "" : ` (expected ${wrong.expected}, found ${wrong.actual})`;
}

const LIMIT_WORDS = {
  files: "files",
  entries: "files and folders",
  totalBytes: "bytes in all",
  fileBytes: "bytes in one file",
  depth: "folders deep",
  path: "bytes in one path",
} as const;

function tooLarge(path: string, what: keyof typeof LIMIT_WORDS, limit: number): SallyportError {
  return new SallyportError("source_too_large", `The plugin has more than ${limit} ${LIMIT_WORDS[what]}.`, {
    detail: `The limit was reached at "${displayLine(path)}".`,
    fix: "Take out what the plugin does not need to run; node_modules and .git are left out by themselves.",
    data: { file: displayLine(path), limit },
  });
}
