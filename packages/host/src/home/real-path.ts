import { realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** The path with every link in it resolved; of what does not exist yet, as far as it does. */
export async function realPathOf(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    const parent = dirname(path);
    return parent === path ? path : join(await realPathOf(parent), basename(path));
  }
}
