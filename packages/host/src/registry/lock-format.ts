import { z } from "zod";
import { displayLine, parseBoundedJson, SallyportError } from "../kernel/index.ts";

export const LOCK_FILE = "plugin.lock.json";
/** Ten thousand plugins are about a third of it. */
export const LOCK_BYTES = 32 * 1024 * 1024;

const text = z.string().max(5000);
const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/);
const words = z.record(z.string().max(200), text);

const entry = z.strictObject({
  id: z.string().max(130),
  version: z.string().max(100),
  /** As the plugin's row: `directory:/path`, `npm:REGISTRY/NAME@VERSION#sha512-…`. */
  source: text,
  /** What the operator wrote, and the registry that it was found in: enough to fetch it again. */
  spec: text,
  registry: z.string().max(200).nullable(),
  /** The tree digest. */
  integrity: digest,
  manifest: digest,
  code: digest,
  /** `sha512-<base64>` over the archive's bytes. */
  archive: z.string().max(200).nullable(),
  /** How each of the hashes was learned, in words. */
  learned: words,
  /** The trusted key that signed it. */
  signer: z.string().max(300).nullable(),
  /** Keys of what it asks for. */
  permissions: z.array(text).max(10_000),
  /** Digest of each tool's whole definition. */
  tools: words,
  dependencies: words,
});
/** One pinned version: exactly these bytes from there. */
export type LockEntry = z.infer<typeof entry>;

const lock = z.strictObject({
  lock_version: z.literal(1),
  /** By `id@version`. */
  plugins: z.record(z.string().max(250), entry),
  /** HMAC of the rest by PLUGIN_SECRET_KEY; absent without one, and in projects. */
  seal: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
});
export type Lock = z.infer<typeof lock>;

export const lockEntrySchema = entry;

export function lockKey({ id, version }: { readonly id: string; readonly version: string }): string {
  return `${id}@${version}`;
}

/** One text for one content: keys sorted, two spaces, a line feed at the end, so that a difference is a difference. */
export function writeLock(entries: readonly LockEntry[], seal?: string): string {
  const plugins = Object.fromEntries(entries.map((own) => [lockKey(own), own]));
  return `${JSON.stringify(sorted({ lock_version: 1, plugins, ...(seal === undefined ? {} : { seal }) }), null, 2)}\n`;
}

/** @throws {SallyportError} `lock_mismatch` for a text that no host writes. */
export function readLock(written: string): Lock {
  let value: unknown;
  try {
    value = parseBoundedJson(written, { maxDepth: 8 });
  } catch (cause) {
    throw unreadable("It is no JSON.", cause);
  }
  const parsed = lock.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw unreadable(`At ${displayLine(issue?.path.join(".") ?? "", 200)}: ${displayLine(issue?.message ?? "", 200)}.`);
  }
  const wrong = Object.entries(parsed.data.plugins).find(([key, own]) => key !== lockKey(own));
  if (wrong) throw unreadable(`"${displayLine(wrong[0], 200)}" is the entry of another plugin.`);
  return parsed.data;
}

/** A field that is not what the lock says. */
export interface LockDifference {
  readonly field: string;
  readonly expected: string;
  readonly actual: string;
}

/**
 * What of `actual` is not as pinned. How a hash was learned, and how an operator named the
 * source, are remarks and no part of what is pinned.
 */
export function lockDifferences(expected: LockEntry, actual: LockEntry): readonly LockDifference[] {
  const fields = ["id", "version", "source", "registry", "integrity", "manifest", "code", "archive"] as const;
  const more = ["signer", "permissions", "tools", "dependencies"] as const;
  return [...fields, ...more].flatMap((field) => {
    const pinned = shown(expected[field]);
    const found = shown(actual[field]);
    return pinned === found ? [] : [{ field, expected: pinned, actual: found }];
  });
}

function shown(value: unknown): string {
  if (typeof value === "string") return value;
  return value === null ? "none" : JSON.stringify(sorted(value));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, member]) => [key, sorted(member)]));
}

function unreadable(detail: string, cause?: unknown): SallyportError {
  return new SallyportError("lock_mismatch", `${LOCK_FILE} is not as Sallyport writes it.`, {
    detail,
    fix: "Find out who changed it. In a project, take it back from version control; in a home, run: sallyport plugin lock --restore",
    data: { file: LOCK_FILE },
    cause,
  });
}
