import { canonicalJson } from "../kernel/index.ts";

/** Deeper than any schema that this host accepts; below it, types are `unknown`. */
const MAX_DEPTH = 64;

const PRIMITIVES: Readonly<Record<string, string>> = {
  string: "string",
  number: "number",
  integer: "number",
  boolean: "boolean",
  null: "null",
};

/**
 * The TypeScript type of a JSON Schema of the subset that manifests may use. What types cannot say (lengths, patterns, `not`,
 * conditions) is left out: the type is never narrower than the schema. Deterministic; no text of the schema leaves its string literal.
 */
export function typeOfSchema(schema: unknown): string {
  return typeAt(schema, schema, 0);
}

function typeAt(schema: unknown, root: unknown, depth: number): string {
  if (schema === false) return "never";
  if (!isRecord(schema) || depth > MAX_DEPTH) return "unknown";
  const inner = (part: unknown): string => typeAt(part, root, depth + 1);
  const parts = [
    ...(typeof schema["$ref"] === "string" ? [inner(definition(root, schema["$ref"]))] : []),
    ...("const" in schema ? [literal(schema["const"])] : []),
    ...(Array.isArray(schema["enum"]) ? [union(schema["enum"].map(literal))] : []),
    ...["anyOf", "oneOf"].flatMap((word) => {
      const choices = schema[word];
      return Array.isArray(choices) ? [union(choices.map(inner))] : [];
    }),
    ...(Array.isArray(schema["allOf"]) ? schema["allOf"].map(inner) : []),
  ];
  if (!("const" in schema) && !("enum" in schema)) parts.push(byType(schema, inner));
  return intersection(parts);
}

function byType(schema: Schema, inner: (part: unknown) => string): string {
  const names = typesOf(schema);
  return union(names.map((name) => oneType(name, schema, inner)));
}

/** Without `type`, a schema's keywords say what authors mean; a schema with neither accepts everything. */
function typesOf(schema: Schema): readonly unknown[] {
  const { type } = schema;
  if (type !== undefined) return Array.isArray(type) ? type : [type];
  if ("properties" in schema || "required" in schema) return ["object"];
  return ["items" in schema || "prefixItems" in schema ? "array" : "unknown"];
}

function oneType(name: unknown, schema: Schema, inner: (part: unknown) => string): string {
  if (name === "object") return objectType(schema, inner);
  if (name === "array") return arrayType(schema, inner);
  return (typeof name === "string" && Object.hasOwn(PRIMITIVES, name) && PRIMITIVES[name]) || "unknown";
}

function objectType(schema: Schema, inner: (part: unknown) => string): string {
  const required = new Set(Array.isArray(schema["required"]) ? schema["required"] : []);
  const properties = isRecord(schema["properties"]) ? schema["properties"] : {};
  const members = Object.entries(properties).map(
    ([name, part]) => `${key(name)}${required.has(name) ? "" : "?"}: ${inner(part)}`,
  );
  for (const name of required) {
    if (typeof name === "string" && !Object.hasOwn(properties, name)) members.push(`${key(name)}: unknown`);
  }
  if (schema["additionalProperties"] !== false || "patternProperties" in schema) {
    const only = members.length === 0 && !("patternProperties" in schema) && isRecord(schema["additionalProperties"]);
    members.push(`[key: string]: ${only ? inner(schema["additionalProperties"]) : "unknown"}`);
  }
  return members.length === 0 ? "Record<string, never>" : `{ ${members.join("; ")} }`;
}

function arrayType(schema: Schema, inner: (part: unknown) => string): string {
  const rest = "items" in schema ? inner(schema["items"]) : "unknown";
  const prefix = schema["prefixItems"];
  if (!Array.isArray(prefix)) return `Array<${rest}>`;
  const least = typeof schema["minItems"] === "number" ? schema["minItems"] : 0;
  const items = prefix.map((part: unknown, index) => (index < least ? inner(part) : `(${inner(part)})?`));
  return `[${[...items, ...(rest === "never" ? [] : [`...Array<${rest}>`])].join(", ")}]`;
}

function definition(root: unknown, reference: string): unknown {
  const match = /^#\/(\$defs|definitions)\/([^/]+)$/.exec(reference);
  const definitions = match?.[1] !== undefined && isRecord(root) ? root[match[1]] : undefined;
  const name = match?.[2]?.replaceAll("~1", "/").replaceAll("~0", "~") ?? "";
  return isRecord(definitions) && Object.hasOwn(definitions, name) ? definitions[name] : true;
}

function literal(value: unknown): string {
  if (typeof value === "object" && value !== null)
    return Array.isArray(value) ? "Array<unknown>" : "{ [key: string]: unknown }";
  return ascii(canonicalJson(value));
}

function key(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : ascii(JSON.stringify(name));
}

/** No character that an editor shows as something else survives: a JSON string stays the same string in TypeScript. */
function ascii(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function union(types: readonly string[]): string {
  const distinct = [...new Set(types)].filter((type) => type !== "never");
  if (distinct.includes("unknown")) return "unknown";
  if (distinct.length === 0) return "never";
  return distinct.length === 1 ? distinct.join("") : `(${distinct.join(" | ")})`;
}

function intersection(types: readonly string[]): string {
  const distinct = [...new Set(types)].filter((type) => type !== "unknown");
  if (distinct.includes("never")) return "never";
  return distinct.length === 0 ? "unknown" : distinct.join(" & ");
}

type Schema = Readonly<Record<string, unknown>>;

function isRecord(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
