import semver from "semver";
import { displayLine } from "../kernel/index.ts";
import type { IndexEntry } from "./index-format.ts";

export interface SearchWish {
  /** Words that all have to be in it; empty finds everything. */
  readonly text: string;
  readonly category?: string | undefined;
  readonly limit: number;
}

/** One plugin of one registry: its newest release that was not taken back. */
export interface SearchHit {
  readonly entry: IndexEntry;
  /** How many versions there are, all told. */
  readonly versions: number;
  /** How well it fits: 0 is the id itself. */
  readonly rank: number;
}

export interface SearchIndex {
  find(wish: SearchWish): { readonly hits: readonly SearchHit[]; readonly total: number };
}

interface Row extends Omit<SearchHit, "rank"> {
  /** All that is searched, in lower case. */
  readonly words: string;
  readonly id: string;
  readonly title: string;
}

/** Prepares an index for searching. `entries` are sorted by id, then by version. */
export function createSearchIndex(entries: readonly IndexEntry[]): SearchIndex {
  const rows: Row[] = [];
  for (let start = 0; start < entries.length;) {
    let end = start + 1;
    while (entries[end]?.id === entries[start]?.id && end < entries.length) end++;
    const entry = newestOf(entries, start, end);
    if (entry) rows.push(rowOf(entry, end - start));
    start = end;
  }
  return {
    find({ text, category, limit }) {
      const words = fold(text).split(/\s+/).filter(Boolean);
      const found: { row: Row; rank: number }[] = [];
      for (const row of rows) {
        if (category !== undefined && !row.entry.categories.includes(category)) continue;
        if (words.every((word) => row.words.includes(word))) found.push({ row, rank: rankOf(row, words) });
      }
      // Rows come in the order of their ids, and the sort is stable.
      found.sort((a, b) => a.rank - b.rank);
      return {
        hits: found.slice(0, limit).map(({ row: { entry, versions }, rank }) => ({ entry, versions, rank })),
        total: found.length,
      };
    },
  };
}

function rowOf(entry: IndexEntry, versions: number): Row {
  const title = fold(entry.name);
  const words = fold([entry.id, entry.description, entry.author ?? "", ...entry.categories].join("\n"));
  return { entry, versions, id: entry.id, title, words: `${title}\n${words}` };
}

/** Exactly that id, an id that begins with it, in the id, in the name, elsewhere. */
function rankOf({ id, title }: Row, words: readonly string[]): number {
  let rank = 0;
  for (const word of words) {
    const own = id.slice(id.indexOf("/") + 1);
    if (id === word || own === word) continue;
    rank += own.startsWith(word) ? 1 : id.includes(word) ? 2 : title.includes(word) ? 3 : 4;
  }
  return rank;
}

/** The last release that is not yanked; else the last pre-release that is not. Nothing when all of it was taken back. */
function newestOf(entries: readonly IndexEntry[], start: number, end: number): IndexEntry | undefined {
  let preRelease: IndexEntry | undefined;
  for (let index = end - 1; index >= start; index--) {
    const entry = entries[index];
    if (!entry || entry.yanked !== null) continue;
    if (semver.prerelease(entry.version) === null) return entry;
    preRelease ??= entry;
  }
  return preRelease;
}

function fold(text: string): string {
  return displayLine(text, 5000).normalize("NFKC").toLowerCase();
}
