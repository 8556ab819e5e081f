import { EVERY, parseArgumentPath, type Segment } from "./argument-path.ts";
import type { Condition, Conditions, Scalar } from "./conditions.ts";

export interface ConditionProblem {
  /** The argument path, as written. */
  readonly argument: string;
  readonly problem: string;
}

/**
 * What of the conditions can never be met by an input of this JSON Schema: an argument that it does not have, or a value of another type.
 * Says nothing where the schema leaves it open.
 */
export function checkConditions(conditions: Conditions, inputSchema: unknown): readonly ConditionProblem[] {
  return Object.entries(conditions).flatMap(([argument, condition]) => {
    const problem = problemOf(condition, parseArgumentPath(argument), inputSchema);
    return problem === undefined ? [] : [{ argument, problem }];
  });
}

function problemOf(condition: Condition, path: readonly Segment[], root: unknown): string | undefined {
  let schema = root;
  for (const segment of path) {
    const next = memberSchema(resolved(schema, root), segment);
    if (next === "none") return "the tool has no such argument";
    schema = next;
  }
  const found = resolved(schema, root);
  if (found === undefined) return undefined;
  return mistyped(condition, found);
}

type Schema = Readonly<Record<string, unknown>>;

/** A schema as far as it is one plain object; `undefined` where combinations leave open what is admitted. */
function resolved(schema: unknown, root: unknown): Schema | undefined {
  let current = schema;
  for (let hops = 0; hops < 32; hops++) {
    if (!isRecord(current)) return undefined;
    if (["allOf", "anyOf", "oneOf", "if", "not"].some((key) => Object.hasOwn(isRecord(current) ? current : {}, key)))
      return undefined;
    const reference = current["$ref"];
    if (typeof reference !== "string") return current;
    const [, place = "", name = ""] = /^#\/(\$defs|definitions)\/([^/]+)$/.exec(reference) ?? [];
    const definitions: unknown = isRecord(root) ? root[place] : undefined;
    current = isRecord(definitions) && Object.hasOwn(definitions, name) ? definitions[name] : undefined;
  }
  return undefined;
}

function memberSchema(schema: Schema | undefined, segment: Segment): unknown {
  if (schema === undefined) return undefined;
  if (typeof segment === "string") {
    if (!admits(schema, "object")) return "none";
    const { properties, patternProperties, additionalProperties } = schema;
    if (isRecord(properties) && Object.hasOwn(properties, segment)) return properties[segment];
    return additionalProperties === false && patternProperties === undefined ? "none" : undefined;
  }
  if (!admits(schema, "array")) return "none";
  if (segment === EVERY || schema["prefixItems"] === undefined)
    return schema["prefixItems"] === undefined ? schema["items"] : undefined;
  return undefined;
}

function mistyped(condition: Condition, schema: Schema): string | undefined {
  const meant = condition.not ?? condition;
  const wanted = wantedTypes(meant);
  if (wanted !== undefined && !wanted.some((type) => admits(schema, type))) {
    return `the argument is never ${wanted.length === 1 ? `a ${wanted[0]}` : `one of ${wanted.join(", ")}`}`;
  }
  const { enum: values } = schema;
  const scalars = meant.in ?? (meant.equals === undefined ? undefined : [meant.equals]);
  if (!Array.isArray(values) || scalars === undefined || meant.ignore_case === true) return undefined;
  const alien = scalars.find((scalar) => !values.includes(scalar));
  return alien === undefined ? undefined : `the argument is never ${JSON.stringify(alien)}`;
}

function wantedTypes(condition: Condition): readonly string[] | undefined {
  if (condition.exists !== undefined) return undefined;
  if (condition.min !== undefined || condition.max !== undefined) return ["number"];
  const scalars = condition.in ?? (condition.equals === undefined ? undefined : [condition.equals]);
  return scalars === undefined ? ["string"] : [...new Set(scalars.map(typeName))];
}

function typeName(scalar: Scalar): string {
  return scalar === null ? "null" : typeof scalar;
}

function admits(schema: Schema, type: string): boolean {
  const { type: declared } = schema;
  if (typeof declared !== "string" && !Array.isArray(declared)) return true;
  const types: readonly unknown[] = Array.isArray(declared) ? declared : [declared];
  return types.includes(type) || (type === "number" && types.includes("integer"));
}

function isRecord(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
