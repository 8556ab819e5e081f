import { canonicalJson, displayLine, LIMITS, SallyportError } from "../../kernel/index.ts";
import { FORMATS } from "./formats.ts";
import { DIALECTS, INSTEAD, isInheritedName, KEYWORDS, type Shape, TYPES } from "./keywords.ts";
import { linearPattern } from "./patterns.ts";
import { checkSensitive } from "./sensitive.ts";

const MAX_DEPTH = 32;
const MAX_SCHEMAS = 1_000;
/* Schemas once every $ref is written out: the number of tests that one value can meet. */
const MAX_EXPANDED = 2_000;
const MAX_UNIQUE_ITEMS = 256;
const MAX_PATTERNS = 32;

export interface CheckOptions {
  /** A `config_schema`: the only kind that may mark a top-level property `x-sensitive`. */
  readonly config?: boolean;
}

interface Walk {
  readonly options: CheckOptions;
  readonly definitions: ReadonlyMap<string, unknown>;
  /** Expanded size of a definition; absent while it is being measured. */
  readonly sizes: Map<string, number | "open">;
  schemas: number;
  patterns: number;
}

/**
 * Whether a plugin's JSON Schema is in the subset that is linear to check and safe to compile. `path` is where it stands in the manifest.
 * @throws {SallyportError} `schema_unsupported`; `data.path` says which part, `message` why.
 */
export function checkSchema(schema: unknown, path = "", options: CheckOptions = {}): void {
  if (typeof schema === "boolean") return;
  if (!isRecord(schema)) refuse(path, "A JSON Schema is an object, or true or false.", "Write { type: object, … }.");
  if (canonicalLength(schema, path) > LIMITS.schemaBytes)
    refuse(path, `The schema is larger than ${LIMITS.schemaBytes} bytes.`, "Make it smaller.");
  const walk: Walk = { options, definitions: definitionsOf(schema), sizes: new Map(), schemas: 0, patterns: 0 };
  const size = visit(schema, path, 0, walk, true);
  if (size > MAX_EXPANDED)
    refuse(path, "The schema is too large once its references are written out.", "Use fewer references.");
}

function canonicalLength(schema: unknown, path: string): number {
  if (depthOver(schema, MAX_DEPTH * 2))
    refuse(path, `The schema is nested deeper than ${MAX_DEPTH} levels.`, "Flatten it.");
  try {
    return Buffer.byteLength(canonicalJson(schema));
  } catch {
    return refuse(
      path,
      "The schema is not plain JSON.",
      "Use text, finite numbers, true, false, null, lists and objects.",
    );
  }
}

function depthOver(value: unknown, limit: number): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > limit) return true;
    level = level.flatMap((item) => (typeof item === "object" && item !== null ? Object.values(item) : []));
  }
  return false;
}

function refuse(path: string, problem: string, fix: string): never {
  throw new SallyportError("schema_unsupported", problem, { fix, data: { path } });
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function definitionsOf(root: Record<string, unknown>): ReadonlyMap<string, unknown> {
  const found = new Map<string, unknown>();
  for (const place of ["$defs", "definitions"]) {
    const definitions = root[place];
    if (isRecord(definitions))
      for (const [name, schema] of Object.entries(definitions)) found.set(`#/${place}/${name}`, schema);
  }
  return found;
}

/** Checks one schema and answers its expanded size. */
function visit(schema: unknown, path: string, depth: number, walk: Walk, root = false): number {
  if (++walk.schemas > MAX_SCHEMAS) refuse(path, `The schema has more than ${MAX_SCHEMAS} parts.`, "Make it smaller.");
  if (depth > MAX_DEPTH) refuse(path, `The schema is nested deeper than ${MAX_DEPTH} levels.`, "Flatten it.");
  if (typeof schema === "boolean") return 1;
  if (!isRecord(schema))
    refuse(path, "A JSON Schema is an object, or true or false.", "Write { type: string }, for example.");
  let size = 1;
  for (const [keyword, value] of Object.entries(schema)) {
    const here = at(path, keyword);
    const shape = Object.hasOwn(KEYWORDS, keyword) ? KEYWORDS[keyword] : undefined;
    if (shape === undefined) {
      const instead = Object.hasOwn(INSTEAD, keyword) ? INSTEAD[keyword] : undefined;
      refuse(
        here,
        `The keyword ${JSON.stringify(displayLine(keyword, 60))} is not in the subset that this host checks.`,
        instead ?? "Remove it.",
      );
    }
    if (!root && (keyword === "$defs" || keyword === "definitions"))
      refuse(here, "Definitions stand at the top of a schema only.", "Move them up.");
    if (keyword === "x-sensitive" && !(walk.options.config === true && isTopProperty(depth, path))) {
      refuse(here, "Only a top-level property of config_schema can be sensitive.", "Remove the mark.");
    }
    size += checkKeyword(shape, value, here, depth, walk);
    if (size > MAX_EXPANDED)
      refuse(here, "The schema is too large once its references are written out.", "Use fewer references.");
  }
  checkTogether(schema, path);
  return size;
}

function isTopProperty(depth: number, path: string): boolean {
  return depth === 1 && /(?:^|\.)properties(?:\.[^.[\]]+|\["[^"]*"\])$/.test(path);
}

function checkTogether(schema: Record<string, unknown>, path: string): void {
  if (schema["uniqueItems"] === true) {
    const { maxItems } = schema;
    if (typeof maxItems !== "number" || maxItems > MAX_UNIQUE_ITEMS) {
      refuse(
        at(path, "uniqueItems"),
        `uniqueItems needs maxItems of at most ${MAX_UNIQUE_ITEMS}.`,
        `Add maxItems: ${MAX_UNIQUE_ITEMS}, or less.`,
      );
    }
  }
  checkSensitive(schema, path, refuse);
}

type Checker = (value: unknown, path: string, depth: number, walk: Walk) => number;

const checkSchemaMap: Checker = (value, path, depth, walk) => {
  if (!isRecord(value)) return refuse(path, "It is not an object of schemas.", "Write { name: { type: string } }.");
  let size = 0;
  const isDefinitions = depth === 0 && /(?:^|\.)(?:\$defs|definitions)$/.test(path);
  for (const [name, schema] of Object.entries(value)) {
    if (isInheritedName(name))
      refuse(at(path, name), `The property name ${JSON.stringify(name)} is refused.`, "Use another name.");
    const inner = visit(schema, at(path, name), depth + 1, walk);
    if (!isDefinitions) size += inner;
  }
  return size;
};

const checkPatternMap: Checker = (value, path, depth, walk) => {
  if (!isRecord(value)) return refuse(path, "It is not an object of schemas.", "Write { pattern: { type: string } }.");
  let size = 0;
  for (const [pattern, schema] of Object.entries(value)) {
    checkPattern(pattern, at(path, pattern), walk);
    size += visit(schema, at(path, pattern), depth + 1, walk);
  }
  return size;
};

const checkNameMap: Checker = (value, path, depth, walk) => {
  if (!isRecord(value)) return refuse(path, "It is not an object of lists of names.", "Write { name: [other] }.");
  for (const [name, names] of Object.entries(value)) {
    if (isInheritedName(name))
      refuse(at(path, name), `The property name ${JSON.stringify(name)} is refused.`, "Use another name.");
    checkNames(names, at(path, name), depth, walk);
  }
  return 0;
};

const checkNames: Checker = (value, path) => {
  if (!isTextList(value)) return refuse(path, "It is not a list of property names.", "Write [name, other].");
  const bad = value.find(isInheritedName);
  if (bad !== undefined) refuse(path, `The property name ${JSON.stringify(bad)} is refused.`, "Use another name.");
  return 0;
};

const checkSchemas: Checker = (value, path, depth, walk) => {
  if (!Array.isArray(value) || value.length === 0)
    return refuse(path, "It is not a list of schemas.", "Write [{ type: string }].");
  return value.reduce<number>((size, schema, index) => size + visit(schema, `${path}[${index}]`, depth + 1, walk), 0);
};

const checkRef: Checker = (value, path, depth, walk) => {
  if (typeof value !== "string" || !/^#\/(?:\$defs|definitions)\/[A-Za-z0-9_.-]{1,64}$/.test(value)) {
    return refuse(
      path,
      "A $ref leads to #/$defs/NAME in the same schema, and nowhere else.",
      "Copy the definition into $defs.",
    );
  }
  if (!walk.definitions.has(value))
    return refuse(path, `There is no ${value}.`, "Add the definition, or correct the name.");
  const known = walk.sizes.get(value);
  if (known === "open")
    return refuse(path, `${value} refers to itself.`, "Write the levels out as far as they are needed.");
  if (known !== undefined) return known;
  walk.sizes.set(value, "open");
  const size = visit(walk.definitions.get(value), `${path}(${value})`, depth + 1, walk);
  walk.sizes.set(value, size);
  return size;
};

function checkPattern(value: unknown, path: string, walk: Walk): void {
  if (typeof value !== "string") refuse(path, "A pattern is text.", 'Write it as in "^[a-z]+$".');
  if (++walk.patterns > MAX_PATTERNS * 2)
    refuse(path, `The schema has more than ${MAX_PATTERNS} patterns.`, "Use fewer.");
  try {
    linearPattern(value);
  } catch (error) {
    if (error instanceof SallyportError) refuse(path, error.message, error.fix ?? "Use a simpler pattern.");
    throw error;
  }
}

const test =
  (accepts: (value: unknown) => boolean, problem: string, fix: string): Checker =>
  (value, path) =>
    accepts(value) ? 0 : refuse(path, problem, fix);

const isTextList = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === "string");
const isCount = (value: unknown): boolean => typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
const isType = (value: unknown): boolean =>
  TYPES.has(value) ||
  (Array.isArray(value) &&
    value.length > 0 &&
    new Set(value).size === value.length &&
    value.every((item) => TYPES.has(item)));

const CHECKERS: Record<Shape, Checker> = {
  schema: (value, path, depth, walk) => {
    if (Array.isArray(value))
      return refuse(path, "Here stands one schema, not a list.", "Use prefixItems for a list by position.");
    return visit(value, path, depth + 1, walk);
  },
  schemas: checkSchemas,
  schemaMap: checkSchemaMap,
  patternMap: checkPatternMap,
  nameMap: checkNameMap,
  names: checkNames,
  ref: checkRef,
  type: test(isType, "It is no type of JSON Schema.", "Use null, boolean, object, array, number, integer or string."),
  text: test((value) => typeof value === "string", "It is not text.", "Write text."),
  annotation: () => 0,
  flag: test((value) => typeof value === "boolean", "It is neither true nor false.", "Write true or false."),
  count: test(isCount, "It is not a whole number of 0 or more.", "Write a number, as in 10."),
  number: test(
    (value) => typeof value === "number" && Number.isFinite(value),
    "It is not a number.",
    "Write a number.",
  ),
  positive: test(
    (value) => typeof value === "number" && Number.isFinite(value) && value > 0,
    "It is not a number above 0.",
    "Write a number above 0.",
  ),
  values: test((value) => Array.isArray(value) && value.length > 0, "It is not a list of values.", "Write [a, b]."),
  value: () => 0,
  pattern: (value, path, _depth, walk) => {
    checkPattern(value, path, walk);
    return 0;
  },
  format: test(
    (value) => typeof value === "string" && Object.hasOwn(FORMATS, value),
    "This format is not known here.",
    `Use one of ${Object.keys(FORMATS).join(", ")}, or a pattern.`,
  ),
  dialect: test(
    (value) => DIALECTS.has(value),
    "This dialect of JSON Schema is not read here.",
    "Use https://json-schema.org/draft/2020-12/schema, or leave it out.",
  ),
  sensitive: test((value) => typeof value === "boolean", "It is neither true nor false.", "Write true or false."),
  use: () => 0,
};

function checkKeyword(shape: Shape, value: unknown, path: string, depth: number, walk: Walk): number {
  return CHECKERS[shape](value, path, depth, walk);
}

function at(path: string, key: string): string {
  if (!/^[A-Za-z_$][A-Za-z0-9_$-]*$/.test(key)) return `${path}[${JSON.stringify(displayLine(key, 60))}]`;
  return path === "" ? key : `${path}.${key}`;
}
