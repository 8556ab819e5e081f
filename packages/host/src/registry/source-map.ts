/** Where a place in a bundle came from. */
export interface OriginalLine {
  readonly source: string;
  /** Counted from 1. */
  readonly line: number;
}

interface Segment extends OriginalLine {
  readonly column: number;
}

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** Reads esbuild's source map (version 3); the answer finds the original line of a bundle's line and column, both from 0. */
export function decodeLines(mapText: string): (line: number, column: number) => OriginalLine | undefined {
  const map: unknown = JSON.parse(mapText);
  if (!isSourceMap(map)) return () => undefined;
  const lines: Segment[][] = [];
  let source = 0;
  let original = 0;
  for (const text of map.mappings.split(";")) {
    let column = 0;
    const segments: Segment[] = [];
    for (const field of text.split(",")) {
      const [columns, sources, originals] = decodeNumbers(field);
      column += columns ?? 0;
      if (sources === undefined || originals === undefined) continue;
      source += sources;
      original += originals;
      segments.push({ column, source: map.sources[source] ?? "", line: original + 1 });
    }
    lines.push(segments);
  }
  return (line, column) => lines[line]?.findLast((segment) => segment.column <= column);
}

function decodeNumbers(field: string): number[] {
  const numbers: number[] = [];
  let value = 0;
  let shift = 0;
  for (const digit of field) {
    const bits = Math.max(0, DIGITS.indexOf(digit));
    value |= (bits & 31) << shift;
    shift += 5;
    if ((bits & 32) !== 0) continue;
    numbers.push((value & 1) === 0 ? value >>> 1 : -(value >>> 1));
    value = 0;
    shift = 0;
  }
  return numbers;
}

function isSourceMap(value: unknown): value is { readonly sources: readonly string[]; readonly mappings: string } {
  return (
    typeof value === "object" &&
    value !== null &&
    "sources" in value &&
    Array.isArray(value.sources) &&
    "mappings" in value &&
    typeof value.mappings === "string"
  );
}
