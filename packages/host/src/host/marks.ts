import { type HookMark, markPath } from "../capability/index.ts";

/** A copy of the input with the mark in it; `null` where it has no place: behind what is no object, or instead of one. */
export function withMark(input: unknown, { pointer, value }: HookMark): unknown {
  const path = markPath(pointer);
  return path === null ? null : put(input, path, value);
}

function put(at: unknown, [name, ...rest]: readonly string[], value: HookMark["value"]): unknown {
  if (!isObject(at) || name === undefined) return null;
  const there = Object.hasOwn(at, name) ? at[name] : undefined;
  if (rest.length === 0) return typeof there === "object" && there !== null ? null : { ...at, [name]: value };
  const inner = put(there === undefined ? {} : there, rest, value);
  return inner === null ? null : { ...at, [name]: inner };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
