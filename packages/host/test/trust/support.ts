import { sha256 } from "../../src/kernel/index.ts";
import {
  type FileLeaf,
  generateSigningKey,
  type SignedFacts,
  signPlugin,
  type SigningKey,
  treeDigest,
  type TrustContext,
  type TrustedKey,
  type TrustPolicy,
  type TrustSubject,
  writeEnvelope,
} from "../../src/trust/index.ts";

export const NOW = Date.UTC(2026, 0, 1);
export const DAY = 86_400_000;

export const STRICT: TrustPolicy = {
  signatures: { low: "preferred", medium: "required", high: "required", critical: "required" },
  unsignedDirectories: true,
  provenance: [],
};

export function contextOf(given: Partial<TrustContext> = {}): TrustContext {
  return { policy: STRICT, keys: [], sealKeys: undefined, now: NOW, isRevoked: () => false, ...given };
}

export function trusted(key: SigningKey, given: Partial<TrustedKey> = {}): TrustedKey {
  return {
    id: key.id,
    name: "Acme",
    scopes: ["*"],
    expiresAt: null,
    replaces: null,
    addedBy: "alice",
    addedAt: NOW,
    ...given,
  };
}

export const FILES: Readonly<Record<string, string>> = {
  "plugin.yml": "manifest_version: 1\nid: weather\n",
  ".sallyport/bundle.mjs": "export default { tools: {} };\n",
  "README.md": "Forecasts.\n",
};

export function leavesOf(files: Readonly<Record<string, string | Uint8Array>>): readonly FileLeaf[] {
  return Object.entries(files).map(([path, content]) => ({
    path,
    mode: 0o644,
    size: Buffer.byteLength(content),
    sha256: sha256(content),
  }));
}

/** What the host would ask about these files: everything recomputed from the bytes. */
export function subjectOf(
  files: Readonly<Record<string, string | Uint8Array>> = FILES,
  given: Partial<TrustSubject> = {},
): TrustSubject {
  return {
    id: "weather",
    version: "1.2.0",
    manifestDigest: sha256(files["plugin.yml"] ?? ""),
    treeDigest: treeDigest(leavesOf(files)),
    risk: "high",
    source: "archive",
    ...given,
  };
}

export function signed(facts: SignedFacts, ...keys: readonly SigningKey[]): string {
  return writeEnvelope(signPlugin(facts, keys));
}

export const ACME = generateSigningKey();
export const MALLORY = generateSigningKey();
