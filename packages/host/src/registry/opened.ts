import type { SourceFile } from "./walk.ts";

/** Where everything lies that packing or installing adds; a source holds nothing else there. */
export const RESERVED_FOLDER = ".sallyport";
/** The one module that runs. A source that has it is packed: its bytes are taken as they are, never bundled again. */
export const BUNDLE_PATH = `${RESERVED_FOLDER}/bundle.mjs`;
/** For people who read the bundle; never loaded. */
export const SOURCE_MAP_PATH = `${BUNDLE_PATH}.map`;
/** Evidence about a packed plugin; not covered by its digests. */
export const SIGNATURES_FOLDER = `${RESERVED_FOLDER}/signatures`;

/**
 * A plugin's files, checked and in memory, wherever they came from: a directory, an archive, later a registry. Whatever happens
 * on disk or to the sender afterwards, these are the bytes.
 */
export interface OpenedSource {
  readonly kind: "directory" | "archive";
  /** Every file of the plugin, by path. Without `.git` and `node_modules`, at any level. */
  readonly files: readonly SourceFile[];
  /** Real path of a directory, whose `node_modules` the bundler may read; undefined for an archive. Never shown, never hashed. */
  readonly root: string | undefined;
  /** `node_modules` of an archive that is not packed: input of the bundler, no part of the plugin. Empty for a directory. */
  readonly packages: readonly SourceFile[];
  /** `sha512-<base64>` over an archive's own bytes, as npm writes it; undefined for a directory. */
  readonly integrity: string | undefined;
}

/** Whether the source brings its bundle, so that its digests are the ones that `plugin pack` told. */
export function isPacked(source: Pick<OpenedSource, "files">): boolean {
  return source.files.some((file) => file.path === BUNDLE_PATH);
}
