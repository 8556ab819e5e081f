import { sign, verify } from "node:crypto";
import { canonicalJson, parseBoundedJson, SallyportError } from "../kernel/index.ts";
import { littleEndian, parseKeyId, publicKeyOf, type SigningKey } from "./keys.ts";
import type { KeyId } from "./types.ts";

/** What a DSSE envelope says once its form is sound. Nothing is verified by reading it. */
export interface Envelope {
  readonly payloadType: string;
  readonly payload: Uint8Array;
  readonly signatures: readonly EnvelopeSignature[];
}

export interface EnvelopeSignature {
  /** A `KeyId`, or the name of a seal's key. */
  readonly keyid: string;
  readonly sig: Uint8Array;
}

const MAX_BYTES = 256 * 1024;
const MAX_SIGNATURES = 16;
/** The order of Ed25519's base point: a signature whose S is not below it is a second spelling of another. */
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;

/** DSSE's pre-authentication encoding: `DSSEv1 SP LEN(type) SP type SP LEN(payload) SP payload`, lengths in bytes. */
export function preAuthEncoding(payloadType: string, payload: Uint8Array): Buffer {
  const head = `DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.length} `;
  return Buffer.concat([Buffer.from(head), payload]);
}

export function signEnvelope(payloadType: string, payload: Uint8Array, keys: readonly SigningKey[]): Envelope {
  const bytes = preAuthEncoding(payloadType, payload);
  return {
    payloadType,
    payload,
    signatures: keys.map((key) => ({ keyid: key.id, sig: sign(null, bytes, key.privateKey) })),
  };
}

/** Whether this signature of the envelope is by the key that it names. False for anything odd. */
export function isSignedBy(envelope: Envelope, signature: EnvelopeSignature, key: KeyId): boolean {
  if (signature.keyid !== key || signature.sig.length !== 64) return false;
  if (littleEndian(signature.sig.subarray(32)) >= ORDER) return false;
  try {
    const bytes = preAuthEncoding(envelope.payloadType, envelope.payload);
    return verify(null, bytes, publicKeyOf(parseKeyId(key)), signature.sig);
  } catch {
    return false; // no point of the curve
  }
}

/** The one text of an envelope: canonical JSON and a line feed. */
export function writeEnvelope(envelope: Envelope): string {
  return `${canonicalJson({
    payload: base64(envelope.payload),
    payloadType: envelope.payloadType,
    signatures: envelope.signatures.map(({ keyid, sig }) => ({ keyid, sig: base64(sig) })),
  })}\n`;
}

/**
 * Reads an envelope of exactly this payload type. There is one text for each envelope, so unknown keys, repeated keys, other
 * spacing and non-canonical base64 are all refused, as is a key that signs twice.
 * @throws {SallyportError} `signature_invalid`.
 */
export function readEnvelope(text: string, payloadType: string): Envelope {
  if (Buffer.byteLength(text) > MAX_BYTES) throw malformed(`It is over ${MAX_BYTES} bytes.`);
  const envelope = toEnvelope(parse(text));
  if (envelope === undefined) throw malformed("It is no DSSE envelope.");
  if (envelope.payloadType !== payloadType) throw malformed("Its payload is of another type.");
  if (writeEnvelope(envelope) !== text) throw malformed("It is not in canonical form.");
  const keys = new Set(envelope.signatures.map(({ keyid }) => keyid));
  if (keys.size !== envelope.signatures.length) throw malformed("One key signs twice.");
  return envelope;
}

/** Reads a signed payload, which is canonical JSON. @throws {SallyportError} `signature_invalid`. */
export function readPayload(envelope: Envelope): unknown {
  const text = Buffer.from(envelope.payload).toString("utf8");
  const value = parse(text);
  if (canonicalOf(value) !== text || !Buffer.from(text).equals(envelope.payload)) {
    throw malformed("What it signs is not canonical JSON.");
  }
  return value;
}

export function malformed(detail: string, cause?: unknown): SallyportError {
  return new SallyportError("signature_invalid", "The signature file is malformed.", {
    detail,
    fix: "Get the plugin from its author again, or sign it again: sallyport plugin sign",
    ...(cause === undefined ? {} : { cause }),
  });
}

function parse(text: string): unknown {
  try {
    return parseBoundedJson(text, { maxDepth: 8 });
  } catch (cause) {
    throw malformed("It is no JSON that is accepted here.", cause);
  }
}

function canonicalOf(value: unknown): string | undefined {
  try {
    return canonicalJson(value);
  } catch {
    return undefined;
  }
}

function toEnvelope(value: unknown): Envelope | undefined {
  if (!isRecord(value) || typeof value["payloadType"] !== "string" || typeof value["payload"] !== "string") return;
  const { payloadType, payload, signatures } = value;
  if (!Array.isArray(signatures) || signatures.length === 0 || signatures.length > MAX_SIGNATURES) return;
  const read: EnvelopeSignature[] = [];
  for (const entry of signatures) {
    if (!isRecord(entry) || typeof entry["keyid"] !== "string" || typeof entry["sig"] !== "string") return;
    read.push({ keyid: entry["keyid"], sig: Buffer.from(entry["sig"], "base64") });
  }
  return { payloadType, payload: Buffer.from(payload, "base64"), signatures: read };
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}
