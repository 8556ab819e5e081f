import { hash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import semver from "semver";
import { z } from "zod";
import { CAPABILITIES, parseBoundedJson, SallyportError, sha256 } from "../kernel/index.ts";

const LINES_AT_ONCE = 200;

/** The small signed file at a registry's address, which says which index is the one of now. */
export const POINTER_FILE = "registry.json";
export const POINTER_TYPE = "application/vnd.sallyport.registry+json";

export const INDEX_LIMITS = {
  pointerBytes: 64 * 1024,
  indexBytes: 256 * 1024 * 1024,
  lineBytes: 64 * 1024,
  entries: 250_000,
  counter: 1_000_000_000,
  /** The longest time that an index may say of itself it is good for. */
  validMs: 366 * 24 * 60 * 60 * 1000,
} as const;

const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/);
const pluginId = z
  .string()
  .max(130)
  .regex(/^[a-z][a-z0-9-]*(?:\/[a-z][a-z0-9-]*)?$/);
const version = z
  .string()
  .max(256)
  .refine((text) => semver.valid(text) === text.replace(/\+.*$/, ""), "is no version");
const time = z.number().int().nonnegative().max(8_640_000_000_000_000);
export const registryName = z.string().regex(/^[a-z][a-z0-9-]{0,59}$/, "letters, digits and dashes, a letter first");
/** One file of the registry's folder. */
const archiveName = z.string().regex(/^[A-Za-z0-9@][A-Za-z0-9@._+-]{0,199}\.(?:tgz|tar)$/);

/** What the registry's key signs. */
export const pointerSchema = z.strictObject({
  format: z.literal("sallyport-registry-v1"),
  /** The registry's own name for itself: an index of another registry is not taken for it, even under the same key. */
  name: registryName,
  /** Grows by one with every index. */
  counter: z.number().int().min(1).max(INDEX_LIMITS.counter),
  issued_at: time,
  expires_at: time,
  index: z.strictObject({
    file: z.string().regex(/^index-[0-9a-f]{64}\.jsonl$/),
    length: z.number().int().nonnegative().max(INDEX_LIMITS.indexBytes),
    sha256: digest,
  }),
});
export type RegistryPointer = z.infer<typeof pointerSchema>;

/** One version of one plugin: one line of the index. Sorted by id, then by version. */
export const entrySchema = z.strictObject({
  id: pluginId,
  version,
  name: z.string().max(200),
  description: z.string().max(4000),
  author: z.string().max(500).nullable(),
  license: z.string().max(200).nullable(),
  categories: z.array(z.string().max(60)).max(20),
  engine: z.string().max(200).nullable(),
  dependencies: z.record(z.string().max(130), z.string().max(200)),
  permissions: z
    .array(
      z.strictObject({
        capability: z.enum(CAPABILITIES),
        key: z.string().max(1000),
        risk: z.enum(["low", "medium", "high", "critical"]),
      }),
    )
    .max(1000),
  file: archiveName,
  length: z.number().int().positive(),
  sha256: digest,
  integrity: z.string().regex(/^sha512-[A-Za-z0-9+/]{86}==$/),
  tree_digest: digest,
  manifest_digest: digest,
  /** Keys whose signatures are sound. Whether to believe them is for whoever installs. */
  signed_by: z.array(z.string().max(100)).max(16),
  published_at: time,
  /** Why it is not to be chosen any more. */
  yanked: z.string().max(500).nullable(),
});
export type IndexEntry = z.infer<typeof entrySchema>;

/** The order of lines: by id, then as semver orders, then by text (builds that differ in metadata only). */
export function compareEntries(a: Pick<IndexEntry, "id" | "version">, b: Pick<IndexEntry, "id" | "version">): number {
  if (a.id !== b.id) return a.id < b.id ? -1 : 1;
  return semver.compareBuild(a.version, b.version);
}

/**
 * Reads an index whose bytes are the ones that the pointer names, a few lines at a time, so that calls go on meanwhile.
 * @throws {SallyportError} `registry_untrusted` for a malformed, repeated or unsorted line.
 */
export async function parseIndex(bytes: Uint8Array): Promise<readonly IndexEntry[]> {
  const entries: IndexEntry[] = [];
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let start = 0; start < buffer.length;) {
    if (entries.length % LINES_AT_ONCE === LINES_AT_ONCE - 1) await setImmediate();
    const end = buffer.indexOf(0x0a, start);
    if (end === -1 || end - start > INDEX_LIMITS.lineBytes) throw badLine(entries.length, "is too long or cut off");
    if (entries.length >= INDEX_LIMITS.entries) throw badLine(entries.length, "is one too many");
    const entry = readEntry(buffer.toString("utf8", start, end), entries.length);
    const last = entries.at(-1);
    if (last && compareEntries(last, entry) >= 0) throw badLine(entries.length, "is out of order or repeated");
    entries.push(entry);
    start = end + 1;
  }
  return entries;
}

function readEntry(line: string, index: number): IndexEntry {
  let value: unknown;
  try {
    value = parseBoundedJson(line, { maxDepth: 6 });
  } catch (cause) {
    throw badLine(index, "is no JSON that is accepted here", cause);
  }
  const read = entrySchema.safeParse(value);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  throw badLine(index, `is malformed at ${issue?.path.join(".") ?? "its root"}`);
}

export function writeIndex(entries: readonly IndexEntry[]): Buffer {
  return Buffer.from(entries.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
}

export function indexFileOf(bytes: Uint8Array): RegistryPointer["index"] {
  const digested = sha256(bytes);
  return { file: `index-${digested.slice("sha256:".length)}.jsonl`, length: bytes.length, sha256: digested };
}

export function integrityOf(bytes: Uint8Array): string {
  return `sha512-${hash("sha512", bytes, "base64")}`;
}

/** Nothing is taken from a registry that fails here. */
export function untrusted(
  message: string,
  detail: string,
  fix: string,
  data: Readonly<Record<string, unknown>> = {},
  cause?: unknown,
): SallyportError {
  return new SallyportError("registry_untrusted", message, { detail, fix, data, cause });
}

function badLine(index: number, problem: string, cause?: unknown): SallyportError {
  return untrusted(
    `Line ${index + 1} of the registry's index ${problem}.`,
    "One bad line makes the whole index unusable: what it hides could be anywhere.",
    "Tell whoever keeps the registry to make its index again: sallyport registry index DIR --key NAME",
    { line: index + 1 },
    cause,
  );
}
