import { hash } from "node:crypto";
import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";

/** What the file system says of a stored tree, without reading a byte of it. */
export interface TreeStamp {
  /** Changes when any file or folder is written, replaced, added, removed, linked, or gets another owner or mode. */
  readonly text: string;
  /** When the newest change was, by the system's clock; milliseconds since the epoch. */
  readonly changedAt: number;
}

/** Entries that are looked at before others get a turn: a fraction of a millisecond. */
const IN_ONE_GO = 64;

/**
 * Device, inode, links, mode, owner, size, and times of content and inode of everything below `root`. The inode's time cannot be
 * set by any program, so that an edit shows although size and time of the content were put back. What does not show is a write
 * through memory that was mapped before the stamp: it takes the host's own user, and `plugin verify --all` finds it.
 * `undefined`: it cannot be looked at.
 */
export async function stampTree(root: string): Promise<TreeStamp | undefined> {
  const lines: string[] = [];
  let newest = 0n;
  const waiting = [""];
  try {
    for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
      const place = join(root, path);
      const stat = lstatSync(place, { bigint: true });
      if (stat.ctimeNs > newest) newest = stat.ctimeNs;
      const { dev, ino, nlink, mode, uid, gid, size, mtimeNs, ctimeNs } = stat;
      lines.push(JSON.stringify([path, ...[dev, ino, nlink, mode, uid, gid, size, mtimeNs, ctimeNs].map(String)]));
      if (stat.isDirectory()) for (const name of readdirSync(place)) waiting.push(join(path, name));
      if (lines.length % IN_ONE_GO === 0) await turn();
    }
  } catch {
    return undefined;
  }
  return { text: hash("sha256", lines.toSorted().join("\n"), "hex"), changedAt: Number(newest / 1_000_000n) };
}
