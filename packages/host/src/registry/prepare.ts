import { SallyportError } from "../kernel/index.ts";
import { codeDigest, treeDigest } from "../trust/index.ts";
import type { BundleOptions } from "./bundle.ts";
import { codeOf, type Runnable } from "./code.ts";
import { readDefaults } from "./defaults.ts";
import type { ImportWarning } from "./import-checks.ts";
import { isPacked, type OpenedSource } from "./opened.ts";
import type { SourceFile } from "./walk.ts";

export interface ManifestFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface ReadManifest<M> {
  readonly manifest: M;
  readonly digest: string;
  readonly warnings: readonly string[];
}

/** What preparing needs from elsewhere. `M` is the host's manifest. */
export interface PreparePorts<M extends Runnable> {
  /** The one manifest among the names at the root. @throws {SallyportError} `manifest_missing`, `manifest_invalid`. */
  readonly findManifest: (names: readonly string[]) => string;
  readonly readManifest: (file: ManifestFile) => ReadManifest<M>;
  /** Looks at a manifest before anything is bundled or stored, and throws to refuse it. */
  readonly inspect?: (manifest: M) => Promise<void> | void;
  readonly bundle?: BundleOptions;
}

/** A plugin as it would be stored: every file with its bytes, and the digests over them. Nothing of it has run. */
export interface PreparedPlugin<M> {
  readonly source: OpenedSource;
  readonly manifest: M;
  /** Its path, at the root. */
  readonly manifestFile: string;
  readonly manifestDigest: string;
  /** The files of the source and the bundle. */
  readonly files: readonly SourceFile[];
  readonly treeDigest: string;
  readonly codeDigest: string;
  /** Values of a shipped config.yml|yaml|json, `{}` without one; not yet validated. */
  readonly defaults: Readonly<Record<string, unknown>>;
  /** What runs, below the root. */
  readonly bundlePath: string;
  /** Whether the bundle came with the source: then the digests are those that a publisher may have signed. */
  readonly packed: boolean;
  /** About the manifest and the whole, for people. */
  readonly notes: readonly string[];
  /** About the code, with places. */
  readonly imports: readonly ImportWarning[];
}

/**
 * Takes an opened source to what installing stores and packing writes: manifest, then code. The one path, whatever the source.
 * @throws {SallyportError} as `readDefaults`, `codeOf` and the ports do.
 */
export async function preparePlugin<M extends Runnable>(
  source: OpenedSource,
  ports: PreparePorts<M>,
  onStep: (step: "manifest" | "bundle") => void = () => {},
): Promise<PreparedPlugin<M>> {
  onStep("manifest");
  const file = manifestFile(source, ports.findManifest);
  const read = ports.readManifest(file);
  const defaults = readDefaults(source.files);
  await ports.inspect?.(read.manifest);

  onStep("bundle");
  const code = await codeOf(source, read.manifest, ports.bundle);
  const files = [...source.files, ...code.added];
  return {
    source,
    manifest: read.manifest,
    manifestFile: file.name,
    manifestDigest: read.digest,
    files,
    treeDigest: treeDigest(files),
    codeDigest: codeDigest(files),
    defaults,
    bundlePath: code.bundlePath,
    packed: isPacked(source.files),
    notes: [...read.warnings, ...code.notes],
    imports: code.warnings,
  };
}

/** The manifest of an opened source, and nothing else. @throws {SallyportError} as the ports do. */
export function manifestOf<M extends Runnable>(
  source: OpenedSource,
  ports: Pick<PreparePorts<M>, "findManifest" | "readManifest">,
): M {
  return ports.readManifest(manifestFile(source, ports.findManifest)).manifest;
}

function manifestFile(source: OpenedSource, find: (names: readonly string[]) => string): ManifestFile {
  const name = find(source.files.map((file) => file.path).filter((path) => !path.includes("/")));
  const file = source.files.find((candidate) => candidate.path === name);
  if (file === undefined)
    throw new SallyportError("manifest_missing", "There is no manifest at the plugin's root.", {
      fix: "Add plugin.yml.",
    });
  return { name, bytes: file.bytes };
}
