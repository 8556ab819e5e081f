import { runInNewContext } from "node:vm";
import { setFlagsFromString } from "node:v8";
import fc from "fast-check";
import { expect } from "vitest";

/**
 * The same properties in two sizes: a few seconds of them in every test run, and as many messages as are asked for in
 * `npm run fuzz`, which sets these variables and prints how to replay what it finds.
 */
const MESSAGES = number("SALLYPORT_FUZZ_MESSAGES");
const SEED = number("SALLYPORT_FUZZ_SEED");
const PATH = process.env["SALLYPORT_FUZZ_PATH"];
export const isLong = MESSAGES !== undefined;

function number(name: string): number | undefined {
  const text = process.env[name];
  return text === undefined || text === "" ? undefined : Number(text);
}

/** Runs of a property that feeds no messages: `short`, and twenty times as many in a long run. */
export function runs(short: number): { numRuns: number; seed?: number; path?: string } {
  return {
    numRuns: isLong ? short * 20 : short,
    ...(SEED === undefined ? {} : { seed: SEED }),
    ...(PATH === undefined ? {} : { path: PATH }),
  };
}

export interface Count {
  /** Lines that the host's side looked at: up to and including the one that ended the connection. */
  lines: number;
  /** Of these, how many of each kind, so that one sees what was really tried. */
  readonly kinds: Map<string, number>;
}

const ROUND = 500;
const KEPT_BYTES = 48 * 1024 * 1024;

/**
 * Runs a property that feeds messages until enough were looked at: `short` of them, or `share` of what the long run asks
 * for. In a long run what is left of memory after all is compared with what was left after the first rounds.
 */
export async function feed<T>(
  name: string,
  options: { readonly short: number; readonly share: number; readonly examples?: [T][] },
  arbitrary: fc.Arbitrary<T>,
  run: (value: T, count: Count) => Promise<void> | void,
): Promise<Count> {
  const count: Count = { lines: 0, kinds: new Map() };
  const wanted = MESSAGES === undefined ? options.short : Math.ceil(MESSAGES * options.share);
  const seed = SEED ?? Math.floor(Math.random() * 0x7fffffff);
  const property = fc.asyncProperty(arbitrary, async (value) => run(value, count));
  const { examples = [] } = options;
  // By themselves, so that a path means the same in every round.
  if (PATH === undefined && examples.length > 0) await fc.assert(property, { examples, numRuns: examples.length });
  let base: number | undefined;
  for (let round = 0; count.lines < wanted; round++) {
    await fc.assert(property, {
      numRuns: ROUND,
      seed: seed + round,
      ...(PATH === undefined ? {} : { path: PATH }),
    });
    if (PATH !== undefined) break;
    if (isLong && base === undefined && count.lines > wanted / 10) base = heldBytes();
  }
  if (isLong) {
    const kinds = [...count.kinds].toSorted(([, a], [, b]) => b - a).map(([kind, n]) => `${kind} ${n}`);
    const grown = heldBytes() - (base ?? 0);
    console.log(`fuzz: ${name}: ${count.lines} lines, seed ${seed}; ${kinds.join(", ")}; heap ${mebi(grown)} MiB more`);
    if (base !== undefined) expect(grown).toBeLessThan(KEPT_BYTES);
  }
  return count;
}

export function tally(count: Count, kind: string): void {
  count.lines++;
  count.kinds.set(kind, (count.kinds.get(kind) ?? 0) + 1);
}

function mebi(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(1);
}

function heldBytes(): number {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  if (typeof collect === "function") collect();
  return process.memoryUsage().heapUsed;
}
