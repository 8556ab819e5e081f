import { SallyportError } from "./errors.ts";

export interface JsonLimits {
  /** Nesting of arrays and objects. */
  maxDepth: number;
}

/**
 * Parses JSON that a stranger wrote. Refuses nesting over `maxDepth` before parsing (a 100,000-deep array parses, then
 * overflows the stack of whoever walks it) and the two ways in which data reaches a prototype: a key `__proto__`, and a
 * `constructor` that holds a `prototype`. (A racing driver's constructor is just a word.) Size is the caller's to bound.
 * @throws {SallyportError} `limit_exceeded` for depth, `usage` for a syntax error or such a key.
 */
export function parseBoundedJson(text: string, limits: JsonLimits): unknown {
  // A valid text needs two characters a level, so a short one cannot be too deep.
  if (text.length > 2 * limits.maxDepth && depthOf(text) > limits.maxDepth) {
    throw new SallyportError("limit_exceeded", `The JSON is nested deeper than ${limits.maxDepth} levels.`);
  }
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

/** Deepest nesting of brackets outside strings, in one pass and without recursion. */
function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (let index = 0; index < text.length; index++) {
    switch (text.charCodeAt(index)) {
      case 0x22:
        index = endOfString(text, index);
        break;
      case 0x5b:
      case 0x7b:
        deepest = Math.max(deepest, ++depth);
        break;
      case 0x5d:
      case 0x7d:
        depth--;
        break;
    }
  }
  return deepest;
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
