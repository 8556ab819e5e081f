import { displayLine, SallyportError, sha256 } from "../kernel/index.ts";
import { codeDigest, type FileLeaf } from "../trust/index.ts";
import { type Bundle, type BundleOptions, bundlePlugin } from "./bundle.ts";
import type { ContentStore } from "./content-store.ts";
import { readDefaults } from "./defaults.ts";
import { type ReadSourceOptions, readSource, type SourceTree } from "./directory.ts";
import { BUNDLE_PATH } from "./opened.ts";
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

/** What installing needs from elsewhere. `M` is the host's manifest; here only its entry matters. */
export interface InstallPorts<M extends { readonly entry: string }> {
  /** The one manifest among the names at the root. @throws {SallyportError} `manifest_missing`, `manifest_invalid`. */
  readonly findManifest: (names: readonly string[]) => string;
  readonly readManifest: (file: ManifestFile) => ReadManifest<M>;
  /** Looks at a manifest before anything is bundled or stored, and throws to refuse it. */
  readonly inspect?: (manifest: M) => Promise<void> | void;
  readonly store: ContentStore;
  readonly source?: ReadSourceOptions;
  readonly bundle?: BundleOptions;
}

/** A plugin whose verified bytes are in the content store. Nothing of it has run. */
export interface InstalledSource<M> {
  readonly manifest: M;
  readonly manifestDigest: string;
  readonly treeDigest: string;
  readonly codeDigest: string;
  readonly files: readonly FileLeaf[];
  /** Values of a shipped config.yml|yaml|json, `{}` without one; not yet validated. */
  readonly defaults: Readonly<Record<string, unknown>>;
  /** Absolute path of the stored files. */
  readonly root: string;
  /** Below `root`. */
  readonly bundlePath: string;
  /** False when the very same tree was stored before: then a failure later on must not remove it. */
  readonly created: boolean;
  readonly warnings: readonly string[];
}

export interface InstallStep {
  readonly name: "read" | "manifest" | "bundle" | "store";
  readonly index: number;
  readonly of: number;
}

const STEPS = ["read", "manifest", "bundle", "store"] as const;

/**
 * Takes a plugin from a directory into the content store: read, manifest, bundle, store. No step runs the plugin's code or a
 * script of its packages, and a step that throws leaves nothing behind.
 * @throws {SallyportError} as `readSource`, `readDefaults`, `bundlePlugin` and the ports do.
 */
export async function installSource<M extends { readonly entry: string }>(
  path: string,
  ports: InstallPorts<M>,
  onStep: (step: InstallStep) => void = () => {},
): Promise<InstalledSource<M>> {
  const announce = (name: InstallStep["name"]): void => onStep({ name, index: STEPS.indexOf(name), of: STEPS.length });

  announce("read");
  const tree = await readSource(path, ports.source);

  announce("manifest");
  const read = ports.readManifest(manifestFile(tree, ports.findManifest));
  const defaults = readDefaults(tree.files);
  await ports.inspect?.(read.manifest);

  announce("bundle");
  const bundle = await bundlePlugin(tree, read.manifest.entry, ports.bundle);
  const files = [...tree.files, bundleFile(bundle)];

  announce("store");
  const stored = await ports.store.put(files);
  return {
    manifest: read.manifest,
    manifestDigest: read.digest,
    treeDigest: stored.digest,
    codeDigest: codeDigest(files),
    files: files.map(({ path: name, mode, size, sha256: digest }) => ({ path: name, mode, size, sha256: digest })),
    defaults,
    root: stored.root,
    bundlePath: BUNDLE_PATH,
    created: stored.created,
    warnings: [
      ...read.warnings,
      ...bundle.warnings.map((found) => `${displayLine(found.file)}:${found.line} ${found.problem}`),
    ],
  };
}

function manifestFile(tree: SourceTree, find: (names: readonly string[]) => string): ManifestFile {
  const name = find(tree.files.map((file) => file.path).filter((path) => !path.includes("/")));
  const file = tree.files.find((candidate) => candidate.path === name);
  if (file === undefined)
    throw new SallyportError("manifest_missing", "There is no manifest at the plugin's root.", {
      fix: "Add plugin.yml.",
    });
  return { name, bytes: file.bytes };
}

function bundleFile({ bytes }: Bundle): SourceFile {
  return { path: BUNDLE_PATH, mode: 0o644, size: bytes.length, sha256: sha256(bytes), bytes };
}
