import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { lstat, mkdir, open, readFile, rename, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { canonicalJson, parseBoundedJson, SallyportError } from "../kernel/index.ts";

const KEY_BYTES = 32;
const MAGIC = "sallyport-vault";
const MAX_HEADER = 512;

/** What a vault file says of itself in clear; the seal covers it. */
export interface VaultHeader {
  readonly v: 2;
  /** Which key it was sealed with; says nothing about the key. */
  readonly key: string;
  /** Grows by one with each change. */
  readonly revision: number;
}

const Header = z.strictObject({
  v: z.literal(2),
  key: z.string().regex(/^[0-9a-f]{16}$/),
  revision: z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER),
});

/** A name for a key: tells two keys apart and helps nobody to find one. */
export function keyId(key: Buffer): string {
  return createHash("sha256").update("sallyport-vault-key-id\0").update(key).digest("hex").slice(0, 16);
}

export function newKey(): Buffer {
  return randomBytes(KEY_BYTES);
}

/**
 * Two lines of text (`sallyport-vault`, the header as JSON), then nonce (12 bytes), tag (16) and ciphertext of AES-256-GCM, which
 * authenticates both lines.
 */
export function seal(key: Buffer, revision: number, plain: Buffer): Buffer {
  const header = headerBytes({ v: 2, key: keyId(key), revision });
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(header);
  const body = Buffer.concat([cipher.update(plain), cipher.final()]);
  return Buffer.concat([header, nonce, cipher.getAuthTag(), body]);
}

/** @throws {SallyportError} `vault_unavailable` when it is no vault, or one of another program version. */
export function readHeader(sealed: Buffer): VaultHeader {
  const text = sealed.subarray(0, MAX_HEADER).toString("latin1");
  const [magic, json = "", ...rest] = text.split("\n", 3);
  const header = magic === MAGIC && rest.length > 0 ? Header.safeParse(parsedOrNull(json)) : undefined;
  if (header?.success === true && headerBytes(header.data).equals(sealed.subarray(0, headerLength(sealed))))
    return header.data;
  throw unavailable(
    "The vault is not of a form that this program knows.",
    "The file is damaged, or of another version.",
  );
}

/** @throws {SallyportError} `vault_unavailable` when key or bytes are not the ones that were sealed. */
export function unseal(key: Buffer, sealed: Buffer): Buffer {
  const { key: wanted } = readHeader(sealed);
  if (keyId(key) !== wanted) {
    throw unavailable(
      "The vault does not open with this key.",
      `It was sealed with the key ${wanted}; the one that is there is ${keyId(key)}.`,
    );
  }
  const length = headerLength(sealed);
  const [header, body] = [sealed.subarray(0, length), sealed.subarray(length)];
  try {
    const decipher = createDecipheriv("aes-256-gcm", key, body.subarray(0, 12), { authTagLength: 16 })
      .setAAD(header)
      .setAuthTag(body.subarray(12, 28));
    return Buffer.concat([decipher.update(body.subarray(28)), decipher.final()]);
  } catch (cause) {
    throw unavailable("The vault was changed.", "Its bytes are not the ones that were sealed.", cause);
  }
}

function headerBytes({ v, key, revision }: VaultHeader): Buffer {
  return Buffer.from(`${MAGIC}\n${canonicalJson({ v, key, revision })}\n`);
}

/** Up to and with the second line feed. */
function headerLength(sealed: Buffer): number {
  return sealed.indexOf(0x0a, sealed.indexOf(0x0a) + 1) + 1;
}

function parsedOrNull(json: string): unknown {
  try {
    return parseBoundedJson(json, { maxDepth: 2 });
  } catch {
    return null;
  }
}

/** 64 hex digits or base64 of 32 bytes. @throws {SallyportError} `vault_unavailable`. */
export function parseVaultKey(text: string): Buffer {
  const trimmed = text.trim();
  const key = /^[0-9a-fA-F]{64}$/.test(trimmed) ? Buffer.from(trimmed, "hex") : Buffer.from(trimmed, "base64");
  if (key.length !== KEY_BYTES) {
    throw unavailable("The vault's key is malformed.", "It must be 32 bytes, as 64 hex digits or as base64.");
  }
  return key;
}

/** The bytes of a file that only its owner can read; undefined when there is none. */
export async function readPrivate(path: string): Promise<Buffer | undefined> {
  const stat = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw unavailable("The vault cannot be read.", "The file system refused.", error);
  });
  if (stat === undefined) return undefined;
  const owner = process.geteuid?.();
  if (!stat.isFile() || (stat.mode & 0o077) !== 0 || (owner !== undefined && stat.uid !== owner)) {
    throw unavailable(
      "A file of the vault is not safe.",
      "It must be a regular file of the user's own with mode 0600.",
    );
  }
  return readFile(path).catch((error: unknown) => {
    throw unavailable("The vault cannot be read.", "The file system refused.", error);
  });
}

/** Replaces a file at once and durably, mode 0600: there is the old content or the new, never a part. */
export async function writePrivate(path: string, bytes: Buffer): Promise<void> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const temporary = join(folder, `.${randomBytes(8).toString("hex")}.tmp`);
  try {
    const file = await open(temporary, "wx", 0o600);
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (cause) {
    await unlink(temporary).catch(() => undefined);
    throw unavailable("The vault cannot be written.", "The file system refused.", cause);
  }
  const directory = await open(folder, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

export function unavailable(message: string, detail: string, cause?: unknown): SallyportError {
  return new SallyportError("vault_unavailable", message, {
    detail,
    fix: "Check the vault file, its key and secrets.key in config.yml, or restore vault and key from one backup; then run: sallyport doctor",
    cause,
  });
}
