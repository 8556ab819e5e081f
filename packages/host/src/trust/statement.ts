import { canonicalJson } from "../kernel/index.ts";
import { type Envelope, isRecord, malformed, readEnvelope, readPayload, signEnvelope } from "./dsse.ts";
import type { SigningKey } from "./keys.ts";
import type { TrustSubject } from "./types.ts";

const PAYLOAD_TYPE = "application/vnd.in-toto+json";
const STATEMENT_TYPE = "https://in-toto.io/Statement/v1";
/** Ours, so that no other in-toto statement over the same digest is taken for a plugin's. */
const PREDICATE_TYPE = "urn:sallyport:plugin-signature:v1";

/** What a publisher signs: these bytes are that version of that plugin. No time is in it, so it verifies as well tomorrow. */
export type SignedFacts = Pick<TrustSubject, "id" | "version" | "manifestDigest" | "treeDigest">;

function statementOf({ id, version, manifestDigest, treeDigest }: SignedFacts) {
  return {
    _type: STATEMENT_TYPE,
    predicateType: PREDICATE_TYPE,
    predicate: { id, manifestDigest, treeDigest, version },
    subject: [{ name: `${id}@${version}`, digest: { sha256: treeDigest.replace(/^sha256:/, "") } }],
  };
}

/** The envelope that `keys` sign over a plugin. */
export function signPlugin(facts: SignedFacts, keys: readonly SigningKey[]): Envelope {
  return signEnvelope(PAYLOAD_TYPE, Buffer.from(canonicalJson(statementOf(facts))), keys);
}

/** @throws {SallyportError} `signature_invalid` when it is no plugin's signature file. Verifies nothing yet. */
export function readPluginSignature(text: string): { readonly envelope: Envelope; readonly facts: SignedFacts } {
  const envelope = readEnvelope(text, PAYLOAD_TYPE);
  const statement = readPayload(envelope);
  const predicate = isRecord(statement) ? statement["predicate"] : undefined;
  if (!isRecord(predicate)) throw malformed("It signs no statement about a plugin.");
  const { id, version, manifestDigest, treeDigest } = predicate;
  if (
    typeof id !== "string" ||
    typeof version !== "string" ||
    typeof manifestDigest !== "string" ||
    typeof treeDigest !== "string"
  ) {
    throw malformed("Its statement is incomplete.");
  }
  const facts = { id, version, manifestDigest, treeDigest };
  // One statement for each set of facts: what is not in it, or is in it twice with a difference, is another text.
  if (canonicalJson(statementOf(facts)) !== Buffer.from(envelope.payload).toString("utf8")) {
    throw malformed("Its statement is not the one that its facts make.");
  }
  return { envelope, facts };
}

/** The first fact that a signature states otherwise than the bytes do. */
export function differenceOf(
  signed: SignedFacts,
  actual: SignedFacts,
): { readonly what: string; readonly signed: string; readonly actual: string } | undefined {
  const words = { id: "id", version: "version", manifestDigest: "manifest digest", treeDigest: "tree digest" } as const;
  for (const key of ["id", "version", "manifestDigest", "treeDigest"] as const) {
    if (signed[key] !== actual[key]) return { what: words[key], signed: signed[key], actual: actual[key] };
  }
  return undefined;
}
