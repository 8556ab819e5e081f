import { hash } from "node:crypto";
import { sha256 } from "../kernel/index.ts";
import { badArchive } from "./archive-errors.ts";
import { gunzipStrictly, isGzip } from "./archive-gzip.ts";
import { readTar } from "./archive-tar.ts";
import { type SourceLimits, SOURCE_LIMITS } from "./limits.ts";
import { checkReserved, type OpenedSource, withoutEvidence } from "./opened.ts";
import type { SourceFile } from "./walk.ts";

/** Text packs to a tenth or so; zeroes to a thousandth. */
const MAX_RATIO = 100;

/** Bytes of an archive as it is sent: files, a header and padding for each entry, the end. */
export function archiveBytesLimit(limits: SourceLimits): number {
  return limits.totalBytes + 2 * limits.files * 1024 + 10_240;
}

/**
 * Opens a `.tgz` or `.tar` that is in memory. Nothing is written anywhere. Everything may lie in one folder named `package`, as npm packs it.
 * @throws {SallyportError} `source_unsafe`, `source_too_large`; `data` has `file`, `expected`, `actual`.
 */
export async function openArchive(bytes: Uint8Array, limits: SourceLimits = SOURCE_LIMITS): Promise<OpenedSource> {
  const most = archiveBytesLimit(limits);
  if (!isGzip(bytes) && !isTar(bytes))
    throw badArchive("", "is no archive", { expected: ".tgz or .tar", actual: "other bytes" });
  const tar = isGzip(bytes) ? await gunzipStrictly(bytes, { bytes: most, ratio: MAX_RATIO }) : bytes;
  const files: SourceFile[] = [];
  const packages: SourceFile[] = [];
  for (const file of readTar(tar, limits)) {
    const segments = file.path.split("/");
    if (segments.includes(".git")) continue;
    const leaf = {
      path: file.path,
      mode: file.executable ? 0o755 : 0o644,
      size: file.bytes.length,
      sha256: sha256(file.bytes),
      bytes: file.bytes,
    };
    (segments.includes("node_modules") ? packages : files).push(leaf);
  }
  checkReserved(files);
  return {
    kind: "archive",
    ...withoutEvidence(files.toSorted(byPath)),
    root: undefined,
    packages,
    integrity: `sha512-${hash("sha512", bytes, "base64")}`,
  };
}

function isTar(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.subarray(257, 262)).toString("latin1") === "ustar";
}

function byPath(a: SourceFile, b: SourceFile): number {
  return a.path < b.path ? -1 : 1;
}
