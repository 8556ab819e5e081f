import type {
  FileEntry,
  FilesListResult,
  FilesReadParams,
  FilesReadResult,
  FilesStatResult,
  FilesWriteParams,
} from "../protocol/v1/index.ts";
import { fromBase64, sallyportError, toBase64 } from "../runtime/index.ts";
import type { Fakes } from "./fakes.ts";

export interface FakeFiles {
  read(params: FilesReadParams): FilesReadResult;
  write(params: FilesWriteParams): number;
  list(path: string): FilesListResult;
  stat(path: string): FilesStatResult;
  remove(path: string): void;
  mkdir(path: string): void;
  /** What is there now, by path. */
  readonly contents: ReadonlyMap<string, Uint8Array>;
}

/** Files in memory. A path is refused unless a grant, or for reading a file of the fakes, covers it. */
export function createFakeFiles({ files = {}, filesystem = [] }: Fakes): FakeFiles {
  const contents = new Map<string, Uint8Array>();
  const directories = new Set<string>();
  for (const [path, data] of Object.entries(files))
    contents.set(path, typeof data === "string" ? new TextEncoder().encode(data) : data);
  const given = new Set(contents.keys());

  const check = (path: string, write: boolean): void => {
    const plain = path.split("/").every((part, index) => (index === 0 || part !== "") && part !== "." && part !== "..");
    const granted = filesystem.some((grant) => within(path, grant.path) && (!write || grant.mode === "rw"));
    if (plain && (granted || (!write && given.has(path)))) return;
    throw sallyportError(
      "permission_denied",
      `This plugin has no grant to ${write ? "write" : "read"} ${path}.`,
      "Add it to the fakes of the test, and to permissions.filesystem of the manifest.",
    );
  };
  const isDirectory = (path: string): boolean =>
    directories.has(path) ||
    filesystem.some((grant) => grant.path === path && !contents.has(path)) ||
    [...contents.keys()].some((file) => file.startsWith(`${path}/`));
  const entry = (path: string): Omit<FileEntry, "name"> | null => {
    const data = contents.get(path);
    if (data) return { kind: "file", size: data.length, modified_ms: 0 };
    return isDirectory(path) ? { kind: "directory", size: 0, modified_ms: 0 } : null;
  };

  return {
    contents,
    read({ path, offset, length }) {
      check(path, false);
      const data = contents.get(path);
      if (!data) throw missing(path);
      const part = data.subarray(offset, offset + length);
      return { data: toBase64(part), size: data.length, done: offset + part.length >= data.length };
    },
    write({ path, data, offset }) {
      check(path, true);
      const bytes = fromBase64(data);
      const old = offset === null ? new Uint8Array() : (contents.get(path) ?? new Uint8Array());
      const start = offset ?? 0;
      const whole = new Uint8Array(Math.max(old.length, start + bytes.length));
      whole.set(old);
      whole.set(bytes, start);
      contents.set(path, whole);
      return bytes.length;
    },
    list(path) {
      check(path, false);
      if (!isDirectory(path)) throw missing(path);
      const names = new Set<string>();
      for (const known of [...contents.keys(), ...directories]) {
        if (known.startsWith(`${path}/`)) names.add(known.slice(path.length + 1).split("/")[0] ?? "");
      }
      return {
        entries: [...names]
          .toSorted()
          .map((name) => ({ name, ...(entry(`${path}/${name}`) ?? { kind: "directory", size: 0, modified_ms: 0 }) })),
      };
    },
    stat(path) {
      check(path, false);
      return entry(path);
    },
    remove(path) {
      check(path, true);
      if (!contents.delete(path) && !directories.delete(path)) throw missing(path);
    },
    mkdir(path) {
      check(path, true);
      directories.add(path);
    },
  };
}

function within(path: string, root: string): boolean {
  const bare = root.endsWith("/") ? root.slice(0, -1) : root;
  return path === bare || path.startsWith(`${bare}/`);
}

function missing(path: string): Error {
  return sallyportError("not_found", `There is no ${path}.`);
}
