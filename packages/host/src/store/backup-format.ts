import { createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { z } from "zod";
import { canonicalJson, parseBoundedJson, SallyportError } from "../kernel/index.ts";

/*
 * A backup is one file: two lines of text (what it is; how it is encrypted, as JSON), then a body, which is encrypted as a whole
 * when there is a passphrase. The body: length of the manifest (4 bytes, big-endian), manifest (canonical JSON), its Ed25519
 * signature by the home's audit key (64 bytes), then the content of every entry in order. docs/backup.md describes it for people.
 */
export const BACKUP_MAGIC = "sallyport-backup-v1";
export const MAX_HEADER = 1024;
export const MAX_MANIFEST = 64 * 1024 * 1024;
export const SIGNATURE_BYTES = 64;

/** Names below a home that a backup may hold; nothing else is ever written by a restore. */
const ENTRY =
  /^(?:state\.db|config\.yml|plugin\.lock\.json|vault|keys\/[A-Za-z0-9][A-Za-z0-9._-]{0,99}|data\/[^/\0]{1,200}(?:\/[^/\0]{1,255}){1,64}|store\/[0-9a-f]{64}(?:\/[^/\0]{1,255}){1,64})$/;

const Digest = z.string().regex(/^sha256:[0-9a-f]{64}$/);
const Count = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);

const Manifest = z.strictObject({
  v: z.literal(1),
  created_at: Count,
  program: z.string().max(100),
  /** The audit key's public half: whose backup it is. */
  key: z.string().max(200),
  head: z.strictObject({ seq: Count, hash: z.string().regex(/^[0-9a-f]{64}$/) }),
  /** Whether vault and keys are in it. */
  secrets: z.boolean(),
  /** Whether the stored plugins are in it. */
  store: z.boolean(),
  entries: z
    .array(z.strictObject({ path: z.string().max(4096), mode: z.number().int(), size: Count, sha256: Digest }))
    .max(1_000_000),
});
export type BackupManifest = z.infer<typeof Manifest>;
export type BackupEntry = BackupManifest["entries"][number];

export const KDF_COST = { N: 2 ** 15, r: 8, p: 3 } as const;
const Header = z.strictObject({
  kdf: z
    .strictObject({
      /* Bounds, so that an edited header cannot ask for all memory or for next to no work. */
      N: z.literal([2 ** 15, 2 ** 16, 2 ** 17, 2 ** 18]),
      r: z.literal(8),
      p: z.number().int().min(1).max(8),
      salt: z.string().regex(/^[0-9a-f]{32}$/),
    })
    .nullable(),
});
export type BackupHeader = z.infer<typeof Header>;

export function writeHeader(header: BackupHeader): Buffer {
  return Buffer.from(`${BACKUP_MAGIC}\n${canonicalJson(header)}\n`);
}

/** @throws {SallyportError} `backup_invalid`. */
export function parseHeader(text: string): BackupHeader {
  const [magic, json = "", rest] = text.split("\n");
  if (magic !== BACKUP_MAGIC || rest !== "") throw invalid("It is no backup of this program, or of a later form.");
  return parsed(Header, json, "Its header is damaged.");
}

/** @throws {SallyportError} `backup_invalid` for another form, names that no backup holds, and names that occur twice. */
export function parseManifest(text: string): BackupManifest {
  const manifest = parsed(Manifest, text, "Its list of contents is damaged.");
  if (canonicalJson(manifest) !== text) throw invalid("Its list of contents is not in its one spelling.");
  const seen = new Set<string>();
  for (const { path } of manifest.entries) {
    const strange = !ENTRY.test(path) || path.split("/").some((name) => name === "." || name === "..");
    if (strange || !path.isWellFormed()) throw invalid("It holds a file that no backup holds.");
    if (seen.has(path)) throw invalid("It holds a file twice.");
    seen.add(path);
  }
  if (!seen.has("state.db") || !seen.has("config.yml")) throw invalid("It holds no whole home.");
  return manifest;
}

function statement(manifest: string): Buffer {
  return Buffer.from(`${BACKUP_MAGIC}\n${manifest}`);
}

export function signManifest(manifest: string, key: KeyObject): Buffer {
  return sign(null, statement(manifest), key);
}

/** @throws {SallyportError} `backup_invalid` when the key that the manifest names did not sign it. */
export function checkSignature(text: string, { key }: BackupManifest, signature: Uint8Array): void {
  if (!isSigned(text, key, signature)) throw invalid("Its signature is wrong: somebody changed it.");
}

function isSigned(text: string, key: string, signature: Uint8Array): boolean {
  try {
    const publicKey = createPublicKey({ key: Buffer.from(key, "base64"), type: "spki", format: "der" });
    return publicKey.asymmetricKeyType === "ed25519" && verify(null, statement(text), publicKey, signature);
  } catch {
    return false;
  }
}

/** The public half of a home's audit key, as manifests name it. */
export function publicHalf(key: KeyObject): string {
  return createPublicKey(key).export({ type: "spki", format: "der" }).toString("base64");
}

function parsed<T extends z.ZodType>(schema: T, json: string, problem: string): z.infer<T> {
  try {
    return schema.parse(parseBoundedJson(json, { maxDepth: 8 }));
  } catch (cause) {
    throw invalid(problem, cause);
  }
}

export function invalid(detail: string, cause?: unknown): SallyportError {
  return new SallyportError("backup_invalid", "This backup cannot be used.", {
    detail,
    fix: "Nothing was changed. Use another backup, or fetch this one again from where you keep it.",
    cause,
  });
}
