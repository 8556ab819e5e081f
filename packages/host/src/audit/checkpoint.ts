import { createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import type { Checkpoint } from "../store/index.ts";

/** What a signature covers: a place in the chain, and when the host said so. */
function statement(seq: number, hash: string, at: number): Buffer {
  return Buffer.from(`sallyport-checkpoint-v1\n${seq}\n${hash}\n${at}`);
}

export function signCheckpoint(
  key: KeyObject,
  head: { readonly seq: number; readonly hash: string },
  at: number,
): Checkpoint {
  return {
    seq: head.seq,
    hash: head.hash,
    at,
    signature: sign(null, statement(head.seq, head.hash, at), key).toString("base64"),
  };
}

export function isSignedBy(publicKey: KeyObject, checkpoint: Checkpoint): boolean {
  const signature = Buffer.from(checkpoint.signature, "base64");
  // Node skips what is not base64: without this, a changed text could still be the same signature.
  if (signature.toString("base64") !== checkpoint.signature) return false;
  return verify(null, statement(checkpoint.seq, checkpoint.hash, checkpoint.at), publicKey, signature);
}

/** The public half as one line of base64 (SubjectPublicKeyInfo, DER). */
export function publicKeyText(key: KeyObject): string {
  return createPublicKey(key).export({ type: "spki", format: "der" }).toString("base64");
}

/** @throws when the text is no Ed25519 public key. */
export function publicKeyFrom(text: string): KeyObject {
  const key = createPublicKey({ key: Buffer.from(text, "base64"), type: "spki", format: "der" });
  if (key.asymmetricKeyType !== "ed25519") throw new TypeError("Not an Ed25519 key.");
  return key;
}
