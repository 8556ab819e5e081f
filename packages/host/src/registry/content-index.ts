import { readFile } from "node:fs/promises";
import { canonicalJson, displayLine, parseBoundedJson, SallyportError } from "../kernel/index.ts";
import { type FileLeaf, isEvidence, treeDigest } from "../trust/index.ts";

/** The list of files of a stored tree, kept beside them so that a mismatch can name the file. It proves itself: its digest is the tree's. */
export function writeIndex(files: readonly FileLeaf[]): Uint8Array {
  return Buffer.from(canonicalJson(files.map(({ path, mode, size, sha256 }) => ({ path, mode, size, sha256 }))));
}

/** @throws {SallyportError} `digest_mismatch` when the list is missing, unreadable, or not the one of this digest. */
export async function readIndex(path: string, digest: string): Promise<readonly FileLeaf[]> {
  let leaves: unknown;
  try {
    leaves = parseBoundedJson(await readFile(path, "utf8"), { maxDepth: 4 });
  } catch (error) {
    throw mismatch(digest, "", digest, "no readable list of files", error);
  }
  if (!Array.isArray(leaves) || !leaves.every(isLeaf)) throw mismatch(digest, "", digest, "no list of files");
  // No digest covers it, so whoever can write here could add it: installing keeps evidence elsewhere.
  const evidence = leaves.find((leaf) => isEvidence(leaf.path));
  if (evidence !== undefined) throw mismatch(digest, evidence.path, "no such file", evidence.sha256);
  const actual = treeDigest(leaves);
  if (actual !== digest) throw mismatch(digest, "", digest, actual);
  return leaves;
}

interface Difference {
  readonly file: string;
  readonly expected: string;
  readonly actual: string;
}

/** The first difference, by path, between what was stored and what is there. */
export function differenceOf(expected: readonly FileLeaf[], actual: readonly FileLeaf[]): Difference | undefined {
  const there = new Map(actual.map((file) => [file.path, file]));
  for (const leaf of expected) {
    const file = there.get(leaf.path);
    if (file === undefined) return { file: leaf.path, expected: leaf.sha256, actual: "no such file" };
    if (file.sha256 !== leaf.sha256) return { file: leaf.path, expected: leaf.sha256, actual: file.sha256 };
    if (file.mode !== leaf.mode)
      return {
        file: leaf.path,
        expected: "read-only, as installed",
        actual: `mode ${(file.mode & 0o7777).toString(8)}`,
      };
    there.delete(leaf.path);
  }
  const [extra] = there.values();
  return extra && { file: extra.path, expected: "no such file", actual: extra.sha256 };
}

export function mismatch(
  digest: string,
  file: string,
  expected: string,
  actual: string,
  cause?: unknown,
): SallyportError {
  const shown = file === "" ? "The stored plugin" : `"${displayLine(file)}" in the store`;
  return new SallyportError("digest_mismatch", `${shown} is not what was approved.`, {
    detail: `Expected ${displayLine(expected)}, found ${displayLine(actual)}.`,
    fix: "Find out who changed the store, then install the plugin again.",
    data: { digest, file: displayLine(file), expected: displayLine(expected), actual: displayLine(actual) },
    cause,
  });
}

function isLeaf(value: unknown): value is FileLeaf {
  return (
    typeof value === "object" &&
    value !== null &&
    "path" in value &&
    typeof value.path === "string" &&
    "mode" in value &&
    typeof value.mode === "number" &&
    "size" in value &&
    typeof value.size === "number" &&
    "sha256" in value &&
    typeof value.sha256 === "string"
  );
}
