import { digestOf, SallyportError } from "../kernel/index.ts";
import { CODE_FILE, SIGNATURE_FILE } from "./types.ts";

/** One file of a plugin, as digests see it. */
export interface FileLeaf {
  /** Path below the plugin's root, `/` between segments, well-formed Unicode. */
  readonly path: string;
  /** Permission bits as published: 0o644, or 0o755 when the owner may execute it. */
  readonly mode: number;
  /** Bytes. */
  readonly size: number;
  /** `sha256:<64 hex digits>` of the content. */
  readonly sha256: string;
}

/** At the root, these describe the plugin and are not its code: another id, version or default changes only them. */
const METADATA = /^(plugin\.(yml|yaml|json)|config\.(yml|yaml|json)|package(-lock)?\.json)$/;

/** A signature cannot cover itself. The one place that says which files are evidence and not the plugin. */
export function isEvidence(path: string): boolean {
  return path === SIGNATURE_FILE;
}

/**
 * Digest of everything that a plugin is: path, mode, size and content of every file but its signatures (`SIGNATURE_FILE`).
 * The order of `files` does not matter.
 * @throws {SallyportError} `source_unsafe` when a path occurs twice or is no well-formed text.
 */
export function treeDigest(files: readonly FileLeaf[]): string {
  return digestOf("sallyport-tree-v1", canonicalLeaves(files));
}

/**
 * Digest of the code alone, so that revoked code is known again under another id or version, and whether it came as a folder or
 * packed: the content of the one bundle that runs. A program has none; then it is every file but the root's manifest, shipped
 * configuration, npm package files and signatures. See docs/decisions/0015.
 * @throws {SallyportError} as `treeDigest`.
 */
export function codeDigest(files: readonly FileLeaf[]): string {
  const leaves = canonicalLeaves(files.filter((file) => !METADATA.test(file.path)));
  const bundle = files.find((file) => file.path === CODE_FILE);
  return digestOf("sallyport-code-v2", bundle ? ["module", bundle.sha256] : ["program", leaves]);
}

type CanonicalLeaf = readonly [path: string, mode: number, size: number, sha256: string];

function canonicalLeaves(files: readonly FileLeaf[]): CanonicalLeaf[] {
  const own = files.filter((file) => !isEvidence(file.path));
  const keyed = own.map((file) => {
    if (!file.path.isWellFormed()) throw unsafe(file.path, "is no well-formed Unicode");
    return { key: Buffer.from(file.path), file };
  });
  keyed.sort((a, b) => Buffer.compare(a.key, b.key));
  return keyed.map(({ key, file }, index) => {
    if (index > 0 && keyed[index - 1]?.key.equals(key)) throw unsafe(file.path, "occurs twice");
    return [file.path, file.mode, file.size, file.sha256];
  });
}

function unsafe(path: string, why: string): SallyportError {
  return new SallyportError("source_unsafe", `The path ${JSON.stringify(path)} ${why}.`, {
    detail: "A digest over ambiguous paths would name two different plugins.",
    fix: "Rename the file.",
  });
}
