import { ProtocolError, ProtocolErrorCode } from "@modelcontextprotocol/server";

/** Entries of one page, and bytes from which on a page is full. */
export const PAGE_ENTRIES = 100;
const PAGE_BYTES = 1024 * 1024;
const MAX_CURSOR = 512;

export interface Page<Entry> {
  readonly entries: Entry[];
  readonly nextCursor?: string;
}

/**
 * One page of a sorted list. The cursor names the last entry seen, so that entries that come and go in between move no other
 * entry across the border of a page.
 * @throws {ProtocolError} for a cursor that this host did not write.
 */
export async function pageOf<Source, Entry>(
  sources: readonly Source[],
  keyOf: (source: Source) => string,
  cursor: string | undefined,
  entriesOf: (source: Source) => readonly Entry[] | Promise<readonly Entry[]>,
): Promise<Page<Entry>> {
  const after = readCursor(cursor);
  const rest = sources
    .filter((source) => after === undefined || keyOf(source) > after)
    .toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  const entries: Entry[] = [];
  let bytes = 0;
  for (const [index, source] of rest.entries()) {
    for (const entry of await entriesOf(source)) {
      entries.push(entry);
      bytes += JSON.stringify(entry).length;
    }
    const full = entries.length >= PAGE_ENTRIES || bytes >= PAGE_BYTES;
    if (full && index + 1 < rest.length)
      return { entries, nextCursor: Buffer.from(keyOf(source)).toString("base64url") };
  }
  return { entries };
}

/** The key of the last entry that was seen. @throws {ProtocolError} for a cursor that this host did not write. */
export function readCursor(cursor: string | undefined): string | undefined {
  if (cursor === undefined) return undefined;
  const key = cursor.length <= MAX_CURSOR ? Buffer.from(cursor, "base64url").toString("utf8") : "";
  if (key === "" || Buffer.from(key).toString("base64url") !== cursor) {
    throw new ProtocolError(ProtocolErrorCode.InvalidParams, "This cursor is not one that this server gave.");
  }
  return key;
}
