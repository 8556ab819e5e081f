import { createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { lstat, mkdir, open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { SallyportError } from "../kernel/index.ts";

/**
 * The Ed25519 key at `path` (PKCS#8, PEM, mode 0600), made once.
 * @throws {SallyportError} `home_unsafe` when the file is not the user's own or is open to others, `audit_unavailable`
 * when it cannot be read or is no such key.
 */
export async function loadOrCreateSigningKey(path: string): Promise<KeyObject> {
  const found = await lstat(path).catch(() => null);
  if (!found) return create(path);
  if (!found.isFile() || (process.getuid && found.uid !== process.getuid()) || (found.mode & 0o077) !== 0) {
    throw new SallyportError("home_unsafe", "The audit's signing key is not safe.", {
      detail: "It must be a file of yours that nobody else can read (mode 0600).",
      fix: "Check who could read it. If nobody did, restrict its mode; else remove it and start again: a new key is made.",
    });
  }
  try {
    const key = createPrivateKey(await readFile(path));
    if (key.asymmetricKeyType === "ed25519") return key;
  } catch (cause) {
    throw unusable(cause);
  }
  throw unusable();
}

async function create(path: string): Promise<KeyObject> {
  const { privateKey } = generateKeyPairSync("ed25519");
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  // Beside it first, so that a crash never leaves half a key in its place.
  const draft = `${path}.new`;
  const file = await open(draft, "w", 0o600);
  try {
    await file.chmod(0o600);
    await file.writeFile(privateKey.export({ type: "pkcs8", format: "pem" }));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(draft, path);
  return privateKey;
}

function unusable(cause?: unknown): SallyportError {
  return new SallyportError("audit_unavailable", "The audit's signing key cannot be read.", {
    detail: "The file is not an Ed25519 private key in PEM form.",
    fix: "Restore keys/audit.pem from a backup, or remove it: a new key is made, and older checkpoints then count as foreign.",
    ...(cause === undefined ? {} : { cause }),
  });
}
