import { canonicalJson, displayLine } from "../kernel/index.ts";
import type { StoredApproval } from "../store/index.ts";

/** What a call has otherwise than the last one of its kind that an operator approved. */
export interface Changes {
  /** When that one was approved, milliseconds since the epoch. */
  readonly since: number;
  /** One line an argument: `city: "Bern" → "Basel"`; at most ten, and then how many more. None: it is the same. */
  readonly lines: readonly string[];
}

const MOST_LINES = 10;
const MOST_COMPARED = 1000;
const VALUE_CHARS = 60;
const DEPTH = 6;

export function changesSince(last: StoredApproval, input: unknown): Changes {
  const found: string[] = [];
  const counted = { compared: 0, more: 0 };
  compare("", last.input ?? null, input ?? null, 0, found, counted);
  const more = counted.more === 0 ? [] : [`and ${counted.more} more`];
  return { since: last.decidedAt ?? last.createdAt, lines: [...found, ...more] };
}

function compare(
  path: string,
  before: unknown,
  now: unknown,
  depth: number,
  found: string[],
  counted: { compared: number; more: number },
): void {
  counted.compared++;
  if (canonicalJson(before ?? null) === canonicalJson(now ?? null) && (before === undefined) === (now === undefined))
    return;
  if (depth < DEPTH && counted.compared < MOST_COMPARED && isObject(before) && isObject(now)) {
    for (const name of new Set([...Object.keys(before), ...Object.keys(now)])) {
      const inner = path === "" ? name : `${path}.${name}`;
      compare(inner, own(before, name), own(now, name), depth + 1, found, counted);
    }
    return;
  }
  if (found.length >= MOST_LINES) counted.more++;
  else found.push(`${displayLine(path === "" ? "input" : path, 100)}: ${shown(before)} → ${shown(now)}`);
}

function shown(value: unknown): string {
  return value === undefined ? "nothing" : displayLine(canonicalJson(value), VALUE_CHARS);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function own(object: Readonly<Record<string, unknown>>, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}
