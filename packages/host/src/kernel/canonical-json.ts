import { hash } from "node:crypto";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/**
 * RFC 8785 (JSON Canonicalization Scheme): object keys sorted by UTF-16 code units, numbers as ECMAScript writes them,
 * no white space. `undefined` members are left out, as `JSON.stringify` does.
 * @throws {TypeError} for a value that is not JSON: NaN, Infinity, a function, a bigint, a lone surrogate.
 */
export function canonicalJson(value: unknown): string {
  switch (typeof value) {
    case "string":
      if (!value.isWellFormed()) throw new TypeError("A lone surrogate has no canonical form.");
      return JSON.stringify(value);
    case "number":
      if (!Number.isFinite(value)) throw new TypeError("NaN and Infinity are not JSON.");
      return JSON.stringify(value);
    case "boolean":
      return value ? "true" : "false";
    case "object":
      if (value === null) return "null";
      return Array.isArray(value) ? canonicalArray(value) : canonicalObject(value);
    default:
      throw new TypeError(`A ${typeof value} is not JSON.`);
  }
}

function canonicalArray(values: readonly unknown[]): string {
  let text = "[";
  for (let index = 0; index < values.length; index++) {
    if (index > 0) text += ",";
    text += canonicalJson(values[index]);
  }
  return `${text}]`;
}

function canonicalObject(object: object): string {
  const entries = Object.entries(object);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  let text = "{";
  for (const [key, member] of entries) {
    if (member === undefined) continue;
    if (text.length > 1) text += ",";
    text += `${canonicalJson(key)}:${canonicalJson(member)}`;
  }
  return `${text}}`;
}

/** `sha256:<64 hex digits>` of bytes or of UTF-8 text. */
export function sha256(data: string | Uint8Array): string {
  return `sha256:${hash("sha256", data, "hex")}`;
}

/** Digest of a JSON value under a domain, so that two kinds of thing never share a digest. */
export function digestOf(domain: string, value: unknown): string {
  return sha256(`${domain}\n${canonicalJson(value)}`);
}
