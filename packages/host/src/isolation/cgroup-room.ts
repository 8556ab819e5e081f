import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Place } from "./cgroup-place.ts";

const NEEDED = ["memory", "pids"];
const LEAF = "sallyport-owner";

/**
 * Makes room in a group of version 2 that was delegated to this process and holds nothing else (`systemd-run --user
 * --scope -p Delegate=yes`, a container with one process): a group with processes can have no bounded children, so this
 * process moves into one of its own below. A group with any other process in it is left as it is.
 */
export function makeRoom({ version, folders: { memory: folder } }: Place, pid: number): void {
  if (version !== 2 || folder === undefined) return;
  const leaf = join(folder, LEAF);
  let moved = false;
  try {
    if (words(folder, "cgroup.procs").join() !== String(pid)) return;
    const offered = words(folder, "cgroup.controllers");
    const given = words(folder, "cgroup.subtree_control");
    const wanted = [...NEEDED, "cpu"].filter((name) => offered.includes(name) && !given.includes(name));
    if (wanted.length === 0 || !NEEDED.every((name) => offered.includes(name))) return;
    mkdirSync(leaf, { mode: 0o755 });
    writeFileSync(join(leaf, "cgroup.procs"), String(pid));
    moved = true;
    writeFileSync(join(folder, "cgroup.subtree_control"), wanted.map((name) => `+${name}`).join(" "));
  } catch {
    undo(folder, leaf, pid, moved);
  }
}

/** What could not be done shows when a group is tried. */
function undo(folder: string, leaf: string, pid: number, moved: boolean): void {
  try {
    if (moved) writeFileSync(join(folder, "cgroup.procs"), String(pid));
    rmdirSync(leaf);
  } catch {
    // It was not made.
  }
}

function words(folder: string, file: string): readonly string[] {
  return readFileSync(join(folder, file), "utf8").split(/\s+/).filter(Boolean);
}
