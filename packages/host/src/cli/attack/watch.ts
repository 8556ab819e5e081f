import { chmodSync, lstatSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface WatchOptions {
  /** Files whose reading, changing and removing is told. */
  readonly files: readonly string[];
  /** Folders in which nothing may come or go. */
  readonly folders: readonly string[];
  /** Files that others may read, and nobody may change. */
  readonly settings: readonly string[];
  /** Left out of what is told. */
  readonly prefix: string;
}

/** Older than any change, so that the file system notes the first read. */
const LONG_AGO = new Date("2001-01-01T00:00:00Z");

/**
 * Watches planted files by what the file system notes of them, not by what anybody says.
 * @returns what was touched since the last look, in words; everything is put back as it was.
 */
export function watchFiles({ files, folders, settings, prefix }: WatchOptions): () => readonly string[] {
  const [first = ""] = files;
  const notesReads = readingShows(first);
  const texts = new Map([...files, ...settings].map((path) => [path, readFileSync(path)]));
  const modes = new Map([...files, ...settings].map((path) => [path, statSync(path).mode]));
  const names = new Map(folders.map((path) => [path, new Set(readdirSync(path))]));
  files.forEach(rearm);

  function look(path: string): string[] {
    const info = lstatSync(path, { throwIfNoEntry: false });
    if (info === undefined || !info.isFile()) return ["is gone"];
    const found: string[] = [];
    // Asked before this look reads it.
    if (notesReads && files.includes(path) && info.atimeMs !== LONG_AGO.getTime()) found.push("was read");
    if (info.mode !== modes.get(path)) found.push("has another mode");
    if (texts.get(path)?.equals(readFileSync(path)) !== true) found.push("was changed");
    return found;
  }

  function putBack(path: string, found: readonly string[]): void {
    const text = texts.get(path);
    if (found.includes("is gone")) rmSync(path, { recursive: true, force: true });
    if (found.length > 0 && text !== undefined) {
      writeFileSync(path, text);
      chmodSync(path, (modes.get(path) ?? 0o600) & 0o7777);
    }
    if (files.includes(path)) rearm(path);
  }

  return () => {
    const told: string[] = [];
    for (const path of texts.keys()) {
      const found = look(path);
      putBack(path, found);
      told.push(...found.map((what) => `${path.slice(prefix.length + 1)} ${what}`));
    }
    for (const [path, before] of names) {
      const more = readdirSync(path).filter((name) => !before.has(name));
      if (more.length > 0) told.push(`${path.slice(prefix.length + 1)} holds ${more.join(", ")}`);
      for (const name of more) rmSync(join(path, name), { recursive: true, force: true });
    }
    return told;
  };
}

/** So that the next read is noted. */
function rearm(path: string): void {
  utimesSync(path, LONG_AGO, new Date());
}

/** Whether this file system notes reads (`relatime` does, `noatime` does not): tried, not looked up. */
function readingShows(path: string): boolean {
  rearm(path);
  readFileSync(path);
  return statSync(path).atimeMs !== LONG_AGO.getTime();
}
