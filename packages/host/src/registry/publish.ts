import { existsSync } from "node:fs";
import { join } from "node:path";
import { SallyportError, sha256 } from "../kernel/index.ts";
import type { Manifest } from "../manifest/index.ts";
import { archiveBytesLimit } from "./archive.ts";
import { entryOf } from "./index-entry.ts";
import { readSmallFile, whileLocked, writeFileWhole } from "./index-folder.ts";
import type { IndexEntry } from "./index-format.ts";
import { SOURCE_LIMITS } from "./limits.ts";
import type { PreparePorts } from "./prepare.ts";

export interface Published {
  readonly entry: IndexEntry;
  /** Its name in the folder. */
  readonly file: string;
  /** False when the very same archive was there before. */
  readonly created: boolean;
}

/**
 * Puts a packed archive into a registry's folder, checked as installing would check it. It is in no index until one is made.
 * @throws {SallyportError} `conflict` for other bytes under the same id and version, `signature_required` when nobody signed it.
 */
export async function publishTo(
  folder: string,
  path: string,
  options: { readonly ports: PreparePorts<Manifest>; readonly now: number; readonly unsigned: boolean },
): Promise<Published> {
  const bytes = await readSmallFile(path, archiveBytesLimit(SOURCE_LIMITS));
  if (bytes === undefined) {
    throw new SallyportError("not_found", "There is no such archive.", {
      fix: "Make it first: sallyport plugin pack DIR, then sallyport plugin sign FILE --key NAME",
    });
  }
  const entry = await entryOf("plugin.tgz", bytes, options.now, options.ports);
  if (entry.signed_by.length === 0 && !options.unsigned) {
    throw new SallyportError("signature_required", "Nobody has signed this archive.", {
      detail: "Operators refuse an unsigned plugin that asks for anything above low risk.",
      fix: "Sign it: sallyport plugin sign FILE --key NAME. To publish it as it is, add --unsigned.",
    });
  }
  const file = `${entry.id.replace("/", "@")}-${entry.version}.tgz`;
  const target = join(folder, file);
  return whileLocked(folder, async () => {
    const there = existsSync(target) ? await readSmallFile(target, archiveBytesLimit(SOURCE_LIMITS)) : undefined;
    if (there?.equals(bytes) === true) return { entry: { ...entry, file }, file, created: false };
    if (there && (await entryOf(file, there, options.now, options.ports)).tree_digest !== entry.tree_digest) {
      throw new SallyportError("conflict", `${entry.id} ${entry.version} is published already, with other bytes.`, {
        detail: `There: ${sha256(there)}. New: ${entry.sha256}.`,
        fix: "Give the new one another version: what is published never changes.",
        data: { expected: sha256(there), actual: entry.sha256 },
      });
    }
    await writeFileWhole(target, bytes);
    return { entry: { ...entry, file }, file, created: true };
  });
}
