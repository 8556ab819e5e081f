import { CODE_FILE, isEvidence, type SourceKind } from "../trust/index.ts";
import { type SourceFile, unsafe } from "./walk.ts";

/** Where everything lies that packing or installing adds; a source holds nothing else there. */
export const RESERVED_FOLDER = ".sallyport";
/** The one module that runs. A source that has it is packed: its bytes are taken as they are, never bundled again. */
export const BUNDLE_PATH = CODE_FILE;
/** For people who read the bundle; never loaded. */
export const SOURCE_MAP_PATH = `${BUNDLE_PATH}.map`;

const SIGNATURE_BYTES = 256 * 1024;

/**
 * A plugin's files, checked and in memory, wherever they came from: a directory, an archive, later a registry. Whatever happens
 * on disk or to the sender afterwards, these are the bytes.
 */
export interface OpenedSource {
  readonly kind: SourceKind;
  /** Every file of the plugin, by path: without `.git`, `node_modules` (at any level) and evidence such as signatures. */
  readonly files: readonly SourceFile[];
  /** Text of trust's `SIGNATURE_FILE`, when it came along. A stranger's word until it is verified. */
  readonly signature: string | undefined;
  /** Real path of a directory, whose `node_modules` the bundler may read; undefined for an archive. Never shown, never hashed. */
  readonly root: string | undefined;
  /** `node_modules` of an archive that is not packed: input of the bundler, no part of the plugin. Empty for a directory. */
  readonly packages: readonly SourceFile[];
  /** `sha512-<base64>` over an archive's own bytes, as npm writes it; undefined for a directory. */
  readonly integrity: string | undefined;
}

/** Whether the source brings its bundle, so that its digests are the ones that `plugin pack` told. */
export function isPacked(files: readonly Pick<SourceFile, "path">[]): boolean {
  return files.some((file) => file.path === BUNDLE_PATH);
}

/**
 * Refuses anything in the reserved folder but what packing writes there, in the very same spelling.
 * @throws {SallyportError} `source_unsafe`.
 */
export function checkReserved(files: readonly SourceFile[]): void {
  const packed = isPacked(files);
  for (const { path } of files) {
    if (path.split("/")[0]?.toLowerCase() !== RESERVED_FOLDER) continue;
    if (isEvidence(path) || path === BUNDLE_PATH || (packed && path === SOURCE_MAP_PATH)) continue;
    throw unsafe(path, `is in ${RESERVED_FOLDER}, where only packing and installing may write`);
  }
}

/** Takes the evidence out of what was read. @throws {SallyportError} `source_unsafe` when it is no text, or over 256 KiB. */
export function withoutEvidence(files: readonly SourceFile[]): Pick<OpenedSource, "files" | "signature"> {
  const found = files.find((file) => isEvidence(file.path));
  if (found === undefined) return { files, signature: undefined };
  if (found.size > SIGNATURE_BYTES) throw unsafe(found.path, `is over ${SIGNATURE_BYTES} bytes`);
  try {
    const signature = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(found.bytes);
    return { files: files.filter((file) => file !== found), signature };
  } catch (error) {
    throw unsafe(found.path, "is no UTF-8 text", error);
  }
}
