import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { open, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { displayLine, SallyportError } from "../kernel/index.ts";
import { readExactly, unsafe } from "./walk.ts";

/** Where the lock of a registry's folder lies while its index is written. */
const LOCK_FILE = ".registry.lock";
const ARCHIVE = /\.(?:tgz|tar)$/;

/** Names of the archives in a registry's folder, sorted. @throws {SallyportError} `not_found`. */
export async function listArchives(folder: string): Promise<readonly string[]> {
  const items = await readdir(folder, { withFileTypes: true }).catch((cause: unknown) => {
    throw new SallyportError("not_found", `There is no folder ${displayLine(folder, 500)}.`, {
      fix: "Make it, and put the plugins' archives in it: sallyport plugin publish FILE --to DIR",
      cause,
    });
  });
  return items
    .filter((item) => item.isFile() && ARCHIVE.test(item.name) && !item.name.startsWith("."))
    .map(({ name }) => name)
    .toSorted();
}

/**
 * A small file, or undefined when there is none. The folder may be anybody's: what would make the reader wait, as a named pipe
 * does, or read for ever, is refused.
 * @throws {SallyportError} `source_unsafe`, `source_too_large`.
 */
export async function readSmallFile(path: string, maxBytes: number): Promise<Buffer | undefined> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch(() => undefined);
  if (handle === undefined) return undefined;
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) throw unsafe(basename(path), "is no regular file");
    if (stat.size > maxBytes) throw tooLarge(path, maxBytes);
    const bytes = await readExactly(handle, stat, basename(path), maxBytes);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  } finally {
    await handle.close();
  }
}

const DRAFT = ".part";

/** All of it or nothing, on disk before this resolves, whatever happens meanwhile; a process that is killed may leave a draft. */
export async function writeFileWhole(path: string, bytes: Uint8Array, mode = 0o644): Promise<void> {
  const draft = `${path}.${randomBytes(6).toString("hex")}${DRAFT}`;
  try {
    const handle = await open(draft, "wx", mode);
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, path);
  } finally {
    await rm(draft, { force: true });
  }
  const folder = await open(dirname(path), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** What writers that were killed left in a registry's folder. Only while it is locked. */
async function removeDrafts(folder: string): Promise<void> {
  const drafts = (await readdir(folder)).filter((name) => name.endsWith(DRAFT));
  await Promise.all(drafts.map((name) => rm(join(folder, name), { force: true })));
}

/**
 * Runs `work` while no other process writes in this registry's folder, on what a killed one left tidied.
 * @throws {SallyportError} `conflict` while another one does.
 */
export async function whileLocked<T>(folder: string, work: () => Promise<T>): Promise<T> {
  const path = join(folder, LOCK_FILE);
  await takeLock(path, folder);
  try {
    await removeDrafts(folder);
    return await work();
  } finally {
    await rm(path, { force: true });
  }
}

async function takeLock(path: string, folder: string): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      const handle = await open(path, "wx", 0o644);
      try {
        await handle.writeFile(String(process.pid));
      } finally {
        await handle.close();
      }
      return;
    } catch (cause) {
      const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
      if (code !== "EEXIST") {
        throw new SallyportError("usage", `${displayLine(folder, 500)} cannot be written.`, {
          detail: `The system says ${String(code)}.`,
          fix: "Name a folder that exists and is yours.",
          cause,
        });
      }
      const owner = Number((await readSmallFile(path, 64).catch(() => undefined))?.toString("utf8") ?? "");
      if (attempt > 0 || isAlive(owner)) {
        throw new SallyportError("conflict", "Another process is writing this registry's index.", {
          detail: `Its process id is ${owner || "unknown"}.`,
          fix: `Wait for it. If there is none, remove ${displayLine(path, 500)}.`,
        });
      }
      await rm(path, { force: true });
    }
  }
}

/** A lock whose process was killed is nobody's. One without a number is just being written. */
function isAlive(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return true;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !(error instanceof Error && "code" in error && error.code === "ESRCH");
  }
}

function tooLarge(path: string, maxBytes: number): SallyportError {
  return new SallyportError("source_too_large", `${displayLine(path, 500)} is over ${maxBytes} bytes.`, {
    fix: "This is no file that sallyport registry index wrote.",
  });
}
