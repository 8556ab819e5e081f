import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import semver from "semver";
import { displayLine, SallyportError, sha256, toSallyportError } from "../kernel/index.ts";
import type { Manifest } from "../manifest/index.ts";
import type { KeyId, SigningKey } from "../trust/index.ts";
import { archiveBytesLimit } from "./archive.ts";
import { entryOf } from "./index-entry.ts";
import { listArchives, readSmallFile, whileLocked, writeFileWhole } from "./index-folder.ts";
import {
  compareEntries,
  INDEX_LIMITS,
  type IndexEntry,
  indexFileOf,
  parseIndex,
  POINTER_FILE,
  registryName,
  type RegistryPointer,
  untrusted,
  writeIndex,
} from "./index-format.ts";
import { openPointer, signPointer } from "./index-pointer.ts";
import { SOURCE_LIMITS } from "./limits.ts";
import type { PreparePorts } from "./prepare.ts";

export interface BuildOptions {
  readonly key: SigningKey;
  /** The registry's own name; needed the first time, and kept. */
  readonly name?: string | undefined;
  /** Milliseconds that the index is good for. */
  readonly validMs: number;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly ports: PreparePorts<Manifest>;
  /** What to change besides: `undefined` takes a yank back. */
  readonly yank?: { readonly id: string; readonly version: string; readonly reason: string | undefined };
  readonly onArchive?: (file: string, index: number, of: number) => void;
}

export interface BuiltIndex {
  readonly pointer: RegistryPointer;
  readonly entries: readonly IndexEntry[];
  readonly added: readonly IndexEntry[];
  readonly removed: readonly IndexEntry[];
}

/**
 * Makes the signed index of a folder of archives. What the last index said of an archive's time and yanks is kept; a version whose
 * bytes are others than before is refused. A crash leaves the old index or the new one.
 * @throws {SallyportError} `conflict`, `usage`, `not_found`, `registry_untrusted` when the last index is not by this key, and
 * whatever is wrong with an archive, with its name.
 */
export function buildIndex(folder: string, options: BuildOptions): Promise<BuiltIndex> {
  return whileLocked(folder, async () => {
    const before = await readIndexOf(folder, options.key.id);
    const name = nameOf(options.name, before?.pointer);
    const entries = yanked(await readArchives(folder, before?.entries ?? [], options), options.yank);
    const bytes = writeIndex(entries);
    const index = indexFileOf(bytes);
    if (index.length > INDEX_LIMITS.indexBytes || entries.length > INDEX_LIMITS.entries) {
      throw new SallyportError("limit_exceeded", "The registry's index would be too large.", {
        fix: `Keep at most ${INDEX_LIMITS.entries} versions in one registry.`,
      });
    }
    const pointer: RegistryPointer = {
      format: "sallyport-registry-v1",
      name,
      counter: (before?.pointer.counter ?? 0) + 1,
      // A clock that was set back must not make an index that nobody accepts.
      issued_at: Math.max(options.now, before?.pointer.issued_at ?? 0),
      expires_at: options.now + options.validMs,
      index,
    };
    const text = signPointer(pointer, options.key);
    openPointer(text, options.key.id);
    await writeFileWhole(join(folder, index.file), bytes);
    await writeFileWhole(join(folder, POINTER_FILE), Buffer.from(text));
    await removeOld(folder, new Set([index.file, before?.pointer.index.file ?? ""]));
    const had = new Set((before?.entries ?? []).map(keyOf));
    const has = new Set(entries.map(keyOf));
    return {
      pointer,
      entries,
      added: entries.filter((entry) => !had.has(keyOf(entry))),
      removed: (before?.entries ?? []).filter((entry) => !has.has(keyOf(entry))),
    };
  });
}

/** The index of a folder as it is, by this key; undefined when there is none yet. @throws {SallyportError} `registry_untrusted`. */
export async function readIndexOf(
  folder: string,
  key: KeyId,
): Promise<{ readonly pointer: RegistryPointer; readonly entries: readonly IndexEntry[] } | undefined> {
  const text = await readSmallFile(join(folder, POINTER_FILE), INDEX_LIMITS.pointerBytes);
  if (text === undefined) return undefined;
  const pointer = openPointer(text.toString("utf8"), key);
  const bytes = await readSmallFile(join(folder, pointer.index.file), INDEX_LIMITS.indexBytes);
  if (bytes === undefined || sha256(bytes) !== pointer.index.sha256) {
    throw untrusted(
      "The folder's last index was changed or is missing.",
      `${POINTER_FILE} names ${pointer.index.file}.`,
      "Restore it from a copy of the folder: publication times and yanks are in there.",
    );
  }
  return { pointer, entries: await parseIndex(bytes) };
}

async function readArchives(
  folder: string,
  before: readonly IndexEntry[],
  options: BuildOptions,
): Promise<readonly IndexEntry[]> {
  const files = await listArchives(folder);
  const byFile = new Map(before.map((entry) => [entry.file, entry]));
  const byVersion = new Map(before.map((entry) => [keyOf(entry), entry]));
  const entries = new Map<string, IndexEntry>();
  for (const [index, file] of files.entries()) {
    options.onArchive?.(file, index, files.length);
    const entry = await readOne(folder, file, byFile.get(file), options);
    const old = byVersion.get(keyOf(entry));
    const twin = entries.get(keyOf(entry));
    if (twin) {
      throw new SallyportError("conflict", `${twin.file} and ${file} are both ${entry.id} ${entry.version}.`, {
        fix: "Keep one of them in the folder.",
      });
    }
    if (old && old.tree_digest !== entry.tree_digest) throw replaced(entry, old);
    entries.set(keyOf(entry), old ? { ...entry, published_at: old.published_at, yanked: old.yanked } : entry);
  }
  return [...entries.values()].toSorted(compareEntries);
}

async function readOne(
  folder: string,
  file: string,
  known: IndexEntry | undefined,
  { now, ports }: BuildOptions,
): Promise<IndexEntry> {
  try {
    const bytes = await readSmallFile(join(folder, file), archiveBytesLimit(SOURCE_LIMITS));
    if (bytes === undefined) throw new SallyportError("not_found", "It is gone.");
    if (known && known.length === bytes.length && known.sha256 === sha256(bytes)) return known;
    return await entryOf(file, bytes, now, ports);
  } catch (error) {
    const { code, message, detail, fix, data } = toSallyportError(error);
    throw new SallyportError(code, `${displayLine(file)}: ${message}`, {
      ...(detail === undefined ? {} : { detail }),
      ...(fix === undefined ? {} : { fix }),
      data: { ...data, archive: displayLine(file) },
      cause: error,
    });
  }
}

function yanked(entries: readonly IndexEntry[], yank: BuildOptions["yank"]): readonly IndexEntry[] {
  if (yank === undefined) return entries;
  const { id, version, reason } = yank;
  if (!entries.some((entry) => entry.id === id && entry.version === version)) {
    const versions = entries.filter((entry) => entry.id === id).map((entry) => entry.version);
    throw new SallyportError("not_found", `This registry has no ${displayLine(id)} ${displayLine(version)}.`, {
      detail: versions.length === 0 ? "It does not have the plugin at all." : `It has ${versions.join(", ")}.`,
      fix: "Name one of its versions: ID@VERSION",
    });
  }
  return entries.map((entry) =>
    entry.id === id && entry.version === version ? { ...entry, yanked: reason ?? null } : entry,
  );
}

function nameOf(given: string | undefined, before: RegistryPointer | undefined): string {
  const name = given ?? before?.name;
  const read = registryName.safeParse(name);
  if (read.success && (before === undefined || before.name === read.data)) return read.data;
  throw new SallyportError("usage", "The registry needs one name for all its life.", {
    detail: before ? `It is named ${before.name}.` : "A name is of lower-case letters, digits and dashes.",
    fix: before ? "Leave out --name." : "Give it the first time: sallyport registry index DIR --key NAME --name acme",
  });
}

/** The last index stays, for whoever read the pointer to it a moment ago. */
async function removeOld(folder: string, keep: ReadonlySet<string>): Promise<void> {
  const old = (await readdir(folder)).filter((name) => /^index-[0-9a-f]{64}\.jsonl$/.test(name) && !keep.has(name));
  await Promise.all(old.map((name) => rm(join(folder, name), { force: true })));
}

function keyOf({ id, version }: Pick<IndexEntry, "id" | "version">): string {
  // Builds that differ in metadata only are one version to whoever installs.
  return `${id}@${semver.parse(version)?.version ?? version}`;
}

function replaced(entry: IndexEntry, old: IndexEntry): SallyportError {
  return new SallyportError("conflict", `${entry.file} is another ${entry.id} ${entry.version} than was published.`, {
    detail: "A version never changes: whoever has it would have other bytes than whoever installs it now.",
    fix: "Publish the new bytes under another version, and put the old archive back (or yank it).",
    data: { expected: old.tree_digest, actual: entry.tree_digest },
  });
}
