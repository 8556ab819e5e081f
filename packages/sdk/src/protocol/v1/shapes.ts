/** The few forms of JSON Schema (2020-12) that the messages of protocol v1 need. */
export type Schema = { readonly [keyword: string]: unknown };

export const text = (keywords: Schema = {}): Schema => ({ type: "string", ...keywords });
export const hex = (digits: number): Schema => text({ pattern: `^[0-9a-f]{${digits}}$` });
export const base64: Schema = text({ contentEncoding: "base64" });
export const integer = (minimum = 0): Schema => ({ type: "integer", minimum });
export const number: Schema = { type: "number" };
export const boolean: Schema = { type: "boolean" };
export const anything: Schema = {};
export const list = (items: Schema): Schema => ({ type: "array", items });
export const record = (values: Schema): Schema => ({ type: "object", additionalProperties: values });
export const oneOf = (...values: readonly unknown[]): Schema => ({ enum: values });
export const orNull = (schema: Schema): Schema => ({ anyOf: [schema, { type: "null" }] });

/** An object of exactly these members; the names after it may be absent. */
export function object(properties: Readonly<Record<string, Schema>>, ...optional: readonly string[]): Schema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: "object", properties, required, additionalProperties: false };
}

/** An object of at least these members. */
export function openObject(properties: Readonly<Record<string, Schema>>): Schema {
  return { type: "object", properties, required: Object.keys(properties) };
}
