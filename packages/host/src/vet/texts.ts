import type { SourceFile } from "../registry/index.ts";

export interface TextFile {
  readonly path: string;
  readonly text: string;
  /** Line, from 1, of a place in the text. */
  lineOf(index: number): number;
}

/**
 * The files that are text, in order, until `limit` bytes are used up; `skipped` counts those that were left unread for that.
 * What is no UTF-8 is no text.
 */
export function textsOf(
  files: readonly SourceFile[],
  limit: number,
): { readonly texts: readonly TextFile[]; readonly skipped: number } {
  const texts: TextFile[] = [];
  let left = limit;
  let skipped = 0;
  for (const file of files) {
    if (file.bytes.includes(0)) continue;
    if (file.size > left) {
      skipped++;
      continue;
    }
    left -= file.size;
    const text = decoded(file.bytes);
    if (text !== undefined) texts.push({ path: file.path, text, lineOf: (index) => lineAt(text, index) });
  }
  return { texts, skipped };
}

function decoded(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function lineAt(text: string, index: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at !== -1 && at < index; at = text.indexOf("\n", at + 1)) line++;
  return line;
}
