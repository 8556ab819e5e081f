import { createHash } from "node:crypto";
import { chmod, chown, constants, lstat, mkdir, mkdtemp, open, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NOBODY } from "../isolation/index.ts";
import { SallyportError } from "../kernel/index.ts";
import type { Places } from "./file-place.ts";
import { type Node, self } from "./walk.ts";

/** A file that a command is handed: what it is called there, and where the plugin has it. */
export interface HandedFile {
  readonly name: string;
  readonly path: string;
}

export interface CommandFolder {
  /** Absolute; holds the files and nothing else, readable by the command's user alone. */
  readonly path: string;
  remove(): Promise<void>;
}

const INNER = "files";

/**
 * Copies files that the plugin may read into a folder for one run of a command, so that a command reaches nothing that the plugin
 * could not, whatever becomes of the originals meanwhile.
 * @param onRead told of each file that was copied, with its bytes.
 * @throws {SallyportError} as reading the file would; `limit_exceeded` over `mostBytes` together.
 */
export async function makeCommandFolder(
  files: readonly HandedFile[],
  options: {
    readonly home: string;
    readonly places: Places;
    readonly hostIsRoot: boolean;
    readonly mostBytes: number;
    readonly onRead: (path: string, bytes: number) => void;
  },
): Promise<CommandFolder> {
  const outer = await mkdtemp(join(tmpdir(), `${prefixOf(options.home)}-`));
  const remove = (): Promise<void> => rm(outer, { recursive: true, force: true }).catch(() => undefined);
  try {
    const inner = join(outer, INNER);
    await mkdir(inner, { mode: 0o700 });
    let room = options.mostBytes;
    for (const { name, path } of files) {
      const bytes = await copy(options.places, path, join(inner, name), room, options.hostIsRoot);
      room -= bytes;
      options.onRead(path, bytes);
    }
    if (options.hostIsRoot) {
      // The command reads as one of its group. What it owned, another process of its user could swap while it is removed.
      await chown(inner, 0, NOBODY);
      await chmod(inner, 0o750);
      // To be passed through; its name is all that anybody else sees.
      await chmod(outer, 0o711);
    }
    return { path: inner, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function copy(places: Places, path: string, to: string, room: number, hostIsRoot: boolean): Promise<number> {
  const place = places.find(path, "r");
  const node = await places.open(place, place.names);
  try {
    if (!node.stat.isFile()) throw new SallyportError("usage", `${place.path} is no file.`);
    return await copyNode(node, to, room, hostIsRoot);
  } finally {
    await node.handle.close();
  }
}

const CHUNK = 256 * 1024;

async function copyNode(node: Node, to: string, room: number, hostIsRoot: boolean): Promise<number> {
  const source = await open(self(node), constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  try {
    const target = await open(to, "wx", 0o400);
    try {
      const buffer = Buffer.alloc(CHUNK);
      for (let total = 0; ;) {
        const { bytesRead } = await source.read(buffer, 0, CHUNK, total);
        if (bytesRead === 0) {
          if (hostIsRoot) {
            await target.chown(0, NOBODY);
            await target.chmod(0o440);
          }
          return total;
        }
        total += bytesRead;
        if (total > room)
          throw new SallyportError("limit_exceeded", "The files that a command is handed are too large.");
        // One write may take less than it is given.
        await target.writeFile(buffer.subarray(0, bytesRead));
      }
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

/** Removes what hosts of this home left that were killed. Call it at a start: a home has one host at a time. */
export async function sweepCommandFolders(home: string): Promise<void> {
  const names = await readdir(tmpdir());
  for (const name of names.filter((each) => each.startsWith(`${prefixOf(home)}-`))) {
    const path = join(tmpdir(), name);
    const info = await lstat(path).catch(() => null);
    // Anybody may make such a name there; one of another user is not this home's.
    if (info?.isDirectory() === true && info.uid === process.getuid?.())
      await rm(path, { recursive: true, force: true }).catch(() => undefined);
  }
}

function prefixOf(home: string): string {
  return `sallyport-exec-${createHash("sha256").update(home).digest("hex").slice(0, 16)}`;
}
