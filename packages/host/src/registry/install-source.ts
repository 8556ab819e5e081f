import { displayLine, SallyportError, sha256 } from "../kernel/index.ts";
import { codeDigest, type FileLeaf } from "../trust/index.ts";
import { type Bundle, type BundleOptions, bundlePlugin } from "./bundle.ts";
import type { ContentStore } from "./content-store.ts";
import { readDefaults } from "./defaults.ts";
import { type ReadSourceOptions, readSource, type SourceTree } from "./directory.ts";
import { BUNDLE_PATH } from "./opened.ts";
import { programCode } from "./program-entry.ts";
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

/** What of a manifest matters here: what runs, and whether it is a program instead of a module. */
export interface Runnable {
  readonly entry: string;
  readonly interpreter?: string;
}

/** What installing needs from elsewhere. `M` is the host's manifest. */
export interface InstallPorts<M extends Runnable> {
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
export async function installSource<M extends Runnable>(
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
  const { bundlePath, added, warnings } = await codeOf(tree, read.manifest, ports.bundle);
  const files = [...tree.files, ...added];

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
    bundlePath,
    created: stored.created,
    warnings: [...read.warnings, ...warnings],
  };
}

interface Code {
  /** What the process is given to run, below the root. */
  readonly bundlePath: string;
  readonly added: readonly SourceFile[];
  readonly warnings: readonly string[];
}

/** A module is bundled; a program stays as it is. */
async function codeOf(tree: SourceTree, manifest: Runnable, options: BundleOptions | undefined): Promise<Code> {
  if (manifest.interpreter !== undefined) return programCode(tree, manifest.entry, manifest.interpreter);
  const bundle = await bundlePlugin(tree, manifest.entry, options);
  return {
    bundlePath: BUNDLE_PATH,
    added: [bundleFile(bundle)],
    warnings: bundle.warnings.map((found) => `${displayLine(found.file)}:${found.line} ${found.problem}`),
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
