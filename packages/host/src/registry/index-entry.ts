import { riskOf } from "../capability/index.ts";
import { displayLine, SallyportError, sha256, toSallyportError } from "../kernel/index.ts";
import type { Manifest } from "../manifest/index.ts";
import { isSignedBy, parseKeyId, readPluginSignature, type SignedFacts } from "../trust/index.ts";
import { openArchive } from "./archive.ts";
import { type IndexEntry, integrityOf } from "./index-format.ts";
import { type PreparedPlugin, type PreparePorts, preparePlugin } from "./prepare.ts";

/**
 * The index's line for one archive, read and checked as installing would. Nothing of it runs, and what is not packed is refused:
 * it would be bundled anew at each install.
 * @throws {SallyportError} as `openArchive` and `preparePlugin`; `usage`, `signature_invalid`.
 */
export async function entryOf(
  file: string,
  bytes: Uint8Array,
  publishedAt: number,
  ports: PreparePorts<Manifest>,
): Promise<IndexEntry> {
  const source = await openArchive(bytes);
  const prepared = await preparePlugin(source, ports);
  const { manifest } = prepared;
  if (!prepared.packed && manifest.interpreter === undefined) throw notPacked(file);
  return {
    id: manifest.id,
    version: manifest.version,
    name: manifest.name,
    description: manifest.description,
    author: manifest.author ?? null,
    license: manifest.license ?? null,
    categories: [...manifest.categories],
    engine: manifest.engines.sallyport ?? null,
    dependencies: { ...manifest.dependencies },
    permissions: manifest.permissions.map((request) => ({
      capability: request.capability,
      key: request.key,
      risk: riskOf(request),
    })),
    file,
    length: bytes.length,
    sha256: sha256(bytes),
    integrity: integrityOf(bytes),
    tree_digest: prepared.treeDigest,
    manifest_digest: prepared.manifestDigest,
    signed_by: signersOf(file, prepared),
    published_at: publishedAt,
    yanked: null,
  };
}

/** Keys whose signatures over exactly these bytes are sound; a seal is of one host only and tells others nothing. */
function signersOf(file: string, prepared: PreparedPlugin<Manifest>): string[] {
  const { signature } = prepared.source;
  if (signature === undefined) return [];
  const facts: SignedFacts = {
    id: prepared.manifest.id,
    version: prepared.manifest.version,
    manifestDigest: prepared.manifestDigest,
    treeDigest: prepared.treeDigest,
  };
  const { envelope, facts: signed } = readPluginSignature(signature);
  const same = (["id", "version", "manifestDigest", "treeDigest"] as const).every((key) => signed[key] === facts[key]);
  if (!same) throw badSignature(file, "It is about other bytes.");
  return envelope.signatures.flatMap((one) => {
    if (!one.keyid.startsWith("ed25519:")) return [];
    const key = keyOf(file, one.keyid);
    if (!isSignedBy(envelope, one, key)) throw badSignature(file, `The one by ${key} is wrong.`);
    return [key];
  });
}

function keyOf(file: string, keyid: string) {
  try {
    return parseKeyId(keyid);
  } catch (error) {
    throw badSignature(file, toSallyportError(error).detail ?? "Its key is no key.");
  }
}

function badSignature(file: string, detail: string): SallyportError {
  return new SallyportError("signature_invalid", `The signature in ${displayLine(file)} is wrong.`, {
    detail,
    fix: "Get the archive from its author again, or sign it again: sallyport plugin sign",
  });
}

function notPacked(file: string): SallyportError {
  return new SallyportError("usage", `${displayLine(file)} is not packed.`, {
    detail: "Each install would bundle it anew, so that no digest and no signature would hold.",
    fix: "Make it with: sallyport plugin pack DIR",
  });
}
