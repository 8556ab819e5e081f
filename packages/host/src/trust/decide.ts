import { toSallyportError } from "../kernel/index.ts";
import { type Envelope, type EnvelopeSignature, isSignedBy } from "./dsse.ts";
import { parseKeyId } from "./keys.ts";
import { checkProvenance } from "./provenance.ts";
import { scopesName } from "./scopes.ts";
import { isSealedBy, isSealKeyName } from "./seal.ts";
import { differenceOf, readPluginSignature } from "./statement.ts";
import type {
  EvidenceItem,
  EvidenceKind,
  KeyId,
  Requirement,
  Signer,
  TrustContext,
  TrustDecision,
  TrustEvidence,
  TrustSubject,
} from "./types.ts";

/** A signature's item may also say that its key was revoked, which no policy forgives. */
interface Finding extends EvidenceItem {
  readonly revoked?: boolean;
}

/**
 * Looks at all evidence that came with a plugin and says what it is worth here. Wrong evidence refuses even where none is
 * required; absent, foreign or expired evidence refuses where it is.
 */
export async function decideTrust(
  subject: TrustSubject,
  evidence: TrustEvidence,
  context: TrustContext,
): Promise<TrustDecision> {
  const findings = [
    { kind: "digest", state: "verified", detail: `The bytes have the tree digest ${subject.treeDigest}.` } as const,
    ...checkSignatures(subject, evidence.signature, context),
    await checkProvenance(subject, evidence.provenance, context),
  ];
  return conclude(subject, findings, context);
}

/** What the operator requires for a plugin of this risk from this kind of source. */
function requirementFor(
  subject: Pick<TrustSubject, "risk" | "source">,
  context: Pick<TrustContext, "policy">,
): Requirement {
  if (subject.source === "directory" && context.policy.unsignedDirectories) return "preferred";
  return context.policy.signatures[subject.risk];
}

function conclude(subject: TrustSubject, findings: readonly Finding[], context: TrustContext): TrustDecision {
  const requirement = requirementFor(subject, context);
  const vouchers = findings.filter(({ kind }) => kind !== "digest");
  const good = vouchers.find(({ state }) => state === "verified");
  const wrong = vouchers.find(({ state }) => state === "invalid");
  const signer = signerOf(vouchers);
  const base = {
    requirement,
    risk: subject.risk,
    evidence: findings.map(({ revoked: _revoked, ...item }) => item),
    missing: good ? [] : missingOf(vouchers),
    ...(signer ? { signer } : {}),
  };
  const who = `${subject.id} ${subject.version}`;
  if (wrong) {
    const fix = wrong.revoked === true ? "Use another plugin, or a version signed by another key." : INVALID_FIX;
    const code = wrong.revoked === true ? "revoked" : "signature_invalid";
    return { ...base, verdict: "refused", reasons: [wrong.detail], refusal: { code, fix } };
  }
  if (good) {
    const publisherKey = good.kind === "seal" ? undefined : good.key;
    return {
      ...base,
      verdict: "verified",
      reasons: [`${good.name ?? "This host"} vouches for exactly these bytes.`],
      ...(publisherKey === undefined ? {} : { publisherKey }),
    };
  }
  const why = vouchers.map(({ detail }) => detail);
  if (requirement === "required") {
    return {
      ...base,
      verdict: "refused",
      reasons: [`${who} asks for permissions of ${subject.risk} risk, which requires a trusted signature.`, ...why],
      refusal: { code: "signature_required", fix: requiredFix(subject, signer) },
    };
  }
  const allowed =
    subject.source === "directory" && context.policy.unsignedDirectories
      ? "It comes from a directory of this machine, which needs no signature."
      : `A signature is preferred and not required for ${subject.risk} risk.`;
  return { ...base, verdict: "unverified", reasons: [allowed, ...why] };
}

const INVALID_FIX =
  "Do not use these files. Get the plugin from its author again, and see what was checked: sallyport plugin verify";

function requiredFix(subject: TrustSubject, signer: Signer | undefined): string {
  return signer
    ? `If this key is the author's (ask on another way), run: sallyport key trust NAME ${signer.key} --scope ${subject.id}`
    : "Ask the author for a signed archive, or sign it yourself: sallyport plugin sign FILE --key NAME";
}

function missingOf(vouchers: readonly Finding[]): readonly EvidenceKind[] {
  const kinds: readonly EvidenceKind[] = ["signature", "provenance"];
  return kinds.filter((kind) => !vouchers.some((item) => item.kind === kind && item.state === "verified"));
}

function signerOf(vouchers: readonly Finding[]): Signer | undefined {
  const signers = vouchers.filter(({ kind }) => kind !== "seal");
  const item =
    signers.find(({ state }) => state === "verified") ??
    signers.find(({ state, key }) => state === "untrusted" && key !== undefined);
  if (item?.key === undefined) return undefined;
  return { key: item.key, ...(item.name === undefined ? {} : { name: item.name }), trusted: item.state === "verified" };
}

function checkSignatures(subject: TrustSubject, text: string | undefined, context: TrustContext): readonly Finding[] {
  if (text === undefined) return [{ kind: "signature", state: "absent", detail: "It is not signed." }];
  try {
    const { envelope, facts } = readPluginSignature(text);
    const difference = differenceOf(facts, subject);
    if (difference) {
      const { what, signed, actual } = difference;
      const detail = `Its signature is for the ${what} ${shown(signed)}, and these files have ${actual}.`;
      return [{ kind: "signature", state: "invalid", detail }];
    }
    return envelope.signatures.map((signature) => checkOne(subject, envelope, signature, context));
  } catch (error) {
    const { message, detail } = toSallyportError(error);
    return [{ kind: "signature", state: "invalid", detail: detail ? `${message} ${detail}` : message }];
  }
}

function checkOne(
  subject: TrustSubject,
  envelope: Envelope,
  signature: EnvelopeSignature,
  context: TrustContext,
): Finding {
  if (isSealKeyName(signature.keyid)) return checkHostSeal(envelope, signature, context);
  const key = parseKeyId(signature.keyid);
  if (!isSignedBy(envelope, signature, key)) {
    return { kind: "signature", state: "invalid", key, detail: `The signature by ${key} is wrong.` };
  }
  return judgeKey(subject, key, context);
}

/** The signature is sound: what is its key worth, for this plugin, now? */
function judgeKey(subject: TrustSubject, key: KeyId, context: TrustContext): Finding {
  const item = { kind: "signature", key } as const;
  if (context.isRevoked(key)) {
    return { ...item, state: "invalid", revoked: true, detail: `The key ${key} that signed it was revoked here.` };
  }
  const trusted = context.keys.find(({ id }) => id === key);
  if (!trusted) return { ...item, state: "untrusted", detail: `It is signed by ${key}, which is not trusted here.` };
  const named = { ...item, name: trusted.name };
  if (trusted.expiresAt !== null && trusted.expiresAt <= context.now) {
    const day = new Date(trusted.expiresAt).toISOString();
    return {
      ...named,
      state: "untrusted",
      detail: `It is signed by ${trusted.name}, whose key was trusted until ${day}.`,
    };
  }
  if (!scopesName(trusted.scopes, subject.id)) {
    const scopes = trusted.scopes.join(", ");
    const detail = `It is signed by ${trusted.name}, who may sign ${scopes} here and not ${subject.id}.`;
    return { ...named, state: "invalid", detail };
  }
  return { ...named, state: "verified", detail: `Signed by ${trusted.name} (${key}).` };
}

function checkHostSeal(envelope: Envelope, signature: EnvelopeSignature, { sealKeys }: TrustContext): Finding {
  const item = { kind: "seal", key: signature.keyid } as const;
  switch (isSealedBy(envelope, signature, sealKeys)) {
    case true:
      return { ...item, state: "verified", detail: "Sealed on this host with PLUGIN_SECRET_KEY." };
    case false:
      return { ...item, state: "invalid", detail: "The seal of this host on it is wrong." };
    case undefined:
      return { ...item, state: "untrusted", detail: "It has a seal by a key that this host does not have." };
  }
}

function shown(text: string): string {
  return text.length <= 80 && /^[\x21-\x7e]*$/.test(text) ? text : "of something else";
}
