import { randomBytes } from "node:crypto";
import { chmod, lstat, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { SallyportError } from "../kernel/index.ts";
import { treeDigest } from "../trust/index.ts";
import { differenceOf, mismatch, readIndex, writeIndex } from "./content-index.ts";
import { SOURCE_LIMITS } from "./limits.ts";
import { readTree, type SourceFile } from "./walk.ts";

export interface ContentStoreOptions {
  /** True when plugins run under another uid than the host's (the host is root): then everyone may read what is stored. */
  readonly readableByAll: boolean;
}

/**
 * Plugins by tree digest. A stored tree is complete or absent, read-only, and never changed; `verify` reads it again.
 * Every digest is `sha256:<64 hex digits>`.
 */
export interface ContentStore {
  /** Where the files of a digest are, or would be. @throws {SallyportError} `usage` for what is no digest. */
  pathOf(digest: string): string;
  has(digest: string): Promise<boolean>;
  /** Stores a tree; `created` is false when it was there already. Leaves nothing behind when it fails. */
  put(
    files: readonly SourceFile[],
  ): Promise<{ readonly digest: string; readonly root: string; readonly created: boolean }>;
  /** Reads every byte again. @throws {SallyportError} `not_found`, `digest_mismatch` with `data.file`, `expected`, `actual`. */
  verify(digest: string): Promise<readonly SourceFile[]>;
  /** Removing what is not there is no error. */
  remove(digest: string): Promise<void>;
  list(): Promise<readonly string[]>;
  /**
   * Removes all but what `keep` names, and what a crash left half written; answers the digests that it removed. `keep` is asked
   * between two changes of the store, never during one.
   */
  gc(keep: () => ReadonlySet<string>): Promise<readonly string[]>;
}

const HEX = /^[0-9a-f]{64}$/;
const STAGING = ".staging-";
const REMOVE = { recursive: true, force: true } as const;

/**
 * Folders keep the owner's right to write: taking it away stops nobody who has the owner's rights, and would make
 * `rm -r` of a home fail for everyone but root.
 */
function modesFor({ readableByAll }: ContentStoreOptions): { folder: number; file: number; executable: number } {
  return readableByAll
    ? { folder: 0o755, file: 0o444, executable: 0o555 }
    : { folder: 0o700, file: 0o400, executable: 0o500 };
}

/** Opens the store below `root`, made if absent, and clears what a crash left half written. One process owns a store. */
export async function createContentStore(root: string, options: ContentStoreOptions): Promise<ContentStore> {
  const modes = modesFor(options);
  await mkdir(root, { recursive: true });
  await chmod(root, modes.folder);
  await clearStaging(root);

  const home = (digest: string): string => join(root, hexOf(digest));
  const pathOf = (digest: string): string => join(home(digest), "files");
  const staging = (): string => join(root, `${STAGING}${randomBytes(16).toString("hex")}`);

  async function write(folder: string, files: readonly SourceFile[]): Promise<void> {
    await mkdir(join(folder, "files"), { recursive: true, mode: 0o700 });
    const folders = new Set([join(folder, "files"), folder]);
    for (const file of files) {
      const path = join(folder, "files", file.path);
      for (let above = dirname(path); !folders.has(above); above = dirname(above)) folders.add(above);
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await writeSynced(path, file.bytes, (file.mode & 0o100) === 0 ? modes.file : modes.executable);
    }
    await writeSynced(join(folder, "index.json"), writeIndex(files), modes.file);
    for (const path of folders) {
      await chmod(path, modes.folder);
      await syncFolder(path);
    }
  }

  async function verify(digest: string): Promise<readonly SourceFile[]> {
    if (!(await has(digest))) {
      throw new SallyportError("not_found", "The plugin's files are not in the store.", {
        fix: "Install the plugin again.",
        data: { digest },
      });
    }
    const expected = await readIndex(join(home(digest), "index.json"), digest);
    const files = await readTree(pathOf(digest), {
      limits: { ...SOURCE_LIMITS, files: SOURCE_LIMITS.files + 1, totalBytes: 2 * SOURCE_LIMITS.totalBytes },
      skip: () => false,
      problem: (stat) =>
        stat.isFile() || (stat.mode & 0o777) === modes.folder
          ? undefined
          : `has mode ${octal(stat.mode)}, not ${octal(modes.folder)}`,
      mode: (stat) => leafMode(stat.mode),
    }).catch((error: unknown) => {
      throw unreadable(digest, error);
    });
    const difference = differenceOf(expected, files);
    if (difference !== undefined) throw mismatch(digest, difference.file, difference.expected, difference.actual);
    if (treeDigest(files) !== digest) throw mismatch(digest, "", digest, treeDigest(files));
    return files;
  }

  /** Any mode but the two that were written has no leaf mode of ours, so that the comparison fails. */
  function leafMode(mode: number): number {
    const bits = mode & 0o7777;
    if (bits === modes.file) return 0o644;
    return bits === modes.executable ? 0o755 : bits | 0o10000;
  }

  async function has(digest: string): Promise<boolean> {
    return lstat(home(digest)).then(
      (stat) => stat.isDirectory(),
      () => false,
    );
  }

  async function put(files: readonly SourceFile[]): ReturnType<ContentStore["put"]> {
    const digest = treeDigest(files);
    const stored = { digest, root: pathOf(digest) };
    if (await isIntact(digest)) return { ...stored, created: false };
    const folder = staging();
    try {
      await write(folder, files);
      await moveAway(digest);
      await rename(folder, home(digest));
      await syncFolder(root);
      return { ...stored, created: true };
    } finally {
      await rm(folder, REMOVE);
    }
  }

  async function isIntact(digest: string): Promise<boolean> {
    return verify(digest).then(
      () => true,
      () => false,
    );
  }

  /** In one step, so that a crash never leaves half a tree under its digest. */
  async function moveAway(digest: string): Promise<void> {
    const away = staging();
    try {
      await rename(home(digest), away);
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return;
      throw error;
    }
    await rm(away, REMOVE);
  }

  async function list(): Promise<string[]> {
    return (await readdir(root))
      .filter((name) => HEX.test(name))
      .map((name) => `sha256:${name}`)
      .toSorted();
  }

  async function gc(keep: () => ReadonlySet<string>): Promise<readonly string[]> {
    await clearStaging(root);
    const present = await list();
    const kept = keep();
    const removed = present.filter((digest) => !kept.has(digest));
    for (const digest of removed) await moveAway(digest);
    return removed;
  }

  const inTurn = createQueue();
  return {
    pathOf,
    has,
    verify,
    list,
    put: (files) => inTurn(() => put(files)),
    remove: (digest) => inTurn(() => moveAway(digest)),
    gc: (keep) => inTurn(() => gc(keep)),
  };
}

/** What a crash left: nothing is being written now. */
async function clearStaging(root: string): Promise<void> {
  for (const name of await readdir(root)) if (name.startsWith(STAGING)) await rm(join(root, name), REMOVE);
}

/** One change of the store after the other, so that two installs of one tree never remove each other's. */
function createQueue(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const mine = last.then(work, work);
    last = mine;
    return mine;
  };
}

function hexOf(digest: string): string {
  const hex = digest.replace(/^sha256:/, "");
  if (digest === `sha256:${hex}` && HEX.test(hex)) return hex;
  throw new SallyportError("usage", "This is no digest.", {
    detail: "A digest is sha256: and 64 hexadecimal digits.",
    fix: "Take the digest from plugin list.",
  });
}

async function writeSynced(path: string, bytes: Uint8Array, mode: number): Promise<void> {
  const handle = await open(path, "wx", 0o600);
  try {
    await handle.writeFile(bytes);
    await handle.chmod(mode);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function unreadable(digest: string, error: unknown): SallyportError {
  const [file, why] =
    error instanceof SallyportError ? [error.data["file"], error.message] : ["", "a file that cannot be read"];
  return mismatch(digest, typeof file === "string" ? file : "", "the tree as installed", why, error);
}

function octal(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, "0");
}
