import { randomBytes } from "node:crypto";
import type { BuildOptions, Message, Metafile, OutputFile } from "esbuild";
import { displayLine, SallyportError } from "../kernel/index.ts";
import { bundleFailed, explained } from "./bundle-errors.ts";
import type { SourceTree } from "./directory.ts";
import { withEsbuild } from "./esbuild-service.ts";
import { findWarnings, type ImportWarning, ownPath, WATCHED_LOGS, watchedGlobals } from "./import-checks.ts";
import { BUNDLE_BYTES, BUNDLE_DEADLINE_MS } from "./limits.ts";
import { createModuleReader, sdkEntry } from "./modules.ts";
import { currentOwnership, type Ownership } from "./ownership.ts";
import { confinedResolution } from "./resolve.ts";

/** A plugin's code as one ECMAScript module with no imports of its own. */
export interface Bundle {
  readonly bytes: Uint8Array;
  /** Source map, version 3, with the sources in it; undefined unless asked for. */
  readonly sourceMap?: Uint8Array;
  /** Paths below the root of every file that is in the bundle. */
  readonly inputs: readonly string[];
  readonly warnings: readonly ImportWarning[];
}

export interface BundleOptions {
  readonly ownership?: Ownership;
  readonly sdkEntry?: () => string;
  /** Milliseconds. */
  readonly deadlineMs?: number;
  /** Bytes of the bundle. */
  readonly maxBytes?: number;
  readonly sourceMap?: boolean;
}

const DIALECT = {
  bundle: true,
  write: false,
  metafile: true,
  outfile: "bundle.mjs",
  format: "esm",
  platform: "browser",
  conditions: ["deno", "browser", "import"],
  mainFields: ["browser", "module", "main"],
  target: "es2024",
  charset: "ascii",
  tsconfigRaw: {},
  logLevel: "silent",
  logOverride: WATCHED_LOGS,
  logLimit: 20,
} as const satisfies BuildOptions;

/** What libraries written for Node or browsers expect to know while they are bundled. */
const KNOWN = { "process.env.NODE_ENV": '"production"', global: "globalThis" };

/**
 * Bundles the entry with everything that it imports: from the tree, from `node_modules` inside the root, and the host's own SDK.
 * Nothing of the author's configures it. The same input gives the same bytes wherever the root is.
 * @throws {SallyportError} `entry_invalid`, `bundle_failed` (`data.problems` has file, line, column, problem, fix), `source_unsafe`,
 *   `source_too_large`.
 */
export async function bundlePlugin(tree: SourceTree, entry: string, options: BundleOptions = {}): Promise<Bundle> {
  return build(tree, checkedEntry(tree, entry), options, false);
}

/**
 * Looks at a bundle that was made elsewhere as at a source: it may import what the engine serves and nothing else, and has to have a
 * default export. Its bytes stay as they are.
 * @throws {SallyportError} as `bundlePlugin`.
 */
export async function inspectBundle(
  tree: SourceTree,
  path: string,
  options: BundleOptions = {},
): Promise<readonly ImportWarning[]> {
  return (await build(tree, path, { ...options, sourceMap: false }, true)).warnings;
}

async function build(tree: SourceTree, path: string, options: BundleOptions, selfContained: boolean): Promise<Bundle> {
  const reader = createModuleReader(
    tree,
    options.ownership ?? (await currentOwnership()),
    selfContained ? BUNDLE_BYTES : undefined,
  );
  const plugin = confinedResolution({
    root: tree.root,
    entry: path,
    reader,
    sdkEntry: options.sdkEntry ?? sdkEntry,
    selfContained,
  });
  const marker = `sallyport_${randomBytes(8).toString("hex")}_`;
  const shared = {
    ...DIALECT,
    absWorkingDir: tree.root,
    entryPoints: ["entry"],
    plugins: [plugin],
  } satisfies BuildOptions;
  const [built, analysed] = await withEsbuild((service) =>
    withDeadline(options.deadlineMs ?? BUNDLE_DEADLINE_MS, async (): Promise<[Built, Built]> => [
      await service.build({ ...shared, define: KNOWN, ...(options.sourceMap === true && { sourcemap: "external" }) }),
      await service.build({
        ...shared,
        define: { ...KNOWN, ...watchedGlobals(marker) },
        sourcemap: "external",
        sourcesContent: false,
      }),
    ]),
  ).catch((error: unknown) => {
    throw explained(error);
  });
  return finished(built, options.maxBytes ?? BUNDLE_BYTES, warningsOf(analysed, marker));
}

interface Built {
  readonly outputFiles: readonly OutputFile[];
  readonly metafile: Metafile;
  readonly warnings: readonly Message[];
}

function finished(built: Built, maxBytes: number, warnings: readonly ImportWarning[]): Bundle {
  const bytes = outputOf(built, ".mjs");
  if (bytes.length > maxBytes) {
    throw new SallyportError("source_too_large", `The bundle is over ${maxBytes} bytes.`, {
      detail: `With everything that it imports, the plugin's code is ${bytes.length} bytes.`,
      fix: "Import less, or smaller libraries.",
      data: { limit: maxBytes, actual: bytes.length },
    });
  }
  const output = Object.entries(built.metafile.outputs).find(([path]) => path.endsWith(".mjs"))?.[1];
  if (output?.exports.includes("default") !== true) {
    throw new SallyportError("entry_invalid", "The entry has no default export.", {
      detail: "The default export is what the host loads.",
      fix: "Write: export default definePlugin({ tools: { … } }).",
    });
  }
  const inputs = Object.keys(built.metafile.inputs).filter((path) => path.startsWith("plugin:"));
  const sourceMap = built.outputFiles.find((file) => file.path.endsWith(".map"))?.contents;
  return { bytes, ...(sourceMap && { sourceMap }), inputs: inputs.map(ownPath).toSorted(), warnings };
}

function warningsOf(analysed: Built, marker: string): ImportWarning[] {
  const decoder = new TextDecoder();
  const text = decoder.decode(outputOf(analysed, ".mjs"));
  const map = decoder.decode(outputOf(analysed, ".map"));
  return findWarnings(text, map, marker, analysed.warnings);
}

function outputOf(built: Built, suffix: string): Uint8Array {
  const file = built.outputFiles.find((candidate) => candidate.path.endsWith(suffix));
  if (file === undefined) throw bundleFailed([], "the bundler gave no output");
  return file.contents;
}

/** The entry is a file of the tree, which has no links: its lexical and its real path are the same and inside the root. */
function checkedEntry(tree: SourceTree, entry: string): string {
  const path = entry.replace(/^\.\//, "");
  if (/\.(m?js|m?ts)$/.test(path) && tree.files.some((file) => file.path === path)) return path;
  throw new SallyportError("entry_invalid", `The entry "${displayLine(entry)}" is no module of the plugin.`, {
    detail:
      "It must be the relative path of a .js, .mjs, .ts or .mts file inside the plugin's root, outside node_modules.",
    fix: "Correct entry in the manifest, with / between folders and the exact case of the name.",
    data: { file: displayLine(entry) },
  });
}

async function withDeadline<T>(ms: number, work: () => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(bundleFailed([], `bundling took longer than ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work(), late]);
  } finally {
    clearTimeout(timer);
  }
}
