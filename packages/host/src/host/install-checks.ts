import { assertTrusted } from "../catalog/index.ts";
import { canonicalJson, displayLine, type PluginRef, PolicyViolationError, SallyportError } from "../kernel/index.ts";
import type { Manifest } from "../manifest/index.ts";
import { type PreparedPlugin, type ResolvedSource, writeSourceRecord } from "../registry/index.ts";
import { findRevocation, type PluginOrigin, type StoredPlugin } from "../store/index.ts";
import type { TrustDecision } from "../trust/index.ts";
import { assertDependenciesFit } from "./dependencies.ts";
import type { PluginsDeps } from "./plugins-deps.ts";
import { subjectOf } from "./trust.ts";

/** Where a plugin came from, who signed it, and what of it is kept. */
export interface Origin {
  readonly source: string;
  readonly origin: PluginOrigin;
  readonly decision: TrustDecision;
  readonly evidence: Pick<StoredPlugin, "signature" | "provenance" | "publisherKey">;
}

export function refOf({ manifest, treeDigest }: Pick<PreparedPlugin<Manifest>, "manifest" | "treeDigest">): PluginRef {
  return { id: manifest.id, version: manifest.version, digest: treeDigest };
}

/** What of a plugin a lock is about, before there is a record of it. */
export function lockable(prepared: PreparedPlugin<Manifest>, { source, origin, evidence }: Origin) {
  const { manifest, manifestDigest, codeDigest } = prepared;
  const { publisherKey } = evidence;
  return { ref: refOf(prepared), manifest, manifestDigest, codeDigest, source, origin, publisherKey };
}

/**
 * Refuses before anything is stored what the gates would refuse at every load, and what is not what its registry promised.
 * @throws {SallyportError} `digest_mismatch`, `signature_required`, `signature_invalid`, `revoked`.
 */
export async function examine(
  deps: PluginsDeps,
  { record, promise, provenance, opened }: ResolvedSource,
  prepared: PreparedPlugin<Manifest>,
): Promise<Origin> {
  const { manifest, manifestDigest } = prepared;
  const ref = refOf(prepared);
  if (promise) {
    assertPromised("id", promise.id, ref.id);
    assertPromised("version", promise.version, ref.version);
    assertPromised("tree digest", promise.treeDigest, ref.digest);
    // What it pulls in is the publisher's word in the manifest, never the registry's.
    assertPromised(
      "list of dependencies",
      promise.dependencies && canonicalJson(promise.dependencies),
      canonicalJson(manifest.dependencies),
    );
  }
  await refuseRevoked(deps, ref, prepared.codeDigest);
  const source = writeSourceRecord(record);
  const { signature } = opened;
  const decision = await deps.trust.decide(subjectOf({ ref, manifest, manifestDigest, source }), {
    signature,
    provenance,
  });
  assertTrusted(decision);
  return {
    source,
    origin: {
      spec: record.spec,
      registry: record.registry ?? null,
      integrity: record.integrity ?? null,
      learned: record.learned,
    },
    decision,
    evidence: { signature, provenance, publisherKey: decision.publisherKey },
  };
}

async function refuseRevoked(deps: PluginsDeps, { id, version, digest }: PluginRef, codeDigest: string): Promise<void> {
  const revocation = await findRevocation(deps.db, { id, treeDigest: digest, codeDigest });
  if (!revocation) return;
  throw new PolicyViolationError(
    "revoked",
    `${id} ${version} was revoked here (by ${revocation.kind}); that is permanent.`,
    {
      detail: `The revoked plugin was ${revocation.pluginId}: ${revocation.reason}.`,
      fix: "Use another plugin.",
    },
  );
}

/** @throws {SallyportError} `digest_mismatch`. */
export function assertPromised(what: string, expected: string | undefined, actual: string): void {
  if (expected === undefined || expected === actual) return;
  throw new SallyportError("digest_mismatch", `The ${what} of the plugin is not what its registry says.`, {
    detail: `Expected ${displayLine(expected)}, found ${displayLine(actual)}.`,
    fix: "Do not use it; tell the registry's operator.",
    data: { what, expected, actual },
  });
}

/**
 * The record of the same bytes, when they are installed already.
 * @throws {SallyportError} `conflict` for other bytes under an installed version; `dependency_conflict`; `plugin_config_invalid`.
 */
export function findInstalled(deps: PluginsDeps, prepared: PreparedPlugin<Manifest>): StoredPlugin | undefined {
  const { id, version, digest } = refOf(prepared);
  const known = deps.catalog.versions(id).find((other) => other.ref.version === version);
  if (known && known.ref.digest !== digest) {
    throw new SallyportError("conflict", `${id} ${version} is installed already, with other bytes.`, {
      detail: `Installed: ${known.ref.digest}. New: ${digest}.`,
      fix: `Give the new one another version, or run: sallyport plugin uninstall ${id} --version ${version}`,
      data: { expected: known.ref.digest, actual: digest },
    });
  }
  assertDependenciesFit(deps, prepared.manifest);
  deps.configs.checkDefaults(prepared.manifest, prepared.defaults);
  return known;
}
