type Step = (number: number, value: number) => number;

const TRANSFORMS: Readonly<Record<string, Step>> = {
  multiply: (number, value) => number * value,
  add: (number, value) => number + value,
  power: (number, value) => number ** value,
};

const FILTERS: Readonly<Record<string, (number: number, value: number) => boolean>> = {
  greater: (number, value) => number > value,
  less: (number, value) => number < value,
  equal: (number, value) => number === value,
};

const AGGREGATES: Readonly<Record<string, (data: readonly number[]) => number>> = {
  sum,
  avg: (data) => sum(filled(data)) / data.length,
  min: (data) => filled(data).reduce((least, number) => Math.min(least, number)),
  max: (data) => filled(data).reduce((most, number) => Math.max(most, number)),
};

/** @throws {Error} when a result is no finite number: the square root of -1, an overflow. */
export function transform(data: readonly number[], operation: string, value: number): number[] {
  const step = choose(TRANSFORMS, operation);
  return data.map((number) => finite(step(number, value), `${number} ${operation} ${value}`));
}

export function filter(data: readonly number[], operation: string, value: number): number[] {
  const keep = choose(FILTERS, operation);
  return data.filter((number) => keep(number, value));
}

/** The sum of nothing is 0; the rest need at least one number. */
export function aggregate(data: readonly number[], operation: string): number {
  return finite(choose(AGGREGATES, operation)(data), operation);
}

/** Min-max scaling: the smallest becomes 0, the largest 1. Numbers that are all the same become 0. */
export function normalize(data: readonly number[]): number[] {
  if (data.length === 0) return [];
  const least = aggregate(data, "min");
  // Halves first, so that the distance of two very large numbers does not overflow.
  const half = aggregate(data, "max") / 2 - least / 2;
  return data.map((number) => (half === 0 ? 0 : Math.min(1, (number / 2 - least / 2) / half)));
}

function sum(data: readonly number[]): number {
  return data.reduce((total, number) => total + number, 0);
}

function filled(data: readonly number[]): readonly number[] {
  if (data.length === 0) throw new Error("There are no numbers.");
  return data;
}

function finite(result: number, what: string): number {
  if (!Number.isFinite(result)) throw new Error(`"${what}" has no finite result.`);
  return result;
}

function choose<Value>(table: Readonly<Record<string, Value>>, operation: string): Value {
  const chosen = Object.hasOwn(table, operation) ? table[operation] : undefined;
  if (chosen === undefined)
    throw new Error(`There is no operation "${operation}". There are ${Object.keys(table).join(", ")}.`);
  return chosen;
}
