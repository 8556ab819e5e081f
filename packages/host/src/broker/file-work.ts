import { constants } from "node:fs";
import { type FileHandle, open, opendir, rmdir, unlink } from "node:fs/promises";
import { PolicyViolationError, SallyportError } from "../kernel/index.ts";
import type { DataUsage } from "./data-usage.ts";
import type { Place, Places } from "./file-place.ts";
import type { FileLimits } from "./files-limits.ts";
import { below, isErrno, type Node, openChild, self } from "./walk.ts";

export interface FileTools {
  readonly places: Places;
  readonly limits: FileLimits;
  readonly usage: DataUsage;
}

/** O_NONBLOCK costs nothing on a plain file, and nothing else gets this far. */
const SAFELY = constants.O_NONBLOCK | constants.O_NOCTTY;

export async function readPiece(
  { places }: FileTools,
  path: string,
  offset: number,
  length: number,
): Promise<{ data: Buffer; size: number; done: boolean }> {
  const place = places.find(path, "r");
  return using(await places.open(place, place.names), async (node) => {
    if (!node.stat.isFile()) throw new SallyportError("usage", `${place.path} is a directory.`);
    return usingHandle(await open(self(node), constants.O_RDONLY | SAFELY), async (file) => {
      const { size } = await file.stat();
      const buffer = Buffer.alloc(Math.max(0, Math.min(length, size - offset)));
      const { bytesRead } = await file.read(buffer, 0, buffer.length, offset);
      return { data: buffer.subarray(0, bytesRead), size, done: offset + bytesRead >= size };
    });
  });
}

/** `offset` null replaces the whole file; a file that is not there is made. */
export async function writePiece(tools: FileTools, path: string, data: Buffer, offset: number | null): Promise<void> {
  const place = tools.places.find(path, "w");
  const name = place.names.at(-1);
  if (name === undefined) throw new SallyportError("usage", `${place.path} is a directory.`);
  await using(
    await tools.places.open(
      place,
      place.names.slice(0, -1),
      place.inData ? () => claim(tools, place, 0, 1) : undefined,
    ),
    async (parent) => {
      const existing = await childOrNothing(parent, name);
      if (existing === undefined) return createFile(tools, place, parent, name, data, offset);
      await using(existing, async (node) => {
        if (!node.stat.isFile()) throw new SallyportError("usage", `${place.path} is a directory.`);
        if (node.stat.nlink > 1) {
          throw new PolicyViolationError("permission_denied", `${place.path} has another name elsewhere.`, {
            detail: "Writing to a file with several hard links would change a file outside the grant.",
          });
        }
        const { size } = node.stat;
        const next = checkSize(tools.limits, place, offset, size, data.length);
        await claim(tools, place, next - size, 0);
        await usingHandle(await open(self(node), constants.O_WRONLY | SAFELY), async (file) => {
          if (offset === null) await file.truncate(0);
          await writeAll(file, data, offset ?? 0);
        });
      });
    },
  );
}

async function createFile(
  tools: FileTools,
  place: Place,
  parent: Node,
  name: string,
  data: Buffer,
  offset: number | null,
): Promise<void> {
  const size = checkSize(tools.limits, place, offset, 0, data.length);
  await claim(tools, place, size, 1);
  // O_EXCL: if something appeared in the meantime, link or file, this fails rather than follow it.
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW | SAFELY;
  await usingHandle(await open(below(parent, name), flags, 0o600), (file) => writeAll(file, data, 0));
}

function checkSize(limits: FileLimits, place: Place, offset: number | null, size: number, added: number): number {
  if (offset !== null && offset > size)
    throw new SallyportError("usage", `${place.path} would have a hole: it ends at ${size}.`);
  const next = offset === null ? added : Math.max(size, offset + added);
  if (next > limits.fileBytes)
    throw new SallyportError("limit_exceeded", `A file has at most ${limits.fileBytes} bytes.`);
  return next;
}

/** Takes room in the plugin's own directory. What fails afterwards leaves the count too high, never too low. */
async function claim({ places, usage, limits }: FileTools, place: Place, bytes: number, files: number): Promise<void> {
  if (!place.inData) return;
  const held = await usage.read(await places.dataRoot());
  if (held.bytes + bytes > limits.dataBytes || held.files + files > limits.dataFiles) {
    throw new SallyportError("quota_exceeded", "The plugin's own directory is full.", {
      detail: `It may hold ${limits.dataBytes} bytes in ${limits.dataFiles} files.`,
      fix: "Remove files that are no longer needed.",
    });
  }
  usage.add(bytes, files);
}

async function writeAll(file: FileHandle, data: Buffer, position: number): Promise<void> {
  for (let written = 0; written < data.length;) {
    const { bytesWritten } = await file.write(data, written, data.length - written, position + written);
    written += bytesWritten;
  }
}

export interface DirectoryEntry {
  readonly name: string;
  readonly kind: "file" | "directory";
  readonly size: number;
  readonly modified_ms: number;
}

/** Plain files and directories, without what is cut out, in order of name. */
export async function listDirectory({ places, limits }: FileTools, path: string): Promise<readonly DirectoryEntry[]> {
  const place = places.find(path, "r");
  return using(await places.open(place, place.names), async (node) => {
    if (!node.stat.isDirectory()) throw new SallyportError("usage", `${place.path} is a file.`);
    const entries: DirectoryEntry[] = [];
    let seen = 0;
    for await (const { name } of await opendir(self(node))) {
      if (++seen > limits.entries)
        throw new SallyportError("limit_exceeded", `${place.path} has more than ${limits.entries} entries.`);
      if (!places.allows(joined(place.path, name), "r")) continue;
      const child = await childOrRefused(node, name);
      if (child === undefined) continue;
      const { stat } = child;
      await child.handle.close();
      entries.push({
        name,
        kind: stat.isFile() ? "file" : "directory",
        size: stat.size,
        modified_ms: Math.trunc(stat.mtimeMs),
      });
    }
    return entries.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  });
}

export async function statNode({ places }: FileTools, path: string): Promise<Omit<DirectoryEntry, "name"> | null> {
  const place = places.find(path, "r");
  let node: Node;
  try {
    node = await places.open(place, place.names);
  } catch (error) {
    if (isErrno(error, "ENOENT") || isErrno(error, "ENOTDIR")) return null;
    throw error;
  }
  await node.handle.close();
  return {
    kind: node.stat.isFile() ? "file" : "directory",
    size: node.stat.size,
    modified_ms: Math.trunc(node.stat.mtimeMs),
  };
}

/** A file, or an empty directory. What was granted itself is not removed as a directory: it belongs to the operator. */
export async function removeNode({ places, usage }: FileTools, path: string): Promise<void> {
  const place = places.find(path, "w");
  const name = place.names.at(-1);
  if (name === undefined) throw new SallyportError("usage", `${place.path} cannot be removed.`);
  await using(await places.open(place, place.names.slice(0, -1)), async (parent) => {
    const { handle, stat } = await openChild(parent, name);
    await handle.close();
    if (stat.isFile()) {
      await unlink(below(parent, name));
    } else {
      if (!places.allows(parentOf(place.path), "w"))
        throw new PolicyViolationError(
          "permission_denied",
          `${place.path} is what was granted; it is not the plugin's to remove.`,
        );
      await rmdir(below(parent, name));
    }
    if (place.inData) usage.add(stat.isFile() ? -stat.size : 0, -1);
  });
}

/** Makes a directory, and in the plugin's own directory those above it. One that is there already is fine. */
export async function makeDirectory(tools: FileTools, path: string): Promise<void> {
  const place = tools.places.find(path, "w");
  if (!place.inData) {
    const parent = place.names.slice(0, -1);
    // Only the last part is made: those above may be outside the grant.
    await using(await tools.places.open(place, parent), () => Promise.resolve());
  }
  await using(await tools.places.open(place, place.names, () => claim(tools, place, 0, 1)), async (node) => {
    if (!node.stat.isDirectory()) throw new SallyportError("conflict", `${place.path} is a file.`);
  });
}

async function childOrNothing(parent: Node, name: string): Promise<Node | undefined> {
  try {
    return await openChild(parent, name);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

/** Nothing also for a link, a pipe, a device, or what disappeared. */
async function childOrRefused(parent: Node, name: string): Promise<Node | undefined> {
  try {
    return await openChild(parent, name);
  } catch {
    return undefined;
  }
}

function joined(path: string, name: string): string {
  return path === "/" ? `/${name}` : `${path}/${name}`;
}

function parentOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash <= 0 ? "/" : path.slice(0, slash);
}

async function using<T>(node: Node, work: (node: Node) => Promise<T>): Promise<T> {
  try {
    return await work(node);
  } finally {
    await node.handle.close();
  }
}

async function usingHandle<T>(handle: FileHandle, work: (handle: FileHandle) => Promise<T>): Promise<T> {
  try {
    return await work(handle);
  } finally {
    await handle.close();
  }
}
