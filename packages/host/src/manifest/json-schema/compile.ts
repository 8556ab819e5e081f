import { Ajv2020, type ErrorObject, type ValidateFunction } from "ajv/dist/2020.js";
import { canonicalJson, digestOf, displayLine, SallyportError } from "../../kernel/index.ts";
import type { JsonSchema } from "../types.ts";
import { checkSchema } from "./check.ts";
import { FORMATS } from "./formats.ts";
import { linearPattern } from "./patterns.ts";

/** What is wrong with a value: where (`items[0].name`; empty for the whole), and what. Never holds the value itself. */
export interface ValueProblem {
  readonly path: string;
  readonly problem: string;
}

export type CheckAnswer = { readonly ok: true } | { readonly ok: false; readonly problems: readonly ValueProblem[] };

/** A schema ready to check values. Checking changes nothing, coerces nothing, and stops at the first failure. */
export interface CompiledSchema {
  readonly digest: string;
  check(value: unknown): CheckAnswer;
}

const OK: CheckAnswer = { ok: true };
const MAX_PROBLEMS = 10;
const MAX_CACHED = 2_000;

/* Ajv's default options for text that strangers wrote are wrong in each line that is set here. */
function createAjv(): Ajv2020 {
  const ajv = new Ajv2020({
    strict: false, // checkSchema is stricter, and says why
    strictNumbers: true,
    validateSchema: false,
    meta: false,
    addUsedSchema: false,
    allErrors: false,
    coerceTypes: false,
    useDefaults: false,
    removeAdditional: false,
    unicodeRegExp: true,
    logger: false,
    formats: { ...FORMATS },
    code: { regExp: Object.assign((pattern: string) => linearPattern(pattern), { code: "linearPattern" }) },
  });
  ajv.removeKeyword("uniqueItems"); // compares each with each
  ajv.addKeyword({ keyword: "uniqueItems", type: "array", schemaType: "boolean", validate: areUnique, errors: false });
  for (const keyword of ["x-sensitive", "x-use"]) ajv.addKeyword(keyword);
  return ajv;
}

function areUnique(wanted: boolean, items: readonly unknown[]): boolean {
  if (!wanted) return true;
  return (
    new Set(items.map((item) => (hasObject(item) ? canonicalJson(item) : JSON.stringify(item)))).size === items.length
  );
}

/** Without objects there is no order of keys, and the native writer is far quicker. */
function hasObject(value: unknown): boolean {
  return Array.isArray(value) ? value.some(hasObject) : typeof value === "object" && value !== null;
}

const bySchema = new WeakMap<object, CompiledSchema>();
const byDigest = new Map<string, CompiledSchema>();

/**
 * Compiles a plugin's schema, after checking that it is in the safe subset. The same schema is compiled once.
 * @throws {SallyportError} `schema_unsupported`.
 */
export function compileSchema(schema: JsonSchema): CompiledSchema {
  if (typeof schema === "boolean") return compileNew(schema, `boolean:${schema}`);
  const known = bySchema.get(schema);
  if (known !== undefined) return known;
  checkSchema(schema, "", { config: true });
  const digest = digestOf("sallyport-schema-v1", schema);
  const compiled = byDigest.get(digest) ?? compileNew(schema, digest);
  byDigest.delete(digest); // the newest stands last
  byDigest.set(digest, compiled);
  if (byDigest.size > MAX_CACHED) byDigest.delete(byDigest.keys().next().value ?? "");
  if (Object.isFrozen(schema)) bySchema.set(schema, compiled);
  return compiled;
}

function compileNew(schema: JsonSchema, digest: string): CompiledSchema {
  try {
    // an instance of its own: ajv keeps every schema and value that it ever saw
    const validate: ValidateFunction = createAjv().compile(
      typeof schema === "boolean" ? schema : structuredClone(schema),
    );
    return {
      digest,
      check: (value) => (validate(value) ? OK : { ok: false, problems: problemsOf(validate.errors ?? []) }),
    };
  } catch (error) {
    throw new SallyportError("schema_unsupported", "The schema does not compile.", {
      fix: "Simplify it.",
      cause: error,
    });
  }
}

function problemsOf(errors: readonly ErrorObject[]): readonly ValueProblem[] {
  return errors
    .slice(0, MAX_PROBLEMS)
    .map((error) => ({ path: pathOf(error.instancePath), problem: problemOf(error) }));
}

function quoted(value: unknown): string {
  return JSON.stringify(displayLine(String(value), 60));
}

function problemOf(error: ErrorObject): string {
  const params: Record<string, unknown> = error.params;
  switch (error.keyword) {
    case "additionalProperties":
      return `has the unknown property ${quoted(params["additionalProperty"])}`;
    case "required":
      return `lacks the property ${quoted(params["missingProperty"])}`;
    case "enum":
      return `is none of ${displayLine(JSON.stringify(params["allowedValues"]), 200)}`;
    case "const":
      return `is not ${displayLine(JSON.stringify(params["allowedValue"]), 100)}`;
    case "uniqueItems":
      return "has the same item twice";
    case "pattern":
      return `does not match ${quoted(params["pattern"])}`;
    case "false schema":
      return "is not allowed";
    default:
      return displayLine(error.message ?? "is not valid", 200);
  }
}

/** `/items/0/na~1me` → `items[0]["na/me"]`. */
function pathOf(pointer: string): string {
  let text = "";
  for (const raw of pointer.split("/").slice(1)) {
    const part = raw.replaceAll("~1", "/").replaceAll("~0", "~");
    if (/^\d+$/.test(part)) text += `[${part}]`;
    else if (/^[A-Za-z_$][A-Za-z0-9_$-]*$/.test(part)) text += text === "" ? part : `.${part}`;
    else text += `[${JSON.stringify(displayLine(part, 60))}]`;
  }
  return displayLine(text, 300);
}
