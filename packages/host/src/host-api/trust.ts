import type { ErrorCode, Risk } from "../kernel/index.ts";
import type { EvidenceItem } from "../trust/index.ts";
import type { Operator } from "./operate.ts";

/** Who signed a plugin, as lists show it: `unknown` is signed by a key that is not (any more) trusted here. */
export interface SignerView {
  readonly state: "signed" | "unsigned" | "unknown";
  readonly key?: string;
  /** The operator's name for the key. */
  readonly name?: string;
}

/** What was checked of a plugin's origin, by which evidence, and what was missing. */
export interface TrustView {
  readonly verdict: "verified" | "unverified" | "refused";
  readonly requirement: "required" | "preferred";
  readonly risk: Risk;
  readonly evidence: readonly EvidenceItem[];
  readonly missing: readonly string[];
  /** Sentences, the first of which says it all. */
  readonly reasons: readonly string[];
  readonly signer?: { readonly key: string; readonly name?: string | undefined; readonly trusted: boolean } | undefined;
  readonly publisherKey?: string | undefined;
  /** When refused: why, and what to do. */
  readonly code?: ErrorCode;
  readonly fix?: string;
}

/** A plugin that is not (yet) installed, or an installed one, and what its evidence is worth here. */
export interface VerifyAnswer {
  readonly id: string;
  readonly version: string;
  readonly digest: string;
  readonly trust: TrustView;
}

/** A publisher's key that an operator trusts. Times are milliseconds since the epoch. */
export interface TrustedKeyView {
  /** The public key itself: `ed25519:…`. */
  readonly id: string;
  readonly name: string;
  /** Which plugins it may sign: ids, `publisher/*`, `*`. */
  readonly scopes: readonly string[];
  readonly expiresAt: number | null;
  readonly replaces: string | null;
  readonly addedBy: string;
  readonly addedAt: number;
  /** `unsealed`: somebody but this host wrote it into the database; it counts as nothing. */
  readonly state: "trusted" | "expired" | "revoked" | "unsealed";
}

export interface KeysApi {
  list(): Promise<readonly TrustedKeyView[]>;
  /** Scopes default to `<name>/*`. @throws {SallyportError} `usage`; `revoked` for a key that was revoked here. */
  trust(
    operator: Operator,
    request: {
      readonly name: string;
      readonly key: string;
      readonly scopes?: readonly string[];
      readonly expiresAt?: number;
    },
  ): Promise<TrustedKeyView>;
  /** Trusts the key that a trusted one names as its successor, as far as the old one. Takes the statement's text. */
  rotate(operator: Operator, statement: string): Promise<TrustedKeyView>;
  /** Takes trust back. What needs that signature stops. */
  untrust(operator: Operator, keyOrName: string): Promise<{ readonly key: string }>;
  /** For good, known or not: whatever it signed is refused, whoever else signed it. */
  revoke(operator: Operator, keyOrName: string, reason?: string): Promise<{ readonly key: string }>;
  /** Seals every record with the key of now. */
  reseal(operator: Operator): Promise<{ readonly plugins: number; readonly grants: number; readonly keys: number }>;
}
