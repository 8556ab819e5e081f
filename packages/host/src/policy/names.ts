import type { Names } from "./types.ts";

/** Whether a name is one of several, each with at most one `*`, at its end. */
export function nameMatcher(names: Names): (name: string) => boolean {
  const exact = new Set<string>();
  const prefixes: string[] = [];
  for (const name of listOf(names)) {
    if (name.endsWith("*")) prefixes.push(name.slice(0, -1));
    else exact.add(name);
  }
  return (name) => exact.has(name) || prefixes.some((prefix) => name.startsWith(prefix));
}

export function listOf(names: Names): readonly string[] {
  return typeof names === "string" ? [names] : names;
}

/** The names when none of them is a pattern. */
export function exactNames(names: Names | undefined): readonly string[] | undefined {
  const list = names === undefined ? undefined : listOf(names);
  return list?.some((name) => name.endsWith("*")) === false ? list : undefined;
}

/** Whether every name that `inner` admits is admitted by `outer`; absent admits all. */
export function namesWithin(inner: Names | undefined, outer: Names | undefined): boolean {
  if (outer === undefined) return true;
  if (inner === undefined) return listOf(outer).includes("*");
  return listOf(inner).every((name) =>
    listOf(outer).some((wide) => (wide.endsWith("*") ? name.startsWith(wide.slice(0, -1)) : name === wide)),
  );
}
