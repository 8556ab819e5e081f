import { createHash, randomBytes } from "node:crypto";
import { chmod, chown, lstat, mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { SallyportError, toSallyportError } from "../kernel/index.ts";
import { CODE_CACHE_FILES } from "./deno-command.ts";
import { NOBODY } from "./namespace.ts";

/** A smaller bundle gains nothing. */
const LEAST_BUNDLE_BYTES = 100_000;
const MOST_BYTES = 16 * 1024 * 1024;
const DRAFT = ".filling-";
const REMOVE = { recursive: true, force: true } as const;

export interface CodeCacheOptions {
  /** True when plugins run as nobody: then what is kept is readable by all, and a draft is nobody's. */
  readonly hostIsRoot: boolean;
  /** Which engine, on which machine: another one's cache is not used. */
  readonly engine: string;
  readonly marks: CodeCacheMarks;
}

/** What a cache was when it was made, kept where nobody but the host writes. */
export interface CodeCacheMarks {
  get(digest: string): Promise<string | null>;
  /** Null forgets it. */
  set(digest: string, mark: string | null): Promise<void>;
}

/**
 * What the engine keeps of compiled code, one folder for each tree digest. It is the plugin's own word: written inside its
 * walls, never read by the host, and only ever shown, read-only, to processes of exactly these bytes.
 */
export interface CodeCaches {
  /**
   * The folder to show to a start, made by `fill` when there is none; null: start without, for the bundle is small, another start fills it
   * now, or filling failed, which is tried once in the life of this host. Never throws.
   * @param fill runs processes that write into the files of the draft it is given, and ends them.
   * @param onProblem told once when filling failed.
   */
  obtain(
    digest: string,
    bundle: string,
    fill: (draft: string) => Promise<void>,
    onProblem: (why: string) => void,
  ): Promise<string | null>;
  /** After a start with the cache failed: removes it, and makes no other in the life of this host. Never throws. */
  giveUp(digest: string): Promise<void>;
  /** Removing what is not there is no error. */
  remove(digest: string): Promise<void>;
  /** Removes all but what `keep` names, what other engines left, and what a crash left half written. */
  gc(keep: ReadonlySet<string>): Promise<void>;
}

/** Caches below `root`, made when the first one is. */
export function createCodeCaches(root: string, { hostIsRoot, engine, marks }: CodeCacheOptions): CodeCaches {
  const failed = new Set<string>();
  const filling = new Set<string>();
  /** Names that do not follow from anything are hidden from other processes of the same user. */
  const modes = hostIsRoot ? { root: 0o711, folder: 0o755, file: 0o444 } : { root: 0o700, folder: 0o700, file: 0o400 };
  const above = (digest: string): string => join(root, nameOf(digest));
  const placeOf = (digest: string): string => join(above(digest), engine);

  async function make(digest: string, fill: (draft: string) => Promise<void>): Promise<void> {
    await mkdir(root, { recursive: true });
    await chmod(root, modes.root);
    const draft = join(root, `${DRAFT}${randomBytes(16).toString("hex")}`);
    try {
      await mkdir(draft);
      await chmod(draft, modes.folder);
      for (const name of CODE_CACHE_FILES) await prepare(draft, name);
      await fill(draft);
      await seal(draft);
      await mkdir(above(digest), { recursive: true });
      await chmod(above(digest), modes.folder);
      await marks.set(digest, await markOf(draft));
      await rename(draft, placeOf(digest));
    } finally {
      await rm(draft, REMOVE);
    }
  }

  /** The engine finds every file that it would make: inside there is no place to make one. */
  async function prepare(draft: string, name: string): Promise<void> {
    const handle = await open(join(draft, name), "wx", 0o600);
    try {
      if (!name.includes("-")) await handle.writeFile(emptyDatabase());
      if (hostIsRoot) await handle.chown(NOBODY, NOBODY);
    } finally {
      await handle.close();
    }
  }

  async function seal(draft: string): Promise<void> {
    let bytes = 0;
    const names = await readdir(draft);
    if (names.length !== CODE_CACHE_FILES.length) throw odd("it has other files than it was given");
    for (const name of CODE_CACHE_FILES) {
      const path = join(draft, name);
      const info = await lstat(path);
      if (!info.isFile() || info.nlink !== 1) throw odd("it has something that is no plain file");
      if (info.size === 0) throw odd("the engine kept nothing");
      bytes += info.size;
      if (bytes > MOST_BYTES) throw odd(`it is larger than ${MOST_BYTES} bytes`);
    }
    for (const name of CODE_CACHE_FILES) {
      const path = join(draft, name);
      if (hostIsRoot) await chown(path, 0, 0);
      await chmod(path, modes.file);
      await sync(path);
    }
    await sync(draft);
  }

  /** Whether it is what was made: code could be put into a cache without changing a byte of the plugin. */
  async function isIntact(digest: string): Promise<boolean> {
    const mark = await markOf(placeOf(digest)).catch(() => null);
    return mark !== null && mark === (await marks.get(digest));
  }

  async function remove(digest: string): Promise<void> {
    await rm(above(digest), REMOVE);
    if ((await marks.get(digest)) !== null) await marks.set(digest, null);
  }

  return {
    async obtain(digest, bundle, fill, onProblem) {
      try {
        if (failed.has(digest) || filling.has(digest)) return null;
        if (await isIntact(digest)) return placeOf(digest);
        if ((await stat(bundle)).size < LEAST_BUNDLE_BYTES) return null;
        filling.add(digest);
        await remove(digest);
        await make(digest, fill);
        return placeOf(digest);
      } catch (thrown) {
        const error = toSallyportError(thrown);
        if (error.code !== "cancelled") {
          failed.add(digest);
          onProblem(error.detail ?? error.message);
        }
        return null;
      } finally {
        filling.delete(digest);
      }
    },
    async giveUp(digest) {
      failed.add(digest);
      // What cannot be removed is not used either, and no reason to hide why the start failed.
      await remove(digest).catch(() => undefined);
    },
    remove,
    async gc(keep) {
      const kept = new Set([...keep].map(nameOf));
      for (const name of await readdir(root).catch(() => [])) {
        if (name.startsWith(DRAFT) && filling.size > 0) continue;
        if (!kept.has(name)) await (isName(name) ? remove(`sha256:${name}`) : rm(join(root, name), REMOVE));
        else {
          for (const other of await readdir(join(root, name)))
            if (other !== engine) await rm(join(root, name, other), REMOVE);
        }
      }
    },
  };
}

/** An empty SQLite database whose journal is a write-ahead log, so that no other kind of journal is ever made. */
function emptyDatabase(): Buffer {
  const page = Buffer.alloc(4096);
  page.write("SQLite format 3\0", 0, "latin1");
  page.writeUInt16BE(page.length, 16);
  // Written and read as with a write-ahead log; then the payload fractions, which are constants.
  page.set([2, 2, 0, 64, 32, 32], 18);
  // Change counter, pages, schema format, UTF-8, change counter of the version, version.
  for (const [at, value] of [
    [24, 1],
    [28, 1],
    [44, 4],
    [56, 1],
    [92, 1],
    [96, 3_040_000],
  ] as const)
    page.writeUInt32BE(value, at);
  // A leaf of the schema's table without cells.
  page[100] = 13;
  page.writeUInt16BE(page.length, 105);
  return page;
}

/** Digest of all that is shown to a process. */
async function markOf(folder: string): Promise<string> {
  const hash = createHash("sha256");
  for (const name of CODE_CACHE_FILES) {
    const bytes = await readFile(join(folder, name));
    hash.update(`${name} ${bytes.length}\n`).update(bytes);
  }
  return hash.digest("hex");
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function nameOf(digest: string): string {
  const name = digest.replace(/^sha256:/, "");
  if (isName(name)) return name;
  throw new SallyportError("internal", "This is no digest.");
}

const isName = (name: string): boolean => /^[0-9a-f]{64}$/.test(name);

function odd(why: string): SallyportError {
  return new SallyportError("load_failed", "The cache of compiled code was not kept.", { detail: why });
}
