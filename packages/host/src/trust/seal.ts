import { createHmac, timingSafeEqual } from "node:crypto";
import { canonicalJson, SallyportError } from "../kernel/index.ts";
import { type Envelope, type EnvelopeSignature, preAuthEncoding } from "./dsse.ts";
import { signPlugin, type SignedFacts } from "./statement.ts";
import type { SealKeys } from "./types.ts";

/** What a seal is over. A seal of one kind is never one of another. */
export type SealKind =
  | "plugin"
  | "grant"
  | "lock"
  | "registry"
  | "checkpoint"
  | "trusted-key"
  | "revocation"
  | "verified-tree";

const MIN_BYTES = 32;
const KEY_NAME = "host-seal:";

/**
 * The host's seal keys from `PLUGIN_SECRET_KEY` and `PLUGIN_SECRET_KEY_PREVIOUS`; `undefined` when there is none. There is no default.
 * @throws {SallyportError} `usage` for a key under 32 bytes: a short key is refused, not stretched; for a former key alone.
 */
export function readSealKeys(env: Readonly<Record<string, string | undefined>>): SealKeys | undefined {
  const current = keyFrom(env, "PLUGIN_SECRET_KEY");
  const previous = keyFrom(env, "PLUGIN_SECRET_KEY_PREVIOUS");
  if (previous && !current) {
    throw new SallyportError("usage", "PLUGIN_SECRET_KEY_PREVIOUS is set and PLUGIN_SECRET_KEY is not.", {
      detail: "The former key only checks; nothing could be sealed.",
      fix: "Set PLUGIN_SECRET_KEY to the new key, or to the one that you have.",
    });
  }
  return current && { current, ...(previous ? { previous } : {}) };
}

function keyFrom(env: Readonly<Record<string, string | undefined>>, name: string): Uint8Array | undefined {
  const text = env[name];
  if (text === undefined || text === "") return undefined;
  const bytes = Buffer.from(text);
  if (bytes.length >= MIN_BYTES) return bytes;
  throw new SallyportError("usage", `${name} is too short.`, {
    detail: `It has ${bytes.length} bytes; a key that can be guessed seals nothing.`,
    fix: `Set ${name} to at least ${MIN_BYTES} random bytes, for example: openssl rand -hex 32`,
  });
}

/** HMAC-SHA256, as 64 hex digits, over a record of this kind. */
export function sealOf(kind: SealKind, record: unknown, key: Uint8Array): string {
  return createHmac("sha256", key)
    .update(`sallyport-seal-v1\n${kind}\n${canonicalJson(record)}`)
    .digest("hex");
}

/** Which of the keys sealed this record. `undefined`: none did, so the record is nobody's. */
export function checkSeal(
  kind: SealKind,
  record: unknown,
  seal: string | null | undefined,
  keys: SealKeys,
): "current" | "previous" | undefined {
  if (seal === null || seal === undefined || !/^[0-9a-f]{64}$/.test(seal)) return undefined;
  const given = Buffer.from(seal, "hex");
  const made = (key: Uint8Array): Uint8Array => Buffer.from(sealOf(kind, record, key), "hex");
  if (timingSafeEqual(given, made(keys.current))) return "current";
  return keys.previous && timingSafeEqual(given, made(keys.previous)) ? "previous" : undefined;
}

/** The name of a seal's key in an envelope: says which key it was, nothing about the key. */
export function sealKeyName(key: Uint8Array): string {
  return `${KEY_NAME}${createHmac("sha256", key).update("sallyport-seal-key-name-v1").digest("hex").slice(0, 32)}`;
}

export function isSealKeyName(keyid: string): boolean {
  return keyid.startsWith(KEY_NAME);
}

/** Marks a plugin as signed on this host: the statement that publishers sign, under HMAC-SHA256 by the host's key. */
export function sealPlugin(facts: SignedFacts, key: Uint8Array): EnvelopeSignature {
  const envelope = signPlugin(facts, []);
  return { keyid: sealKeyName(key), sig: macOf(envelope, key) };
}

/** `true` or `false` when it names a key of this host, `undefined` when it is another host's. */
export function isSealedBy(
  envelope: Envelope,
  { keyid, sig }: EnvelopeSignature,
  keys: SealKeys | undefined,
): boolean | undefined {
  const own = [keys?.current, keys?.previous].find((key) => key !== undefined && sealKeyName(key) === keyid);
  if (!own) return undefined;
  const made = macOf(envelope, own);
  return sig.length === made.length && timingSafeEqual(sig, made);
}

function macOf(envelope: Envelope, key: Uint8Array): Buffer {
  return createHmac("sha256", key)
    .update("sallyport-seal-v1\nplugin-signature\n")
    .update(preAuthEncoding(envelope.payloadType, envelope.payload))
    .digest();
}
