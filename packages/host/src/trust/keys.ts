import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { SallyportError } from "../kernel/index.ts";
import type { KeyId } from "./types.ts";

const PREFIX = "ed25519:";
/** DER of a SubjectPublicKeyInfo for Ed25519, up to the 32 bytes of the key. */
const SPKI_HEAD = Buffer.from("302a300506032b6570032100", "hex");
const PRIME = 2n ** 255n - 19n;

const ORDER_8_Y = 0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n;

/** y of the points whose order divides 8: a key like this "verifies" signatures that nobody made. */
const SMALL_ORDER_Y: ReadonlySet<bigint> = new Set([0n, 1n, PRIME - 1n, ORDER_8_Y, PRIME - ORDER_8_Y]);

/** An Ed25519 pair. The private key is for one person's file and never enters the store. */
export interface SigningKey {
  readonly id: KeyId;
  readonly privateKey: KeyObject;
}

export function generateSigningKey(): SigningKey {
  return toSigningKey(generateKeyPairSync("ed25519").privateKey);
}

/**
 * The text of a key file: PKCS#8 in PEM, encrypted with PBKDF2 and AES-256-CBC when a passphrase is given.
 */
export function exportSigningKey(key: SigningKey, passphrase?: string): string {
  return passphrase === undefined
    ? key.privateKey.export({ type: "pkcs8", format: "pem" }).toString()
    : key.privateKey.export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase }).toString();
}

export function isEncryptedKey(pem: string): boolean {
  return pem.includes("-----BEGIN ENCRYPTED PRIVATE KEY-----");
}

/** @throws {SallyportError} `usage` when it is no Ed25519 key in PEM, or the passphrase is wrong or missing. */
export function importSigningKey(pem: string, passphrase?: string): SigningKey {
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey({ key: pem, format: "pem", ...(passphrase === undefined ? {} : { passphrase }) });
  } catch (cause) {
    throw new SallyportError("usage", "The key file cannot be read.", {
      detail: isEncryptedKey(pem)
        ? "It is encrypted, and the passphrase is missing or wrong."
        : "It is no private key in PEM form.",
      fix: "Give the file that `sallyport key generate` wrote, and its passphrase if it has one.",
      cause,
    });
  }
  if (privateKey.asymmetricKeyType !== "ed25519") {
    throw new SallyportError("usage", "The key is no Ed25519 key.", {
      detail: `It is of type ${privateKey.asymmetricKeyType ?? "unknown"}.`,
      fix: "Make one with: sallyport key generate NAME",
    });
  }
  return toSigningKey(privateKey);
}

function toSigningKey(privateKey: KeyObject): SigningKey {
  const spki = createPublicKey(privateKey).export({ type: "spki", format: "der" });
  return { id: `${PREFIX}${spki.subarray(SPKI_HEAD.length).toString("base64url")}`, privateKey };
}

/**
 * Reads a public key as people and envelopes write it.
 * @throws {SallyportError} `usage` for any other form, a second spelling of the same key, or a weak (low-order) key.
 */
export function parseKeyId(text: string): KeyId {
  if (!isKeyIdShaped(text)) {
    throw refused("It is not ed25519: and 43 characters of base64url.");
  }
  const raw = Buffer.from(text.slice(PREFIX.length), "base64url");
  if (raw.length !== 32 || raw.toString("base64url") !== text.slice(PREFIX.length)) {
    throw refused("Its base64url is not in canonical form.");
  }
  const y = littleEndian(raw) & (2n ** 255n - 1n);
  if (y >= PRIME) throw refused("It is a second spelling of another key.");
  if (SMALL_ORDER_Y.has(y)) throw refused("It is a weak key, under which signatures prove nothing.");
  return text;
}

function isKeyIdShaped(text: string): text is KeyId {
  return /^ed25519:[A-Za-z0-9_-]{43}$/.test(text);
}

/** The key itself. `id` comes from `parseKeyId`. */
export function publicKeyOf(id: KeyId): KeyObject {
  const raw = Buffer.from(id.slice(PREFIX.length), "base64url");
  return createPublicKey({ key: Buffer.concat([SPKI_HEAD, raw]), format: "der", type: "spki" });
}

function refused(detail: string): SallyportError {
  return new SallyportError("usage", "This is no public key that can be trusted.", {
    detail,
    fix: "Copy the whole public key that `sallyport key generate` printed: ed25519:…",
  });
}

export function littleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes.toReversed()).toString("hex")}`);
}
