import { canonicalJson, SallyportError } from "../kernel/index.ts";
import { isRecord, isSignedBy, malformed, readEnvelope, readPayload, signEnvelope, writeEnvelope } from "./dsse.ts";
import { parseKeyId, type SigningKey } from "./keys.ts";
import type { KeyId } from "./types.ts";

/** Its own payload type, so that no signature over a plugin is one over a rotation. */
const PAYLOAD_TYPE = "application/vnd.sallyport.key-rotation+json";

/** One publisher's word that a new key speaks for it from now on. */
export interface Rotation {
  readonly from: KeyId;
  readonly to: KeyId;
}

/** The statement that both keys sign: the old one gives its trust, the new one shows that somebody holds it. */
export function writeRotation(from: SigningKey, to: SigningKey): string {
  if (from.id === to.id) {
    throw new SallyportError("usage", "The old key and the new one are the same.", {
      fix: "Make a new key first: sallyport key generate NAME",
    });
  }
  const payload = Buffer.from(canonicalJson({ from: from.id, to: to.id }));
  return writeEnvelope(signEnvelope(PAYLOAD_TYPE, payload, [from, to]));
}

/**
 * Reads a rotation and verifies both signatures. Whether the old key is trusted, and still may hand on its trust, is for the caller.
 * @throws {SallyportError} `signature_invalid`.
 */
export function readRotation(text: string): Rotation {
  const envelope = readEnvelope(text, PAYLOAD_TYPE);
  const payload = readPayload(envelope);
  if (!isRecord(payload) || Object.keys(payload).length !== 2) throw malformed("It names no two keys.");
  const from = keyIn(payload["from"]);
  const to = keyIn(payload["to"]);
  const signed = (key: KeyId): boolean => envelope.signatures.some((signature) => isSignedBy(envelope, signature, key));
  if (from === to || envelope.signatures.length !== 2 || !signed(from) || !signed(to)) {
    throw malformed("It is not signed by exactly the old key and the new one.");
  }
  return { from, to };
}

function keyIn(value: unknown): KeyId {
  if (typeof value !== "string") throw malformed("It names no two keys.");
  try {
    return parseKeyId(value);
  } catch (cause) {
    throw malformed("It names a key that cannot be used.", cause);
  }
}
