import { SallyportError } from "../kernel/index.ts";

const MAX_TEXT = 200;
const MAX_SEGMENTS = 16;
const QUOTED = /^\["(?:[^"\\]|\\.)*"\]/;
const INDEXED = /^\[(0|[1-9][0-9]{0,5})\]/;
const NAMED = /^[^.[\]"*\s]+/;

/** One step into an input: a member by name, an item by number, or every item. */
export type Segment = string | number | typeof EVERY;
export const EVERY = Symbol("every item");

/** Found values in order; a place where a member or item is not there, or is not of the kind to have it, is `MISSING`. */
export const MISSING = Symbol("missing");

/**
 * `city`, `a.b`, `items[0]`, `items[*].id`, `["a.b"].c`: where in a call's input a condition looks.
 * @throws {SallyportError} `usage`.
 */
export function parseArgumentPath(text: string): readonly Segment[] {
  if (text.length === 0 || text.length > MAX_TEXT) throw malformed(text, `it has no or over ${MAX_TEXT} characters`);
  const segments: Segment[] = [];
  let rest = text;
  while (rest !== "") {
    if (segments.length === MAX_SEGMENTS) throw malformed(text, `it has over ${MAX_SEGMENTS} steps`);
    const step = nextStep(rest, segments.length === 0);
    if (step === undefined) throw malformed(text, "it is not spelt as one");
    segments.push(step.segment);
    rest = rest.slice(step.length);
  }
  return segments;
}

function nextStep(rest: string, first: boolean): { segment: Segment; length: number } | undefined {
  if (rest.startsWith("[*]")) return first ? undefined : { segment: EVERY, length: 3 };
  const index = INDEXED.exec(rest);
  if (index) return first ? undefined : { segment: Number(index[1]), length: index[0].length };
  const quoted = QUOTED.exec(rest);
  if (quoted) {
    const name = quotedName(quoted[0].slice(1, -1));
    return name === undefined ? undefined : { segment: name, length: quoted[0].length };
  }
  const dotted = !first && rest.startsWith(".");
  if (!first && !dotted) return undefined;
  const name = NAMED.exec(dotted ? rest.slice(1) : rest);
  return name ? { segment: name[0], length: name[0].length + (dotted ? 1 : 0) } : undefined;
}

function quotedName(text: string): string | undefined {
  try {
    const name: unknown = JSON.parse(text);
    return typeof name === "string" ? name : undefined;
  } catch {
    return undefined;
  }
}

function malformed(text: string, why: string): SallyportError {
  return new SallyportError("usage", `${JSON.stringify(text.slice(0, 100))} is not the path of an argument: ${why}.`, {
    fix: 'Write city, a.b, items[0].id, items[*].id, or ["a.b"] for a name with a dot.',
  });
}

/** What stands at a path without `EVERY`. */
export function valueAt(input: unknown, path: readonly Segment[]): unknown {
  let value = input;
  for (const segment of path) value = segment === EVERY ? MISSING : memberOf(value, segment);
  return value;
}

/** What stands at a path; linear in the input. An empty list under `[*]` gives nothing. */
export function valuesAt(input: unknown, path: readonly Segment[]): readonly unknown[] {
  let found: readonly unknown[] = [input];
  for (const segment of path) {
    found =
      segment === EVERY
        ? found.flatMap((value) => (Array.isArray(value) ? value : [MISSING]))
        : found.map((value) => memberOf(value, segment));
  }
  return found;
}

function memberOf(value: unknown, segment: string | number): unknown {
  if (typeof value !== "object" || value === null) return MISSING;
  if (Array.isArray(value) !== (typeof segment === "number")) return MISSING;
  return Object.hasOwn(value, segment) ? Reflect.get(value, segment) : MISSING;
}
