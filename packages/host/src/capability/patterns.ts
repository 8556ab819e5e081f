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

/** Argument patterns: exact text, `*` for one argument, `**` last for any number. */
export function argumentsMatch(patterns: readonly string[], args: readonly string[]): boolean {
  for (const [index, pattern] of patterns.entries()) {
    if (pattern === "**" && index === patterns.length - 1) return true;
    const argument = args[index];
    if (argument === undefined || (pattern !== "*" && pattern !== argument)) return false;
  }
  return patterns.length === args.length;
}

export function argumentsWithin(inner: readonly string[], outer: readonly string[]): boolean {
  for (const [index, pattern] of outer.entries()) {
    if (pattern === "**" && index === outer.length - 1) return true;
    const narrow = inner[index];
    if (narrow === undefined || (narrow === "**" && index === inner.length - 1)) return false;
    if (pattern !== "*" && pattern !== narrow) return false;
  }
  return inner.length === outer.length;
}

export function sameUse(a: SecretUse | undefined, b: SecretUse | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.origin === b.origin && a.in === b.in && a.format === b.format;
}
