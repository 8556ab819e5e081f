import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { SallyportError, sha256, toSallyportError } from "../kernel/index.ts";
import type { KeyId } from "../trust/index.ts";
import { readSmallFile, writeFileWhole } from "./index-folder.ts";
import {
  compareEntries,
  INDEX_LIMITS,
  type IndexEntry,
  integrityOf,
  parseIndex,
  POINTER_FILE,
  type RegistryPointer,
  untrusted,
} from "./index-format.ts";
import { assertFresh, judgePointer, openPointer, type SeenPointer } from "./index-pointer.ts";
import { createRegistryReader, type RegistryPlace, type RegistryReader } from "./registry-reader.ts";
import type { WebPorts } from "./web-get.ts";

/** A registry with a signed index, as an operator added it. */
export interface IndexRegistry {
  readonly name: string;
  readonly place: RegistryPlace;
  readonly key: KeyId;
  /** What was seen of it last; undefined before the first look. */
  readonly seen: SeenPointer | undefined;
}

export interface LoadedIndex {
  readonly pointer: RegistryPointer;
  /** Sorted by id, then by version. */
  readonly entries: readonly IndexEntry[];
}

export interface IndexClient {
  /**
   * Fetches the index of now, checks it against what was seen before, and keeps a copy. The caller stores `seen` before anything
   * is taken from it.
   * @throws {SallyportError} `registry_untrusted`, `network_failed`, `source_too_large`, `not_found`.
   */
  refresh(registry: IndexRegistry, now: number): Promise<{ readonly index: LoadedIndex; readonly seen: SeenPointer }>;
  /**
   * The copy that is kept here, for looking and searching, expired or not.
   * @throws {SallyportError} `not_found` before the first refresh, `registry_untrusted` when it was changed.
   */
  copyOf(registry: IndexRegistry): Promise<LoadedIndex>;
  /** The archive of a version, whole and exactly the promised one. @throws {SallyportError} `registry_untrusted` and as `refresh`. */
  archive(registry: IndexRegistry, entry: IndexEntry, now: number): Promise<Uint8Array>;
  forget(name: string): Promise<void>;
}

const INDEX_COPY = "index.jsonl";

export function createIndexClient(folder: string, web: WebPorts): IndexClient {
  const loaded = new Map<string, LoadedIndex>();
  const place = (name: string): string => join(folder, name);

  async function copyOf(registry: IndexRegistry): Promise<LoadedIndex> {
    const known = loaded.get(registry.name);
    if (known && registry.seen && known.pointer.index.sha256 === registry.seen.indexDigest) return known;
    const text = await readSmallFile(join(place(registry.name), POINTER_FILE), INDEX_LIMITS.pointerBytes);
    const bytes = await readSmallFile(join(place(registry.name), INDEX_COPY), INDEX_LIMITS.indexBytes);
    if (text === undefined || bytes === undefined || !registry.seen) throw neverFetched(registry.name);
    const pointer = openPointer(text.toString("utf8"), registry.key);
    const { counter, indexDigest } = registry.seen;
    if (pointer.counter !== counter || pointer.index.sha256 !== indexDigest || sha256(bytes) !== indexDigest) {
      throw untrusted(
        `The copy of ${registry.name}'s index is not the one that was fetched.`,
        "A file of the home was changed, or writing it was cut off.",
        "Fetch it again: sallyport registry refresh",
      );
    }
    const index = { pointer, entries: await parseIndex(bytes) };
    loaded.set(registry.name, index);
    return index;
  }

  async function keep(name: string, text: Uint8Array, bytes: Uint8Array | undefined): Promise<void> {
    await mkdir(place(name), { recursive: true, mode: 0o700 });
    if (bytes) await writeFileWhole(join(place(name), INDEX_COPY), bytes, 0o600);
    await writeFileWhole(join(place(name), POINTER_FILE), text, 0o600);
  }

  return {
    copyOf,
    async refresh(registry, now) {
      const reader = createRegistryReader(registry.place, web);
      const text = await reader.read(POINTER_FILE, INDEX_LIMITS.pointerBytes);
      const pointer = openPointer(Buffer.from(text).toString("utf8"), registry.key);
      judgePointer(pointer, registry.seen, now);
      const seen = seenOf(pointer);
      const old = await copyOf(registry).catch((error: unknown) => {
        const { code } = toSallyportError(error);
        if (code === "not_found" || code === "registry_untrusted") return undefined;
        throw error;
      });
      if (old && old.pointer.index.sha256 === pointer.index.sha256) {
        const index = { pointer, entries: old.entries };
        await keep(registry.name, text, undefined);
        loaded.set(registry.name, index);
        return { index, seen };
      }
      const bytes = await readIndex(reader, pointer);
      const index = { pointer, entries: await parseIndex(bytes) };
      if (old) assertUnchanged(old.entries, index.entries);
      await keep(registry.name, text, bytes);
      loaded.set(registry.name, index);
      return { index, seen };
    },
    async archive(registry, entry, now) {
      assertFresh((await copyOf(registry)).pointer, now);
      const bytes = await createRegistryReader(registry.place, web).read(entry.file, entry.length);
      const actual = sha256(bytes);
      if (bytes.length === entry.length && actual === entry.sha256 && integrityOf(bytes) === entry.integrity)
        return bytes;
      throw untrusted(
        `The archive of ${entry.id} ${entry.version} is not the one that the index names.`,
        `Expected: ${entry.length} bytes, ${entry.sha256}. Actual: ${bytes.length} bytes, ${actual}.`,
        "Nothing was kept. Try again later, or from the registry's original address; if it stays so, tell its keeper.",
        { file: entry.file, expected: entry.sha256, actual },
      );
    },
    async forget(name) {
      loaded.delete(name);
      await rm(place(name), { recursive: true, force: true });
    },
  };
}

async function readIndex(reader: RegistryReader, pointer: RegistryPointer): Promise<Uint8Array> {
  const { file, length, sha256: expected } = pointer.index;
  const bytes = await reader.read(file, length);
  const actual = sha256(bytes);
  if (bytes.length === length && actual === expected) return bytes;
  throw untrusted(
    "The registry's index is not the one that its signed file names: parts of different times or places are mixed.",
    `Expected: ${length} bytes, ${expected}. Actual: ${bytes.length} bytes, ${actual}.`,
    "Nothing was taken from it. Try its original address in place of a mirror.",
    { file, expected, actual },
  );
}

/** A version that is published stays what it is: other bytes under it are an attack or a keeper's mistake. */
function assertUnchanged(before: readonly IndexEntry[], after: readonly IndexEntry[]): void {
  let at = 0;
  for (const entry of after) {
    while (at < before.length && compareEntries(before[at] ?? entry, entry) < 0) at++;
    const old = before[at];
    if (old && compareEntries(old, entry) === 0 && old.tree_digest !== entry.tree_digest) {
      throw untrusted(
        `The registry has other bytes for ${entry.id} ${entry.version} than before.`,
        `Expected: ${old.tree_digest}. Actual: ${entry.tree_digest}.`,
        "Ask its keeper why. If the answer is good, begin anew: sallyport registry remove NAME, then registry add.",
        { expected: old.tree_digest, actual: entry.tree_digest },
      );
    }
  }
}

export function seenOf({ name, counter, issued_at, index }: RegistryPointer): SeenPointer {
  return { name, counter, issuedAt: issued_at, indexDigest: index.sha256 };
}

function neverFetched(name: string): SallyportError {
  return new SallyportError("not_found", `There is no copy of ${name}'s index yet.`, {
    fix: "Fetch it: sallyport registry refresh",
  });
}
