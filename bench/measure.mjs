/** Small statistics for benchmarks. Times are microseconds. */

export function quantile(sorted, q) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))];
}

export const median = (values) =>
  quantile(
    values.toSorted((a, b) => a - b),
    0.5,
  );

/** Latency of one call after the other: p50 and p99. */
export async function latency(call, count) {
  const times = new Float64Array(count);
  for (let n = 0; n < count; n++) {
    const start = performance.now();
    await call(n);
    times[n] = (performance.now() - start) * 1000;
  }
  times.sort();
  return { p50: quantile(times, 0.5), p99: quantile(times, 0.99) };
}

/** Calls a second with `width` in flight. */
export async function throughput(call, count, width) {
  const start = performance.now();
  let next = 0;
  await Promise.all(
    Array.from({ length: width }, async () => {
      while (next < count) await call(next++);
    }),
  );
  return count / ((performance.now() - start) / 1000);
}

/** Runs each subject in turn, `rounds` times, so that what disturbs the machine disturbs all; medians and their spread. */
export async function rounds(subjects, count, measure) {
  const seen = Object.fromEntries(Object.keys(subjects).map((name) => [name, []]));
  for (let round = 0; round < count; round++) {
    for (const [name, call] of Object.entries(subjects)) seen[name].push(await measure(call));
  }
  return seen;
}

export function summary(values) {
  return { median: median(values), low: Math.min(...values), high: Math.max(...values) };
}

const number = (value) => (value >= 1000 ? Math.round(value).toLocaleString("en-US") : value.toFixed(1));

export function show(label, values, unit, peer) {
  const { median: middle, low, high } = summary(values);
  const ratio = peer === undefined ? "" : `  ${(middle / median(peer)).toFixed(2)}× peer`;
  console.log(`  ${label.padEnd(44)} ${number(middle).padStart(9)} ${unit}  (${number(low)}–${number(high)})${ratio}`);
}
