import { lstat, realpath } from "node:fs/promises";
import { dirname } from "node:path";

/** Where programs of the sandbox are looked for; PATH is never asked, since a plugin's author may have written to it. */
export const SYSTEM_FOLDERS = ["/usr/bin", "/bin", "/usr/local/bin", "/run/current-system/sw/bin"];

export type FoundTool = { readonly path: string } | { readonly missing: string };

/**
 * A system program by absolute path: a regular file that only root can change, in folders that only root can change.
 * @param candidates where to look instead of the system's folders.
 */
export async function findTool(name: string, candidates?: readonly string[]): Promise<FoundTool> {
  let missing = `${name} is not installed.`;
  for (const candidate of candidates ?? SYSTEM_FOLDERS.map((folder) => `${folder}/${name}`)) {
    const path = await realpath(candidate).catch(() => null);
    if (path === null) continue;
    const problem = await problemOf(path);
    if (problem === null) return { path };
    missing = `${name} is not used: ${problem}.`;
  }
  return { missing };
}

async function problemOf(path: string): Promise<string | null> {
  const info = await lstat(path);
  return info.isFile() ? unsafePath(path) : `${path} is not a file`;
}

/**
 * Why others than root could change what lies at a path: the first owner or mode, from the path up to `/`; null when
 * they could not.
 */
export async function unsafePath(path: string): Promise<string | null> {
  for (let at = path; ; at = dirname(at)) {
    const info = await lstat(at);
    if (info.uid !== 0) return `${at} does not belong to root`;
    const sticky = info.isDirectory() && (info.mode & 0o1000) !== 0;
    if ((info.mode & 0o022) !== 0 && !sticky && !info.isSymbolicLink())
      return `${at} can be written by others than root`;
    if (at === "/") return null;
  }
}
