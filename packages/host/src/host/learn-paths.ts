import { canonicalPathPattern, pathMatches } from "../capability/index.ts";
import { SallyportError } from "../kernel/index.ts";

/** Different texts in one place of a path, from which on any text is meant. */
const MANY = 8;
/** More patterns than this say less than one. */
const MOST_PATTERNS = 16;

/* Ids as services make them: numbers, UUIDs, long hexadecimal, anything long with digits in it. */
const ID = /^(?:\d+|[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{12,}|(?=[^%]*\d)[A-Za-z0-9_-]{10,})$/i;
/* What a path of a URL is made of; `*` would be read as a pattern. */
const PLAIN = /^(?:[A-Za-z0-9._~!$&'()+,;=:@-]|%[0-9A-Fa-f]{2})*$/;

interface Node {
  readonly children: Map<string, Node>;
  ends: boolean;
}

/**
 * Few patterns that match all of these paths and nothing that `admits` does not: places where ids stand, or many different
 * texts, become `*`. A path that cannot be written as a pattern is covered by those of `fallback` that match it.
 * @param paths canonical paths of URLs, without query. @param admits whether a pattern may be proposed at all.
 */
export function generalisePaths(
  paths: readonly string[],
  admits: (pattern: string) => boolean,
  fallback: readonly string[],
): readonly string[] {
  const distinct = [...new Set(paths)];
  const wide = new Set(admitted(patternsOf(tree(distinct)), admits));
  for (const path of distinct) {
    if (wide.size > MOST_PATTERNS) break;
    if ([...wide].some((pattern) => pathMatches(pattern, path))) continue;
    if (canonical(path) === path && pathMatches(path, path) && admits(path)) wide.add(path);
    else for (const pattern of fallback) if (pathMatches(pattern, path)) wide.add(pattern);
  }
  if (wide.size <= MOST_PATTERNS) return [...wide].toSorted();
  return fallback.filter((pattern) => distinct.some((path) => pathMatches(pattern, path)));
}

function admitted(patterns: readonly string[], admits: (pattern: string) => boolean): string[] {
  return patterns.filter((pattern) => canonical(pattern) === pattern && admits(pattern));
}

function canonical(pattern: string): string | undefined {
  try {
    return canonicalPathPattern(pattern);
  } catch (error) {
    if (error instanceof SallyportError) return undefined;
    throw error;
  }
}

function tree(paths: readonly string[]): Node {
  const root: Node = { children: new Map(), ends: false };
  for (const path of paths) {
    let node = root;
    for (const segment of path.split("/").slice(1)) {
      const next = node.children.get(segment) ?? { children: new Map<string, Node>(), ends: false };
      node.children.set(segment, next);
      node = next;
    }
    node.ends = true;
  }
  return root;
}

function patternsOf(node: Node): string[] {
  const found: string[] = [];
  for (const [segment, child] of grouped(node.children)) {
    if (child.ends) found.push(`/${segment}`);
    for (const rest of patternsOf(child)) found.push(`/${segment}${rest}`);
  }
  return found;
}

/** The children, those together that one `*` stands for. */
function grouped(children: ReadonlyMap<string, Node>): ReadonlyMap<string, Node> {
  // An empty segment is the slash at the end, and no `*` matches it.
  const texts = [...children.keys()].filter((segment) => segment !== "");
  const ids = texts.filter((segment) => ID.test(segment) || !PLAIN.test(segment));
  const odd = texts.some((segment) => !PLAIN.test(segment));
  const merged = new Set(texts.length > MANY ? texts : ids.length > 1 || odd ? ids : []);
  if (merged.size === 0) return children;
  const result = new Map<string, Node>();
  for (const [segment, child] of children) {
    if (!merged.has(segment)) result.set(segment, child);
    else result.set("*", join(result.get("*"), child));
  }
  return result;
}

function join(into: Node | undefined, node: Node): Node {
  const result: Node = into ?? { children: new Map(), ends: false };
  result.ends ||= node.ends;
  for (const [segment, child] of node.children) result.children.set(segment, join(result.children.get(segment), child));
  return result;
}
