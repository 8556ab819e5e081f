/** What each keyword of the accepted subset must look like. A keyword that is not here is refused. */
export type Shape =
  | "schema"
  | "schemas"
  | "schemaMap"
  | "patternMap"
  | "nameMap"
  | "type"
  | "text"
  | "annotation"
  | "flag"
  | "count"
  | "number"
  | "positive"
  | "names"
  | "values"
  | "value"
  | "pattern"
  | "format"
  | "ref"
  | "dialect"
  | "sensitive"
  | "use";

export const KEYWORDS: Readonly<Record<string, Shape>> = {
  $schema: "dialect",
  $ref: "ref",
  $defs: "schemaMap",
  definitions: "schemaMap",
  $comment: "text",
  title: "text",
  description: "text",
  default: "annotation",
  examples: "annotation",
  deprecated: "flag",
  readOnly: "flag",
  writeOnly: "flag",
  contentEncoding: "text",
  contentMediaType: "text",
  type: "type",
  enum: "values",
  const: "value",
  allOf: "schemas",
  anyOf: "schemas",
  oneOf: "schemas",
  not: "schema",
  if: "schema",
  // oxlint-disable-next-line unicorn/no-thenable -- a keyword's name; nothing awaits this table
  then: "schema",
  else: "schema",
  properties: "schemaMap",
  patternProperties: "patternMap",
  additionalProperties: "schema",
  propertyNames: "schema",
  required: "names",
  minProperties: "count",
  maxProperties: "count",
  dependentRequired: "nameMap",
  dependentSchemas: "schemaMap",
  items: "schema",
  prefixItems: "schemas",
  contains: "schema",
  minContains: "count",
  maxContains: "count",
  minItems: "count",
  maxItems: "count",
  uniqueItems: "flag",
  minimum: "number",
  maximum: "number",
  exclusiveMinimum: "number",
  exclusiveMaximum: "number",
  multipleOf: "positive",
  minLength: "count",
  maxLength: "count",
  pattern: "pattern",
  format: "format",
  "x-sensitive": "sensitive",
  "x-use": "use",
};

export const TYPES: ReadonlySet<unknown> = new Set([
  "null",
  "boolean",
  "object",
  "array",
  "number",
  "integer",
  "string",
]);

export const DIALECTS: ReadonlySet<unknown> = new Set([
  "https://json-schema.org/draft/2020-12/schema",
  "http://json-schema.org/draft-07/schema#",
  "http://json-schema.org/draft-07/schema",
]);

/** What to write instead of a keyword that is refused. */
export const INSTEAD: Readonly<Record<string, string>> = {
  $id: "Remove it; the schema is addressed by the manifest.",
  $anchor: "Refer to #/$defs/NAME.",
  $dynamicRef: "Refer to #/$defs/NAME.",
  $dynamicAnchor: "Refer to #/$defs/NAME.",
  $recursiveRef: "Refer to #/$defs/NAME.",
  unevaluatedProperties: "Use additionalProperties.",
  unevaluatedItems: "Use items or maxItems.",
  additionalItems: "Use prefixItems and items.",
  dependencies: "Use dependentRequired or dependentSchemas.",
  nullable: 'Use type: [..., "null"].',
};

/** Property names that every object inherits: an absent one would look present to a compiled check. */
export function isInheritedName(name: string): boolean {
  return name in Object.prototype || name === "prototype";
}
