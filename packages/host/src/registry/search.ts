import { setImmediate } from "node:timers/promises";
import semver from "semver";
import { displayLine } from "../kernel/index.ts";
import type { IndexEntry } from "./index-format.ts";

export interface SearchWish {
  /** Words that all have to be in it; empty finds everything. */
  readonly text: string;
  readonly category?: string | undefined;
  readonly limit: number;
}

const ROWS_AT_ONCE = 500;

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

/** Prepares an index for searching, a few plugins at a time. `entries` are sorted by id, then by version. */
export async function createSearchIndex(entries: readonly IndexEntry[]): Promise<SearchIndex> {
  const rows: Row[] = [];
  for (let start = 0; start < entries.length;) {
    let end = start + 1;
    while (entries[end]?.id === entries[start]?.id && end < entries.length) end++;
    const entry = newestOf(entries, start, end);
    if (entry) rows.push(rowOf(entry, end - start));
    if (rows.length % ROWS_AT_ONCE === 0) await setImmediate();
    start = end;
  }
  return {
    find({ text, category, limit }) {
      const words = fold(text).split(/\s+/).filter(Boolean);
      // Rows come in the order of their ids: a list for each rank needs no sorting, and none is longer than what is asked for.
      const ranks: Row[][] = [];
      let total = 0;
      for (const row of rows) {
        if (category !== undefined && !row.entry.categories.includes(category)) continue;
        if (!words.every((word) => row.words.includes(word))) continue;
        total++;
        const list = (ranks[rankOf(row, words)] ??= []);
        if (list.length < limit) list.push(row);
      }
      const hits: SearchHit[] = [];
      ranks.forEach((list, rank) => {
        for (const { entry, versions } of list.slice(0, limit - hits.length)) hits.push({ entry, versions, rank });
      });
      return { hits, total };
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
