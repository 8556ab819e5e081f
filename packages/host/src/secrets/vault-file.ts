import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { lstat, mkdir, open, readFile, rename, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { SallyportError } from "../kernel/index.ts";

const AAD = Buffer.from("sallyport-vault-v1");
const KEY_BYTES = 32;

/** `nonce (12) || tag (16) || ciphertext` of AES-256-GCM. */
export function seal(key: Buffer, plain: Buffer): Buffer {
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(AAD);
  const body = Buffer.concat([cipher.update(plain), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), body]);
}

/** @throws {SallyportError} `vault_unavailable` when key or bytes are not the ones that were sealed. */
export function unseal(key: Buffer, sealed: Buffer): Buffer {
  try {
    const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(0, 12), { authTagLength: 16 })
      .setAAD(AAD)
      .setAuthTag(sealed.subarray(12, 28));
    return Buffer.concat([decipher.update(sealed.subarray(28)), decipher.final()]);
  } catch (cause) {
    throw unavailable(
      "The vault does not open with this key.",
      "The key is another one, or the file was changed.",
      cause,
    );
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

/** The key of a key file, which is made when there is neither key nor vault yet. */
export async function loadOrCreateKey(keyFile: string, vaultExists: boolean): Promise<Buffer> {
  const existing = await readPrivate(keyFile);
  if (existing !== undefined) return parseVaultKey(existing.toString("utf8"));
  if (vaultExists)
    throw unavailable("The vault's key file is missing.", "The vault was sealed with a key that is not there.");
  const key = randomBytes(KEY_BYTES);
  await writePrivate(keyFile, Buffer.from(`${key.toString("hex")}\n`));
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
  return readFile(path);
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

function unavailable(message: string, detail: string, cause?: unknown): SallyportError {
  return new SallyportError("vault_unavailable", message, {
    detail,
    fix: "Check the vault file, keys/vault.key and SALLYPORT_VAULT_KEY, or restore them from a backup.",
    cause,
  });
}
