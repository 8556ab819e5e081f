import type { SecretUse } from "./types.ts";

/** A name, or a prefix with `*` at its end. */
export function nameMatches(pattern: string, name: string): boolean {
  if (!pattern.endsWith("*")) return pattern === name;
  return name.startsWith(pattern.slice(0, -1)) && !name.includes("*");
}

/** Whether every name that `inner` admits is admitted by `outer`. */
export function nameWithin(inner: string, outer: string): boolean {
  if (inner === outer) return true;
  if (!inner.endsWith("*")) return nameMatches(outer, inner);
  return outer.endsWith("*") && inner.slice(0, -1).startsWith(outer.slice(0, -1));
}

export function sameUse(a: SecretUse | undefined, b: SecretUse | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.origin === b.origin && a.in === b.in && a.format === b.format;
}
