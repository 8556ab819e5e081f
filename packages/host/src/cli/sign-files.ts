import { randomBytes } from "node:crypto";
import { mkdir, open, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { SallyportError, sha256 } from "../kernel/index.ts";
import { findManifest, readManifest } from "../manifest/index.ts";
import { isPacked, openSource, preparePlugin, writeArchive } from "../registry/index.ts";
import {
  readPluginSignature,
  sealPlugin,
  SIGNATURE_FILE,
  type SignedFacts,
  signPlugin,
  type SigningKey,
  writeEnvelope,
} from "../trust/index.ts";

/** What to sign with: an author's key, the host's seal, or both. */
export interface SignWith {
  readonly key?: SigningKey | undefined;
  readonly sealKey?: Uint8Array | undefined;
}

export interface SignedFile extends SignedFacts {
  /** Where the signature is now: a file of the folder, or the archive that was written anew. */
  readonly file: string;
  /** Ids of all keys that sign it now. */
  readonly keys: readonly string[];
}

/**
 * Signs a packed plugin in its folder or its archive. Signatures by other keys over the same bytes are kept.
 * @throws {SallyportError} `usage` for a plugin that is not packed: installing would bundle it and change what was signed.
 */
export async function signAt(path: string, { key, sealKey }: SignWith): Promise<SignedFile> {
  const source = await openSource(path);
  const prepared = await preparePlugin(source, {
    findManifest,
    readManifest,
    inspect(manifest) {
      if (!isPacked(source.files) && manifest.interpreter === undefined) throw notPacked();
    },
  });
  const facts = {
    id: prepared.manifest.id,
    version: prepared.manifest.version,
    manifestDigest: prepared.manifestDigest,
    treeDigest: prepared.treeDigest,
  };
  const fresh = signPlugin(facts, key ? [key] : []);
  const own = [...fresh.signatures, ...(sealKey ? [sealPlugin(facts, sealKey)] : [])];
  const kept = earlier(source.signature, fresh.payload).filter(({ keyid }) => own.every((one) => one.keyid !== keyid));
  const signatures = [...kept, ...own];
  const bytes = Buffer.from(writeEnvelope({ ...fresh, signatures }));
  let file = path;
  if (source.root === undefined) {
    const evidence = { path: SIGNATURE_FILE, mode: 0o644, size: bytes.length, sha256: sha256(bytes), bytes };
    await replaceFile(path, writeArchive([...source.files, evidence]));
  } else {
    file = join(source.root, SIGNATURE_FILE);
    await mkdir(dirname(file), { recursive: true, mode: 0o755 });
    await replaceFile(file, bytes);
  }
  return { ...facts, file, keys: signatures.map(({ keyid }) => keyid) };
}

/** Signatures that are there and are about these very bytes. Others are worth nothing any more. */
function earlier(text: string | undefined, payload: Uint8Array) {
  if (text === undefined) return [];
  try {
    const { envelope } = readPluginSignature(text);
    return Buffer.from(payload).equals(envelope.payload) ? envelope.signatures : [];
  } catch {
    return [];
  }
}

/** A crash leaves the old file or the new one. */
async function replaceFile(path: string, bytes: Uint8Array): Promise<void> {
  const mode = await stat(path).then(
    ({ mode: old }) => old & 0o777,
    () => 0o644,
  );
  const draft = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    const handle = await open(draft, "wx", mode);
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, path);
  } finally {
    await rm(draft, { force: true });
  }
}

function notPacked(): SallyportError {
  return new SallyportError("usage", "This plugin is not packed yet.", {
    detail: "Installing bundles a source folder first, so that a signature over it would not be over what runs.",
    fix: "Pack it first, then sign the archive: sallyport plugin pack DIR, sallyport plugin sign FILE.tgz --key NAME",
  });
}
