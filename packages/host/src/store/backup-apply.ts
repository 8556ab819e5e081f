import { cp, lstat, mkdir, mkdtemp, open, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { SallyportError } from "../kernel/index.ts";

/** A restore that is complete but not yet all in its place. While it is there, no host opens the home. */
const READY = ".restore-ready";
const STAGING = ".restore-";
const LOCK = "plugin.lock.json";
const NEW = "new";
const OLD = "old";
/** Beside the name of a part: the restored home has none. */
const ABSENT = ".absent";
const ALL = { recursive: true, force: true } as const;

/** What a restore replaces as a whole, the database last: once that is in its place, all is. */
const PARTS = ["vault", "keys", "config.yml", LOCK, "data", "state.db"] as const;

/** An empty folder of the home for work that may be thrown away, on the same disk. */
export async function stagingFolder(home: string): Promise<string> {
  await clearStaging(home);
  return mkdtemp(join(home, STAGING));
}

/** What a restore or a backup that was cut short left. It never counted. */
export async function clearStaging(home: string): Promise<void> {
  for (const name of await readdir(home)) {
    if (name.startsWith(STAGING) && name !== READY) await rm(join(home, name), ALL);
  }
}

export async function removeStaging(folder: string): Promise<void> {
  await rm(folder, ALL);
}

/** @throws {SallyportError} `restore_unfinished`. */
export async function assertNoRestore(home: string): Promise<void> {
  if (!(await exists(join(home, READY)))) return;
  throw new SallyportError("restore_unfinished", "A restore of this home was cut short.", {
    detail: "It is complete and has to be put in its place before anything starts.",
    fix: "Run: sallyport restore --resume",
  });
}

/** From here on the restore counts: a crash before leaves the old home, a crash after is finished by `applyRestore`. */
export async function commitRestore(home: string, folder: string): Promise<void> {
  await mkdir(join(folder, "data"), { recursive: true, mode: 0o700 });
  // Without one the host would compare what is installed with the lock of another home.
  if (!(await exists(join(folder, LOCK)))) await (await open(join(folder, `${LOCK}${ABSENT}`), "w", 0o600)).close();
  await syncTree(folder);
  const whole = await mkdtemp(join(home, STAGING));
  await rename(folder, join(whole, NEW));
  await mkdir(join(whole, OLD));
  await syncFolder(whole);
  await rename(whole, join(home, READY));
  await syncFolder(home);
}

/**
 * Puts a committed restore in its place; can be cut short and begun again at any step. Keys are added to those of the home, all
 * else is replaced.
 * @throws {SallyportError} `not_found` when there is none.
 */
export async function applyRestore(home: string, onStep: (step: string) => void = () => undefined): Promise<void> {
  const ready = join(home, READY);
  if (!(await exists(ready))) {
    throw new SallyportError("not_found", "There is no restore to finish here.", {
      fix: "Run: sallyport restore FILE",
    });
  }
  for (const part of PARTS) {
    onStep(part);
    if (part === "keys") await addKeys(join(ready, NEW, part), join(home, part));
    else await replace(ready, home, part);
  }
  await syncFolder(home);
  onStep("done");
  await rm(ready, ALL);
  await syncFolder(home);
}

/** What is not in the restore (any more) was moved before a crash, or stays as it is. */
async function replace(ready: string, home: string, part: string): Promise<void> {
  const [fresh, place] = [join(ready, NEW, part), join(home, part)];
  if (await exists(`${fresh}${ABSENT}`)) await rm(place, { force: true });
  if (!(await exists(fresh))) return;
  if (part === "state.db") for (const tail of ["-wal", "-shm"]) await rm(`${place}${tail}`, { force: true });
  if (await isFolder(place)) {
    await rm(join(ready, OLD, part), ALL);
    await rename(place, join(ready, OLD, part));
  }
  await rename(fresh, place);
}

async function addKeys(from: string, to: string): Promise<void> {
  if (!(await exists(from))) return;
  await mkdir(to, { recursive: true, mode: 0o700 });
  for (const name of await readdir(from)) await rename(join(from, name), join(to, name));
  await syncFolder(to);
}

/** Copies regular files and folders, and nothing else. What is not there is left out. */
export async function copyInto(folder: string, name: string, from: string): Promise<void> {
  if (!(await exists(from))) return;
  await mkdir(dirname(join(folder, name)), { recursive: true, mode: 0o700 });
  await cp(from, join(folder, name), {
    recursive: true,
    errorOnExist: true,
    force: false,
    filter: async (path) => {
      const stat = await lstat(path).catch(() => undefined);
      return stat !== undefined && (stat.isFile() || stat.isDirectory());
    },
  });
}

async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await syncTree(path);
    else await syncFolder(path);
  }
  await syncFolder(folder);
}

/** A file, too: what is written to it is on disk after that. */
async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}

async function isFolder(path: string): Promise<boolean> {
  return lstat(path).then(
    (stat) => stat.isDirectory(),
    () => false,
  );
}
