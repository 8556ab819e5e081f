import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { SallyportError } from "../kernel/index.ts";
import { treeDigest } from "../trust/index.ts";
import type { ContentStore } from "./content-store.ts";
import { SOURCE_LIMITS } from "./limits.ts";
import { readTree } from "./walk.ts";

/**
 * Stores trees that lie in folders named by the 64 digits of their digests, as a backup holds them. A folder that is not what its
 * name says is refused; those before it stay stored, which does no harm. Answers how many there were.
 * @throws {SallyportError} `digest_mismatch`, and as reading a source.
 */
export async function importTrees(folder: string, store: ContentStore): Promise<number> {
  const names = await readdir(folder).catch((): string[] => []);
  for (const name of names) {
    const files = await readTree(join(folder, name), {
      limits: { ...SOURCE_LIMITS, files: SOURCE_LIMITS.files + 1, totalBytes: 2 * SOURCE_LIMITS.totalBytes },
      skip: () => false,
      problem: () => undefined,
      mode: (stat) => ((stat.mode & 0o100) === 0 ? 0o644 : 0o755),
    });
    const [expected, actual] = [`sha256:${name}`, treeDigest(files)];
    if (expected !== actual) {
      throw new SallyportError("digest_mismatch", "A stored plugin in the backup is not what it should be.", {
        detail: `Expected ${expected}, found ${actual}.`,
        fix: "Use another backup, or one without stored plugins.",
        data: { expected, actual },
      });
    }
    await store.put(files);
  }
  return names.length;
}
