import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { isErrno } from "./walk.ts";

/** How much a plugin's own directory holds. Counted once, then kept up to date by whoever writes. */
export interface DataUsage {
  read(directory: string): Promise<{ readonly bytes: number; readonly files: number }>;
  add(bytes: number, files: number): void;
  /** Forgets the count. */
  reset(): void;
}

export function createDataUsage(): DataUsage {
  let held: { bytes: number; files: number } | undefined;
  return {
    async read(directory) {
      held ??= await count(directory);
      return held;
    },
    add(bytes, files) {
      if (held !== undefined) held = { bytes: held.bytes + bytes, files: held.files + files };
    },
    reset() {
      held = undefined;
    },
  };
}

async function count(directory: string): Promise<{ bytes: number; files: number }> {
  const total = { bytes: 0, files: 0 };
  const waiting = [directory];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    for (const entry of await namesIn(next)) {
      const path = join(next, entry);
      const stat = await lstat(path);
      total.files++;
      if (stat.isDirectory()) waiting.push(path);
      else total.bytes += stat.size;
    }
  }
  return total;
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
}
