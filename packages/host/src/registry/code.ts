import { mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { displayLine, SallyportError, sha256 } from "../kernel/index.ts";
import { type BundleOptions, bundlePlugin, inspectBundle } from "./bundle.ts";
import type { SourceTree } from "./directory.ts";
import type { ImportWarning } from "./import-checks.ts";
import { BUNDLE_PATH, isPacked, type OpenedSource, SOURCE_MAP_PATH } from "./opened.ts";
import { programCode } from "./program-entry.ts";
import { type SourceFile, unsafe } from "./walk.ts";

/** What of a manifest matters here: what runs, and whether it is a program instead of a module. */
export interface Runnable {
  readonly entry: string;
  readonly interpreter?: string;
}

/** What a plugin's process is given to run, and what looking at it showed. */
export interface Code {
  /** Below the root. */
  readonly bundlePath: string;
  /** Files that are not in the source: the bundle, and its source map when asked for. */
  readonly added: readonly SourceFile[];
  readonly warnings: readonly ImportWarning[];
  /** For people, about the whole. */
  readonly notes: readonly string[];
}

const MODULE = /\.[cm]?[jt]sx?$/i;

/**
 * The code of an opened source: a module is bundled, a packed one looked at and left as it is, a program left as it is.
 * @throws {SallyportError} `entry_invalid`, `bundle_failed`, `source_unsafe`, `source_too_large`.
 */
export async function codeOf(source: OpenedSource, manifest: Runnable, options: BundleOptions = {}): Promise<Code> {
  if (isPacked(source.files)) return packedCode(source, manifest, options);
  if (manifest.interpreter !== undefined) {
    const { bundlePath, warnings: notes } = programCode(
      { root: "", files: source.files },
      manifest.entry,
      manifest.interpreter,
    );
    return { bundlePath, added: [], warnings: [], notes };
  }
  const bundle = await withTree(source, (tree) => bundlePlugin(tree, manifest.entry, options));
  const added = [leafOf(BUNDLE_PATH, bundle.bytes)];
  if (bundle.sourceMap) added.push(leafOf(SOURCE_MAP_PATH, bundle.sourceMap));
  return { bundlePath: BUNDLE_PATH, added, warnings: bundle.warnings, notes: [] };
}

async function packedCode(source: OpenedSource, manifest: Runnable, options: BundleOptions): Promise<Code> {
  if (manifest.interpreter !== undefined) throw unsafe(BUNDLE_PATH, "stands in a program, which has no bundle");
  const twin = source.files.find((file) => file.path !== BUNDLE_PATH && MODULE.test(file.path));
  if (twin !== undefined) {
    throw new SallyportError("source_unsafe", `There is a bundle beside the source "${displayLine(twin.path)}".`, {
      detail: "Only the bundle would run, and people would read the source.",
      fix: `Take ${BUNDLE_PATH} out, or pack the plugin again.`,
      data: { file: BUNDLE_PATH },
    });
  }
  const bundle = source.files.filter((file) => file.path === BUNDLE_PATH);
  const warnings = await inFolder([], (root) => inspectBundle({ root, files: bundle }, BUNDLE_PATH, options));
  return { bundlePath: BUNDLE_PATH, added: [], warnings, notes: [] };
}

/** The bundler finds packages by looking at a disk: what came in an archive lies in a folder of ours for as long as it looks. */
function withTree<T>(source: OpenedSource, work: (tree: SourceTree) => Promise<T>): Promise<T> {
  const { root, files, packages } = source;
  if (root !== undefined) return work({ root, files });
  return inFolder([...files, ...packages], (folder) => work({ root: folder, files }));
}

async function inFolder<T>(files: readonly SourceFile[], work: (root: string) => Promise<T>): Promise<T> {
  const made = await mkdtemp(join(tmpdir(), "sallyport-open-"));
  try {
    const root = await realpath(made);
    for (const file of files) {
      const path = join(root, file.path);
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await writeFile(path, file.bytes, { flag: "wx", mode: 0o600 });
    }
    return await work(root);
  } finally {
    await rm(made, { recursive: true, force: true });
  }
}

function leafOf(path: string, bytes: Uint8Array): SourceFile {
  return { path, mode: 0o644, size: bytes.length, sha256: sha256(bytes), bytes };
}
