import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import type { toTrustMaterial as toTrustMaterialOf } from "@sigstore/verify";
import { displayLine, parseBoundedJson } from "../kernel/index.ts";
import { isRecord } from "./dsse.ts";
import { scopesName } from "./scopes.ts";
import type { EvidenceItem, ProvenanceIdentity, TrustContext, TrustEvidence, TrustSubject } from "./types.ts";

const MAX_BYTES = 1024 * 1024;
const PAYLOAD_TYPE = "application/vnd.in-toto+json";
/** Both mean "this was built there from that source"; a registry's own attestation of a publication does not. */
const BUILD_PREDICATES: ReadonlySet<string> = new Set([
  "https://slsa.dev/provenance/v0.2",
  "https://slsa.dev/provenance/v1",
]);

/** What a sound provenance says: who signed, by which issuer's word, over which archive. */
interface Provenance {
  readonly issuer: string;
  readonly subject: string;
  /** `sha512-<base64>` of each archive that it names. */
  readonly integrities: readonly string[];
}

/**
 * A Sigstore bundle as npm publishes it, against the trust root that ships with the verifier: no network. It proves which
 * workflow built the archive; whether that identity may speak for this plugin is the operator's to say.
 */
export async function checkProvenance(
  subject: TrustSubject,
  given: TrustEvidence["provenance"],
  { policy }: Pick<TrustContext, "policy">,
): Promise<EvidenceItem> {
  if (given === undefined) return { kind: "provenance", state: "absent", detail: "It has no build provenance." };
  let found: Provenance;
  try {
    found = await verifyBundle(given.bundle);
  } catch (error) {
    const why = error instanceof Error ? displayLine(error.message) : "unknown";
    return { kind: "provenance", state: "invalid", detail: `Its build provenance does not verify: ${why}.` };
  }
  const who = `${displayLine(found.subject)} (${displayLine(found.issuer)})`;
  if (!found.integrities.includes(given.integrity)) {
    const detail = `Its build provenance by ${who} is for another archive than this one (${given.integrity}).`;
    return { kind: "provenance", state: "invalid", detail };
  }
  const identity = policy.provenance.find((entry) => names(entry, subject.id, found));
  if (!identity) {
    const detail = `It was built by ${who}, whom trust.provenance in config.yml does not name for ${subject.id}.`;
    return { kind: "provenance", state: "untrusted", detail };
  }
  const key = identityKey(identity);
  return {
    kind: "provenance",
    state: "verified",
    key,
    name: displayLine(identity.subject),
    detail: `Built by ${who}.`,
  };
}

function names(entry: ProvenanceIdentity, pluginId: string, found: Provenance): boolean {
  if (!scopesName(entry.plugins, pluginId) || entry.issuer !== found.issuer) return false;
  return entry.subject.endsWith("*")
    ? found.subject.startsWith(entry.subject.slice(0, -1))
    : found.subject === entry.subject;
}

/** The same for every version that the identity builds, as a publisher's key is. */
function identityKey({ issuer, subject }: ProvenanceIdentity): string {
  return `sigstore:${createHash("sha256").update(`${issuer}\n${subject}`).digest("hex")}`;
}

async function verifyBundle(text: string): Promise<Provenance> {
  if (Buffer.byteLength(text) > MAX_BYTES) throw new Error("it is over 1 MiB");
  const json = parseBoundedJson(text, { maxDepth: 32 });
  const [{ bundleFromJSON }, { toSignedEntity, toTrustMaterial, Verifier }] = await Promise.all([
    import("@sigstore/bundle"),
    import("@sigstore/verify"),
  ]);
  const bundle = bundleFromJSON(json);
  if (bundle.content.$case !== "dsseEnvelope") throw new Error("it signs no statement");
  const envelope = bundle.content.dsseEnvelope;
  if (envelope.payloadType !== PAYLOAD_TYPE) throw new Error("its payload is no in-toto statement");
  const verifier = new Verifier(toTrustMaterial(await trustedRoot()));
  const { identity } = verifier.verify(toSignedEntity(bundle));
  const issuer = identity?.extensions?.issuer;
  const subject = identity?.subjectAlternativeName;
  if (issuer === undefined || subject === undefined) throw new Error("its certificate names nobody");
  return { issuer, subject, integrities: integritiesOf(envelope.payload) };
}

function integritiesOf(payload: Uint8Array): readonly string[] {
  const statement = parseBoundedJson(Buffer.from(payload).toString("utf8"), { maxDepth: 32 });
  if (!isRecord(statement) || !BUILD_PREDICATES.has(String(statement["predicateType"]))) {
    throw new Error("it is no build provenance");
  }
  const subjects: readonly unknown[] = Array.isArray(statement["subject"]) ? statement["subject"] : [];
  return subjects.flatMap((entry) => {
    const digest = isRecord(entry) && isRecord(entry["digest"]) ? entry["digest"]["sha512"] : undefined;
    if (typeof digest !== "string" || !/^[0-9a-f]{128}$/.test(digest)) return [];
    return [`sha512-${Buffer.from(digest, "hex").toString("base64")}`];
  });
}

type TrustedRoot = Parameters<typeof toTrustMaterialOf>[0];

let root: TrustedRoot | undefined;

/** The trust root that `@sigstore/tuf` ships, taken as data: its own way of reading it asks the network first. */
async function trustedRoot(): Promise<TrustedRoot> {
  if (root) return root;
  const { default: seeds }: { default: unknown } = await import("@sigstore/tuf/seeds.json", { with: { type: "json" } });
  const seed = isRecord(seeds) ? seeds["https://tuf-repo-cdn.sigstore.dev"] : undefined;
  const targets = isRecord(seed) ? seed["targets"] : undefined;
  const text = isRecord(targets) ? targets["trusted_root.json"] : undefined;
  if (typeof text !== "string") throw new Error("the trust root is missing from this installation");
  const own = createRequire(import.meta.url);
  const theirs = createRequire(own.resolve("@sigstore/tuf"));
  const specs: { TrustedRoot: { fromJSON(json: unknown): TrustedRoot } } = theirs("@sigstore/protobuf-specs");
  root = specs.TrustedRoot.fromJSON(parseBoundedJson(Buffer.from(text, "base64").toString("utf8"), { maxDepth: 32 }));
  return root;
}
