import { hash } from "node:crypto";
import { sha256 } from "../kernel/index.ts";
import { codeDigest, SIGNATURE_FILE, treeDigest } from "../trust/index.ts";
import { writeArchive } from "./archive-write.ts";
import type { Runnable } from "./code.ts";
import { BUNDLE_PATH, type OpenedSource, SOURCE_MAP_PATH } from "./opened.ts";
import { type PreparedPlugin, type PreparePorts, preparePlugin } from "./prepare.ts";
import type { SourceFile } from "./walk.ts";

/** A plugin as one archive, ready to be signed, published or installed anywhere. */
export interface PackedPlugin<M> {
  readonly archive: Uint8Array;
  /** `sha512-<base64>` over the archive. */
  readonly integrity: string;
  readonly archiveDigest: string;
  /** What is in it, and what installing it gives. */
  readonly files: readonly SourceFile[];
  readonly treeDigest: string;
  readonly codeDigest: string;
  /** What it was made of. */
  readonly prepared: PreparedPlugin<M>;
}

const FOR_PEOPLE = /^(?:readme|license|licence|notice|copying|changelog)(?:\.(?:md|txt))?$/i;
const CONFIG = /^config\.(?:yml|yaml|json)$/;

/**
 * Packs an opened source: its manifest, bundle and source map, shipped configuration, README, LICENSE, NOTICE and CHANGELOG. Nothing
 * else of the folder gets in, so neither `node_modules` nor a key that lies about. A program keeps all its files but hidden ones,
 * and what is packed already stays as it is. The same source gives the same bytes on any machine.
 * @throws {SallyportError} as `preparePlugin` and `writeArchive`.
 */
export async function packPlugin<M extends Runnable>(
  source: OpenedSource,
  ports: PreparePorts<M>,
  onStep: (step: "manifest" | "bundle" | "archive") => void = () => {},
): Promise<PackedPlugin<M>> {
  const prepared = await preparePlugin(source, { ...ports, bundle: { ...ports.bundle, sourceMap: true } }, onStep);
  onStep("archive");
  const files = contentsOf(prepared);
  const digest = treeDigest(files);
  const archive = writeArchive([...files, ...(digest === prepared.treeDigest ? evidenceOf(source) : [])]);
  return {
    archive,
    integrity: `sha512-${hash("sha512", archive, "base64")}`,
    archiveDigest: sha256(archive),
    files,
    treeDigest: digest,
    codeDigest: codeDigest(files),
    prepared,
  };
}

function contentsOf<M extends Runnable>({
  manifest,
  manifestFile,
  files,
  packed,
}: PreparedPlugin<M>): readonly SourceFile[] {
  if (packed) return files;
  if (manifest.interpreter !== undefined)
    return files.filter(({ path }) => !path.split("/").some((name) => name.startsWith(".")));
  const belongs = ({ path }: SourceFile): boolean =>
    path === manifestFile ||
    path === BUNDLE_PATH ||
    path === SOURCE_MAP_PATH ||
    FOR_PEOPLE.test(path) ||
    CONFIG.test(path);
  return files.filter(belongs).map((file) => ({ ...file, mode: 0o644 }));
}

/** A signature covers exactly one tree: it goes along where packing changed nothing. */
function evidenceOf(source: OpenedSource): readonly SourceFile[] {
  if (source.signature === undefined) return [];
  const bytes = Buffer.from(source.signature);
  return [{ path: SIGNATURE_FILE, mode: 0o644, size: bytes.length, sha256: sha256(bytes), bytes }];
}
