import { z } from "zod";
import { SallyportError } from "../kernel/index.ts";
import { compileConditions, type Condition, type Conditions } from "./conditions.ts";

const TEXT = 500;
const scalar = z.union([z.string().max(TEXT), z.number(), z.boolean(), z.null()]);
const patterns = z.union([z.string().min(1).max(TEXT), z.array(z.string().min(1).max(TEXT)).min(1).max(1000)]);

const operators = {
  equals: scalar.optional(),
  in: z.array(scalar).min(1).max(1000).optional(),
  prefix: z.string().min(1).max(TEXT).optional(),
  glob: patterns.optional(),
  path: patterns.optional(),
  url: patterns.optional(),
  host: patterns.optional(),
  min: z.number().optional(),
  max: z.number().optional(),
  ignore_case: z.boolean().optional(),
};

const conditionSchema = z.union([
  scalar.transform((value): Condition => ({ equals: value })),
  z.strictObject({
    ...operators,
    exists: z.boolean().optional(),
    not: z.union([scalar.transform((value): Condition => ({ equals: value })), z.strictObject(operators)]).optional(),
    optional: z.boolean().optional(),
  }),
]);

/** `when:` of a rule, as an operator writes it. A bare value stands for `equals`. What does not compile is an issue of the schema. */
export const conditionsSchema = z
  // A record drops this key in silence, and with it what the rule asks for.
  .custom<unknown>((value) => !isObject(value) || !Object.hasOwn(value, "__proto__"), "__proto__ cannot be looked at")
  .pipe(z.record(z.string(), conditionSchema))
  .superRefine((value, context) => {
    try {
      compileConditions(value);
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      const { argument } = error.data;
      context.addIssue({
        code: "custom",
        message: error.fix === undefined ? error.message : `${error.message} ${error.fix}`,
        path: typeof argument === "string" ? [argument] : [],
      });
    }
  });

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/** Conditions from data of an operator's. @throws {SallyportError} `usage`. */
export function readConditions(value: unknown): Conditions {
  const read = conditionsSchema.safeParse(value);
  if (read.success) return read.data;
  const [first] = read.error.issues;
  const where = first?.path.map(String).join(".") ?? "";
  throw new SallyportError(
    "usage",
    `These are no conditions: ${where}${where && ": "}${first?.message ?? "malformed"}`,
    {
      fix: "See docs/policy.md for what may stand in when:.",
    },
  );
}

/** Whether a text is written as a number of JSON, `true`, `false` or `null`. */
const JSON_SCALAR = /^(?:-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null)$/;

/**
 * One condition as a command line gives it: `city=Be*`, `path=/data/**`, `url=https://api.example.com/**`, `count<=5`, `count>=1`.
 * Each argument once, a range in two. @throws {SallyportError} `usage`.
 */
export function parseConditionArguments(texts: readonly string[]): Conditions {
  const found = new Map<string, Condition>();
  for (const text of texts) {
    const parts = /^([^=<>]+?)(<=|>=|=)(.*)$/s.exec(text);
    const [, argument = "", operator = "", value = ""] = parts ?? [];
    const before = found.get(argument);
    const ranged = before !== undefined && (operator === "<=" ? hasOnly(before, "min") : hasOnly(before, "max"));
    if (parts === null || (before !== undefined && (operator === "=" || !ranged))) {
      throw new SallyportError("usage", `${JSON.stringify(text.slice(0, 100))} is no condition on one more argument.`, {
        fix: "Write ARGUMENT=VALUE, ARGUMENT<=NUMBER or ARGUMENT>=NUMBER, each argument once; * is any text.",
      });
    }
    found.set(argument, { ...before, ...(operator === "=" ? comparedTo(value) : bound(operator, value)) });
  }
  const conditions = Object.fromEntries(found);
  compileConditions(conditions);
  return conditions;
}

/** Whether a condition has this one bound and nothing else. */
function hasOnly(condition: Condition, key: "min" | "max"): boolean {
  return Object.keys(condition).join() === key;
}

function comparedTo(value: string): Condition {
  if (/^(?:\/|\$\{data\})/.test(value)) return { path: value };
  if (/^[a-z+.-]+:\/\//.test(value)) return { url: value };
  if (value.includes("*")) return { glob: value };
  const parsed: unknown = JSON_SCALAR.test(value) ? JSON.parse(value) : undefined;
  const isScalar = typeof parsed === "number" || typeof parsed === "boolean" || parsed === null;
  return isScalar ? { in: [value, parsed] } : { equals: value };
}

function bound(operator: string, value: string): Condition {
  const number = JSON_SCALAR.test(value) ? Number(value) : NaN;
  if (!Number.isFinite(number)) {
    throw new SallyportError("usage", `${JSON.stringify(value.slice(0, 100))} is no number.`, {
      fix: "Write ARGUMENT<=NUMBER.",
    });
  }
  return operator === "<=" ? { max: number } : { min: number };
}
