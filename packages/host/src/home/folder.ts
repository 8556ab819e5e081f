import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";

/** Removes a folder of the home with all that is in it. One that is not there is no error. */
export async function removeFolder(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
}

export function hasFolder(path: string): boolean {
  return existsSync(path);
}
