import { constants } from "node:fs";
import { lstat, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { SallyportError } from "../kernel/index.ts";

/** A text file that is replaced as a whole, and read again only when it was changed. */
export interface LockFile {
  /** `undefined`: there is none. @throws {SallyportError} `lock_mismatch` for what is no file of a sane size. */
  read(): Promise<string | undefined>;
  /** Writes the next text beside the file, durably; `commit` puts it in the file's place in one step. */
  stage(text: string): Promise<{ commit(): Promise<void>; discard(): Promise<void> }>;
}

export function openLockFile(path: string, { mode, mostBytes }: { mode: number; mostBytes: number }): LockFile {
  const staging = join(dirname(path), `.${basename(path)}.new`);
  const discard = (): Promise<void> => rm(staging, { force: true });
  let seen: { readonly stamp: string; readonly text: string } | undefined;

  async function read(): Promise<string | undefined> {
    const stat = await lstat(path, { bigint: true }).catch((error: unknown) => {
      if (isMissing(error)) return undefined;
      throw unreadable("It cannot be looked at.", error);
    });
    if (!stat) return undefined;
    const stamp = `${stat.dev} ${stat.ino} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs}`;
    if (seen?.stamp === stamp) return seen.text;
    if (!stat.isFile()) throw unreadable("It is a link, a folder or a special file.");
    if (stat.size > BigInt(mostBytes)) throw unreadable(`It is over ${mostBytes} bytes.`);
    const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
      (error: unknown) => {
        throw unreadable("It cannot be read.", error);
      },
    );
    try {
      const bytes = await handle.readFile();
      if (bytes.length > mostBytes) throw unreadable(`It is over ${mostBytes} bytes.`);
      const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
      seen = { stamp, text };
      return text;
    } catch (error) {
      throw error instanceof SallyportError ? error : unreadable("It is no UTF-8 text.", error);
    } finally {
      await handle.close();
    }
  }

  return {
    read,
    async stage(text) {
      try {
        await discard();
        const handle = await open(staging, "wx", mode);
        try {
          await handle.writeFile(text);
          await handle.sync();
        } finally {
          await handle.close();
        }
      } catch (cause) {
        await discard().catch(() => undefined);
        throw unwritable(basename(path), cause);
      }
      return {
        async commit() {
          try {
            await rename(staging, path);
            const folder = await open(dirname(path), "r");
            try {
              await folder.sync();
            } finally {
              await folder.close();
            }
          } catch (cause) {
            throw unwritable(basename(path), cause);
          }
        },
        discard,
      };
    },
  };
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");
}

function unreadable(detail: string, cause?: unknown): SallyportError {
  return new SallyportError("lock_mismatch", "plugin.lock.json cannot be read.", {
    detail,
    fix: "Find out who changed it. In a project, take it back from version control; in a home, run: sallyport plugin lock --restore",
    data: { file: "plugin.lock.json" },
    cause,
  });
}

function unwritable(name: string, cause: unknown): SallyportError {
  return new SallyportError("store_unavailable", `${name} cannot be written.`, {
    detail: "Nothing was changed, or it is finished at the next start.",
    fix: "Check that the folder is yours and that the disk is not full.",
    cause,
  });
}
