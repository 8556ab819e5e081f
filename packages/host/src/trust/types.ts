import type { ErrorCode, Risk } from "../kernel/index.ts";

/**
 * The file of a plugin that holds its signatures: one DSSE envelope. It is evidence about the tree and no part of it:
 * `treeDigest` and `codeDigest` leave it out, and installing keeps its text in the database and not among the files that run.
 */
export const SIGNATURE_FILE = ".sallyport/signatures/plugin.json";

/** The one module that runs, in a plugin that is bundled or packed. */
export const CODE_FILE = ".sallyport/bundle.mjs";

/**
 * An Ed25519 public key as text, which is its id too: `ed25519:` and the 32 bytes in base64url without padding (43 characters).
 * A signature therefore names its whole key; whether that key may be believed is the operator's to say.
 */
export type KeyId = `ed25519:${string}`;

/** Where a plugin came from: the part of a record's `source` before the colon. Only `directory` is this machine's own. */
export type SourceKind = "directory" | "archive" | "index" | "npm";

/** A publisher's key that an operator trusts. */
export interface TrustedKey {
  readonly id: KeyId;
  /** The publisher's name, as the operator calls it. */
  readonly name: string;
  /** Which plugins it may sign: exact ids, `publisher/*`, or `*`. Never empty. */
  readonly scopes: readonly string[];
  /** Milliseconds since the epoch; `null`: until it is taken back. */
  readonly expiresAt: number | null;
  /** The key that this one came after, by a rotation which that key signed. Both name the same publisher. */
  readonly replaces: KeyId | null;
  readonly addedBy: string;
  readonly addedAt: number;
}

/** What a decision is about. The digests are recomputed from the bytes by whoever asks, never taken from the plugin. */
export interface TrustSubject {
  readonly id: string;
  readonly version: string;
  readonly manifestDigest: string;
  readonly treeDigest: string;
  /** The highest risk among the permissions that the manifest asks for. */
  readonly risk: Risk;
  /** `undefined`: unknown, which is treated like the least trusted. */
  readonly source: SourceKind | undefined;
}

/** What came with the plugin. All of it is a stranger's text until verified. */
export interface TrustEvidence {
  /** The text of `SIGNATURE_FILE`. */
  readonly signature?: string | undefined;
  /** A Sigstore bundle (JSON text) and the integrity, `sha512-<base64>`, that the host computed of the archive it unpacked. */
  readonly provenance?: { readonly bundle: string; readonly integrity: string } | undefined;
}

/** A Sigstore identity that an operator believes for some plugins. */
export interface ProvenanceIdentity {
  /** Ids as in `TrustedKey.scopes`. */
  readonly plugins: readonly string[];
  /** Exact OIDC issuer, such as `https://token.actions.githubusercontent.com`. */
  readonly issuer: string;
  /** The certificate's subject; one `*` at the end stands for any rest. */
  readonly subject: string;
}

export type Requirement = "required" | "preferred";

/** Which evidence an operator wants, from config.yml. */
export interface TrustPolicy {
  readonly signatures: Readonly<Record<Risk, Requirement>>;
  /** Whether a plugin from a directory of this machine may come unsigned whatever its risk. */
  readonly unsignedDirectories: boolean;
  readonly provenance: readonly ProvenanceIdentity[];
}

/** Keys of the host seal, at least 32 bytes each. `previous` only checks, while a rotation is under way. */
export interface SealKeys {
  readonly current: Uint8Array;
  readonly previous?: Uint8Array | undefined;
}

/** What a decision is made with: all of it the operator's. */
export interface TrustContext {
  readonly policy: TrustPolicy;
  readonly keys: readonly TrustedKey[];
  /** `undefined`: seals are off. */
  readonly sealKeys: SealKeys | undefined;
  /** Milliseconds since the epoch. */
  readonly now: number;
  isRevoked(key: string): boolean;
}

export type EvidenceKind = "digest" | "signature" | "seal" | "provenance";

/**
 * `verified`: sound, and by whom the operator trusts for this plugin. `untrusted`: sound, by somebody whom the operator does not
 * (any more) trust; counts as nothing. `absent`: not there. `invalid`: wrong, which is a refusal even where nothing is required.
 */
export type EvidenceState = "verified" | "untrusted" | "absent" | "invalid";

export interface EvidenceItem {
  readonly kind: EvidenceKind;
  readonly state: EvidenceState;
  /** The key or identity that it is by. */
  readonly key?: string | undefined;
  /** The operator's name for that key. */
  readonly name?: string | undefined;
  /** One sentence for people. */
  readonly detail: string;
}

/**
 * `verified`: somebody whom the operator trusts for this id vouches for exactly these bytes. `unverified`: nobody does, and the
 * policy does not ask for it. `refused`: evidence is wrong, or missing where it is required.
 */
export type TrustVerdict = "verified" | "unverified" | "refused";

/** Who signed, when a signature is sound; `trusted` says whether the operator believes that key for this plugin. */
export interface Signer {
  readonly key: string;
  readonly name?: string | undefined;
  readonly trusted: boolean;
}

export interface TrustDecision {
  readonly verdict: TrustVerdict;
  readonly requirement: Requirement;
  readonly risk: Risk;
  /** Everything that was looked at, verified or not. */
  readonly evidence: readonly EvidenceItem[];
  /** Kinds of evidence that would have satisfied the policy and were not there. Empty once one was verified. */
  readonly missing: readonly EvidenceKind[];
  /** Sentences for people: why the verdict is what it is. */
  readonly reasons: readonly string[];
  readonly signer?: Signer | undefined;
  /** The trusted signer's key, and nothing else: data, configuration and secrets belong to (id, this). */
  readonly publisherKey?: string | undefined;
  /** Set exactly when refused: `signature_required`, `signature_invalid` or `revoked`, and what to do about it. */
  readonly refusal?: { readonly code: ErrorCode; readonly fix: string } | undefined;
}
