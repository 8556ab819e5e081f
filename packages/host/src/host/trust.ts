import { riskOf } from "../capability/index.ts";
import type { HostConfig } from "../config/index.ts";
import type { SignerView, TrustView } from "../host-api.ts";
import type { Clock, Risk } from "../kernel/index.ts";
import type { Manifest } from "../manifest/index.ts";
import { type Database, listRevocations, listTrustedKeys, type StoredKey, type StoredPlugin } from "../store/index.ts";
import {
  decideTrust,
  parseKeyId,
  type SourceKind,
  type TrustDecision,
  type TrustedKey,
  type TrustEvidence,
  type TrustSubject,
} from "../trust/index.ts";
import type { Seals } from "./seals.ts";

/** What the operators of this home trust, and decisions made with it. */
export interface TrustState {
  readonly seals: Seals;
  /** As stored, in force or not. */
  readonly stored: readonly StoredKey[];
  /** Whether the key may still be used: sealed by this host, not expired, not revoked. */
  stateOf(key: StoredKey): KeyState;
  isRevoked(key: string): boolean;
  decide(subject: TrustSubject, evidence: TrustEvidence): Promise<TrustDecision>;
  decideFor(record: StoredPlugin): Promise<TrustDecision>;
  /** Who signed, for lists: what installing found, with what is known of that key now. Verifies nothing again. */
  signerOf(record: StoredPlugin): SignerView;
  /** Reads keys and revocations again after a change. */
  refresh(): Promise<void>;
}

export type KeyState = "trusted" | "expired" | "revoked" | "unsealed";

export interface TrustSources {
  readonly db: Database;
  readonly clock: Clock;
  readonly seals: Seals;
  config(): HostConfig;
}

export async function createTrustState({ db, clock, seals, config }: TrustSources): Promise<TrustState> {
  let stored: readonly StoredKey[] = [];
  let keys: readonly TrustedKey[] = [];
  let revoked: ReadonlySet<string> = new Set();

  async function refresh(): Promise<void> {
    const [all, revocations] = await Promise.all([listTrustedKeys(db), listRevocations(db)]);
    stored = all;
    revoked = new Set(revocations.flatMap(({ kind, value }) => (kind === "publisher_key" ? [value] : [])));
    // A key that somebody wrote into the database is no key that an operator trusts.
    keys = all.filter(seals.isOwnKey).flatMap(toTrustedKey);
  }
  await refresh();

  function stateOf(key: StoredKey): KeyState {
    if (revoked.has(key.id)) return "revoked";
    if (!seals.isOwnKey(key)) return "unsealed";
    return key.expiresAt !== null && key.expiresAt <= clock.now() ? "expired" : "trusted";
  }

  function decide(subject: TrustSubject, evidence: TrustEvidence): Promise<TrustDecision> {
    return decideTrust(subject, evidence, {
      policy: config().trust,
      keys,
      sealKeys: seals.keys,
      now: clock.now(),
      isRevoked: (key) => revoked.has(key),
    });
  }

  return {
    seals,
    get stored() {
      return stored;
    },
    stateOf,
    isRevoked: (key) => revoked.has(key),
    decide,
    decideFor: (record) => decide(subjectOf(record), record),
    signerOf(record) {
      if (record.signature === undefined && record.provenance === undefined) return { state: "unsigned" };
      const { publisherKey } = record;
      if (publisherKey === undefined) return { state: "unknown" };
      if (publisherKey.startsWith("sigstore:")) return { state: "signed", key: publisherKey };
      const key = stored.find(({ id }) => id === publisherKey);
      if (!key || stateOf(key) !== "trusted") return { state: "unknown", key: publisherKey };
      return { state: "signed", key: publisherKey, name: key.name };
    },
    refresh,
  };
}

function toTrustedKey(key: StoredKey): TrustedKey[] {
  try {
    const replaces = key.replaces === null ? null : parseKeyId(key.replaces);
    return [{ ...key, id: parseKeyId(key.id), replaces }];
  } catch {
    return []; // no key that this program would have stored
  }
}

export function subjectOf(record: Pick<StoredPlugin, "ref" | "manifest" | "manifestDigest" | "source">): TrustSubject {
  return {
    id: record.ref.id,
    version: record.ref.version,
    manifestDigest: record.manifestDigest,
    treeDigest: record.ref.digest,
    risk: highestRisk(record.manifest),
    source: sourceKindOf(record.source),
  };
}

const RISKS: readonly Risk[] = ["low", "medium", "high", "critical"];

/** The highest risk among what a manifest asks for. */
export function highestRisk(manifest: Pick<Manifest, "permissions">): Risk {
  const highest = Math.max(0, ...manifest.permissions.map((request) => RISKS.indexOf(riskOf(request))));
  return RISKS[highest] ?? "critical";
}

const KINDS: readonly SourceKind[] = ["directory", "archive", "index", "npm"];

function sourceKindOf(source: string): SourceKind | undefined {
  return KINDS.find((kind) => source.startsWith(`${kind}:`));
}

export function trustView({ refusal, ...decision }: TrustDecision): TrustView {
  return { ...decision, ...(refusal ? { code: refusal.code, fix: refusal.fix } : {}) };
}

/** For the sentence that an operator says yes to. */
export function signerSentence(decision: TrustDecision): string {
  const { signer } = decision;
  if (signer?.trusted === true) return `It is signed by ${signer.name ?? signer.key}.`;
  if (decision.verdict === "verified") return "It is sealed on this host.";
  return signer ? `It is signed by ${signer.key}, whom nobody here vouches for.` : "It is not signed.";
}
