import { SallyportError } from "./errors.ts";

export interface JsonLimits {
  /** Nesting of arrays and objects. */
  maxDepth: number;
  /** Values in it, one inside another counting too: what parsing costs goes by their number, a hundred bytes of heap and more each. */
  maxValues?: number;
  /** Told how many there are (about, for a text of a few characters), before they are parsed. */
  counted?: (values: number) => void;
}

/**
 * Parses JSON that a stranger wrote. Refuses nesting over `maxDepth` before parsing (a 100,000-deep array parses, then
 * overflows the stack of whoever walks it), more than `maxValues`, and the two ways in which data reaches a prototype: a key `__proto__`, and a
 * `constructor` that holds a `prototype`. (A racing driver's constructor is just a word.) Size is the caller's to bound.
 * @throws {SallyportError} `limit_exceeded` for depth and number, `usage` for a syntax error or such a key.
 */
export function parseBoundedJson(text: string, limits: JsonLimits): unknown {
  measure(text, limits);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new SallyportError("usage", "This is not valid JSON.", { cause: error });
  }
  if (mayHoldDangerousKey(text)) refuseDangerousKeys(value);
  return value;
}

function mayHoldDangerousKey(text: string): boolean {
  return text.includes("__proto__") || text.includes("prototype") || text.includes("\\u");
}

/** Recursion is safe: the depth was bounded. (A reviver would cost four times as much.) */
function refuseDangerousKeys(value: unknown): void {
  if (typeof value !== "object" || value === null) return;
  if (Array.isArray(value)) {
    for (const member of value) if (typeof member === "object") refuseDangerousKeys(member);
    return;
  }
  for (const [key, member] of Object.entries(value)) {
    if (key === "__proto__" || (key === "constructor" && reachesPrototype(member))) {
      throw new SallyportError("usage", `The key "${key}" is refused.`);
    }
    if (typeof member === "object") refuseDangerousKeys(member);
  }
}

function reachesPrototype(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.hasOwn(value, "prototype");
}

/** Depth and number of values by the brackets and commas outside strings, in one pass and without recursion; it ends where a limit does. */
function measure(text: string, { maxDepth, maxValues = Infinity, counted }: JsonLimits): void {
  let depth = 0;
  let values = 1;
  // A valid text needs two characters a level, so a short one cannot be too deep, nor hold much.
  const length = text.length > Math.min(2 * maxDepth, maxValues) ? text.length : 0;
  for (let index = 0; index < length; index++) {
    switch (text.charCodeAt(index)) {
      case 0x22:
        index = endOfString(text, index);
        break;
      case 0x2c:
        values++;
        break;
      case 0x5b:
      case 0x7b:
        values++;
        if (++depth > maxDepth)
          throw new SallyportError("limit_exceeded", `The JSON is nested deeper than ${maxDepth} levels.`);
        break;
      case 0x5d:
      case 0x7d:
        depth--;
        break;
    }
    if (values > maxValues) throw new SallyportError("limit_exceeded", `The JSON holds more than ${maxValues} values.`);
  }
  counted?.(values);
}

function endOfString(text: string, start: number): number {
  let index = text.indexOf('"', start + 1);
  while (index !== -1) {
    let backslashes = 0;
    while (text.charCodeAt(index - 1 - backslashes) === 0x5c) backslashes++;
    if (backslashes % 2 === 0) return index;
    index = text.indexOf('"', index + 1);
  }
  return text.length;
}
