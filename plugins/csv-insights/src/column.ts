export interface Column {
  name: string;
  type: "number" | "date" | "text" | "empty";
  values: number;
  missing: number;
  distinct: number;
  minimum?: number;
  maximum?: number;
  mean?: number;
  median?: number;
  /** Standard deviation of the sample. */
  deviation?: number;
  first?: string;
  last?: string;
  most_frequent?: string;
}

const MISSING = new Set(["", "na", "n/a", "null", "nan", "-"]);
const DATE = /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?$/;
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

/** A column is of a type when every value that is there is. */
export function describeColumn(name: string, cells: readonly string[]): Column {
  const values = cells.map((cell) => cell.trim()).filter((cell) => !MISSING.has(cell.toLowerCase()));
  const facts = { name, values: values.length, missing: cells.length - values.length, distinct: new Set(values).size };
  if (values.length === 0) return { ...facts, type: "empty" };
  if (values.every((value) => NUMBER.test(value) && Number.isFinite(Number(value))))
    return { ...facts, type: "number", ...numbersOf(values.map(Number)) };
  const sorted = values.toSorted();
  const ends = { first: sorted[0] ?? "", last: sorted.at(-1) ?? "" };
  if (values.every((value) => DATE.test(value))) return { ...facts, type: "date", ...ends };
  return { ...facts, type: "text", ...ends, most_frequent: mostFrequent(sorted) };
}

function numbersOf(values: readonly number[]) {
  const sorted = values.toSorted((a, b) => a - b);
  const mean = values.reduce((sum, value) => sum + value / values.length, 0);
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const middle = (sorted.length - 1) / 2;
  return {
    minimum: sorted[0] ?? 0,
    maximum: sorted.at(-1) ?? 0,
    mean: rounded(mean),
    median: rounded(((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle)] ?? 0)) / 2),
    deviation: rounded(values.length > 1 ? Math.sqrt(squares / (values.length - 1)) : 0),
  };
}

/** The first of the alphabet, when several are equally frequent. */
function mostFrequent(sorted: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const value of sorted) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].reduce((best, candidate) => (candidate[1] > best[1] ? candidate : best))[0];
}

/* Sums of decimals carry noise in their last digits. */
function rounded(value: number): number {
  const short = Number(value.toPrecision(10));
  return Number.isFinite(short) ? short : 0;
}
