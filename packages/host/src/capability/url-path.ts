import { hasHiddenCharacters, SallyportError } from "../kernel/index.ts";

const MAX_PATH = 2048;

/* A server may decode these and see another path than the one that was compared. */
const HIDDEN_SEPARATOR = /%2f|%5c|%00|\\/i;
const DOT_SEGMENT = /^(?:\.|%2e){1,2}$/i;

/** Whether a URL's path may be compared at all: absolute, no encoded separator, no dot segment. */
export function isComparablePath(path: string): boolean {
  if (!path.startsWith("/") || HIDDEN_SEPARATOR.test(path)) return false;
  return !path.includes(".") && !/%2e/i.test(path)
    ? true
    : !path.split("/").some((segment) => DOT_SEGMENT.test(segment));
}

/**
 * The one spelling of a path pattern: absolute, percent-encoded as the URL parser does; `*` is one whole segment, `**` only last, the rest.
 * @throws {SallyportError} `usage`.
 */
export function canonicalPathPattern(text: string): string {
  const shown = JSON.stringify(text.slice(0, 100));
  const refuse = (why: string, fix: string): never => {
    throw new SallyportError("usage", `${shown} is not a path pattern: ${why}.`, { fix });
  };
  if (text.length > MAX_PATH || !text.startsWith("/"))
    refuse("it does not start with / or is too long", "Start it with /, as in /v1/*.");
  if (!text.isWellFormed() || hasHiddenCharacters(text) || /[?#\s]/.test(text)) {
    refuse("it has a query, a fragment, white space or invisible characters", "Give the path alone.");
  }
  if (!isComparablePath(text))
    refuse("it has . or .. segments, or an encoded separator", "Write the plain path, as in /v1/items/*.");
  const segments = text.split("/").slice(1);
  for (const [index, segment] of segments.entries()) {
    if (!segment.includes("*") || segment === "*") continue;
    if (segment !== "**") refuse("* stands for one whole segment", "Write /v1/*/items, not /v1/a*.");
    if (index !== segments.length - 1) refuse("** may only come last", "Write * for each segment in the middle.");
  }
  const encoded = new URL(`http://host${text}`).pathname;
  return encoded;
}

/** Whether a canonical pattern admits the canonical path of a URL. `*` needs a segment that is not empty. */
export function pathMatches(pattern: string, path: string): boolean {
  if (!isComparablePath(path)) return false;
  if (pattern === "/**") return true;
  const wanted = pattern.split("/");
  const found = path.split("/");
  for (const [index, segment] of wanted.entries()) {
    if (segment === "**" && index === wanted.length - 1) return found.length >= wanted.length;
    const actual = found[index];
    if (actual === undefined) return false;
    if (segment === "*" ? actual === "" : segment !== actual) return false;
  }
  return found.length === wanted.length;
}

/** Whether every path that `inner` admits is admitted by `outer`. */
export function patternWithin(inner: string, outer: string): boolean {
  if (inner === outer || outer === "/**") return true;
  const narrow = inner.split("/");
  const wide = outer.split("/");
  for (const [index, segment] of wide.entries()) {
    if (segment === "**" && index === wide.length - 1) return narrow.length >= wide.length;
    const actual = narrow[index];
    if (actual === undefined || actual === "**") return false;
    if (segment === "*" ? actual === "" : segment !== actual) return false;
  }
  return narrow.length === wide.length;
}
