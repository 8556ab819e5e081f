import { constants } from "node:fs";
import { lstat, open, realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { PolicyViolationError, SallyportError } from "../kernel/index.ts";
import type { SqliteConnection } from "./database-types.ts";
import { isNeverGrantable } from "./forbidden.ts";
import { below, isErrno, openRoot, self } from "./walk.ts";

/** A database's files as they are now. */
export interface SqlitePlace {
  /** Absolute, without links. */
  readonly file: string;
  readonly log: boolean;
  /** Those of `-wal`, `-shm` and `-journal` that are there. */
  readonly companions: readonly string[];
  readonly owner: { readonly uid: number; readonly gid: number };
  /** Device, inode and kind of all of them: whether a process that was started before still sees the same. */
  readonly identity: string;
}

export interface PlaceOptions {
  readonly write: boolean;
  readonly log: boolean | undefined;
  readonly forbidden: readonly string[];
}

/**
 * Looks at a database's files, and makes the empty ones beside it that SQLite would make itself, since its process can make none.
 * The database is not opened here: whoever closes a file gives up all locks of his process on it, and they may be those of a
 * program that has this host in it.
 * @param log whether the database keeps a write-ahead log; `undefined` when nobody looked yet.
 * @throws {PolicyViolationError} `permission_denied` for a place that no plugin may reach.
 * @throws {SallyportError} `database_failed` for what is no file, or cannot be read.
 */
export async function sqlitePlace(
  connection: SqliteConnection,
  { write, log, forbidden }: PlaceOptions,
): Promise<SqlitePlace> {
  const { file, stat } = await realFile(connection, forbidden);
  try {
    const wal = log ?? (await lstat(`${file}-wal`).catch(absent)) !== undefined;
    const owner = { uid: stat.uid, gid: stat.gid };
    const needed = wal ? ["-wal", "-shm"] : write ? ["-journal"] : [];
    for (const suffix of needed) await ensureFile(`${file}${suffix}`, stat.mode & 0o666, owner);
    const companions: string[] = [];
    const identity = [`${stat.dev}:${stat.ino}:${wal}`];
    for (const suffix of ["-wal", "-shm", "-journal"]) {
      const path = `${file}${suffix}`;
      const found = await lstat(path).catch(absent);
      if (found === undefined) continue;
      if (!found.isFile()) throw failed(connection, `Beside the file, ${basename(path)} is no plain file.`);
      companions.push(path);
      identity.push(`${suffix}:${found.dev}:${found.ino}`);
    }
    return { file, log: wal, companions, owner, identity: identity.join(" ") };
  } catch (error) {
    if (error instanceof SallyportError) throw error;
    throw failed(
      connection,
      "The host cannot read the file, or make the empty files beside it that SQLite needs.",
      error,
    );
  }
}

/** The folder's links are followed, the file itself must be none: who replaces it by a link leads nowhere. */
async function realFile(connection: SqliteConnection, forbidden: readonly string[]) {
  const folder = await realpath(dirname(connection.file)).catch((error: unknown) => {
    throw failed(connection, "Its folder is not there.", error);
  });
  const file = join(folder, basename(connection.file));
  if (isNeverGrantable(file, forbidden)) {
    throw new PolicyViolationError(
      "permission_denied",
      `The connection ${connection.name} names a file that no plugin may reach.`,
      {
        detail: "Sallyport's own files, other plugins' data, credentials and start-up files are never served.",
        fix: `Name another file under databases.${connection.name} in config.yml.`,
      },
    );
  }
  if (file.includes(",")) throw failed(connection, "A path with a comma cannot be served.");
  const stat = await lstat(file).catch(absent);
  if (stat === undefined) throw failed(connection, "The file is not there; Sallyport makes no databases.");
  if (!stat.isFile()) throw failed(connection, `It is ${stat.isSymbolicLink() ? "a link" : "no plain file"}.`);
  return { file, stat };
}

/**
 * Makes an empty file where there is none, in the folder of that real path: the folder's owner may put a link into the way
 * meanwhile, and the host may be root. Exported for its test.
 */
export async function ensureFile(path: string, mode: number, owner: SqlitePlace["owner"]): Promise<void> {
  const folder = await openRoot(dirname(path));
  try {
    if ((await realpath(self(folder))) !== dirname(path)) throw new Error("The folder became another one.");
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    const handle = await open(below(folder, basename(path)), flags, mode).catch((error: unknown) => {
      if (isErrno(error, "EEXIST")) return undefined;
      throw error;
    });
    if (handle === undefined) return;
    try {
      await handle.chmod(mode);
      if (process.getuid?.() === 0) await handle.chown(owner.uid, owner.gid);
    } finally {
      await handle.close();
    }
  } finally {
    await folder.handle.close();
  }
}

function absent(error: unknown): undefined {
  if (isErrno(error, "ENOENT")) return undefined;
  throw error;
}

function failed({ name, file }: SqliteConnection, detail: string, cause?: unknown): SallyportError {
  return new SallyportError("database_failed", `The database of the connection ${name} cannot be opened.`, {
    detail,
    fix: `The operator looks with: sallyport database check ${name}`,
    data: { file },
    ...(cause === undefined ? {} : { cause }),
  });
}
