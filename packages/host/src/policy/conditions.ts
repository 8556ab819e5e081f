import { canonicalJson, hasHiddenCharacters, SallyportError } from "../kernel/index.ts";
import { EVERY, MISSING, parseArgumentPath, valueAt, valuesAt } from "./argument-path.ts";
import {
  type Answer,
  badPattern,
  compileFilePath,
  compileGlob,
  compileHost,
  compileUrl,
  type TextMatcher,
} from "./text-patterns.ts";

export type Scalar = string | number | boolean | null;

/** What must hold for one argument: one operator (`min` and `max` may stand together), and how it is meant. */
export interface Condition {
  readonly equals?: Scalar | undefined;
  readonly in?: readonly Scalar[] | undefined;
  readonly prefix?: string | undefined;
  /** `*` is any text. */
  readonly glob?: string | readonly string[] | undefined;
  /** A file's path: `/data/**`. */
  readonly path?: string | readonly string[] | undefined;
  /** `https://api.example.com/v1/**`. */
  readonly url?: string | readonly string[] | undefined;
  /** `api.example.com`, `*.example.com`. */
  readonly host?: string | readonly string[] | undefined;
  /** Both inclusive. */
  readonly min?: number | undefined;
  readonly max?: number | undefined;
  readonly exists?: boolean | undefined;
  readonly not?: Condition | undefined;
  readonly ignore_case?: boolean | undefined;
  /** Without the argument this condition is met for an allow, and not met for a deny or an approval. */
  readonly optional?: boolean | undefined;
}

/** Argument path (`city`, `a.b`, `items[*].id`) → what must hold there. All must. */
export type Conditions = Readonly<Record<string, Condition>>;

export interface CompiledConditions {
  /** Certainly met: of a list every item, and there is one. What is missing, of another type or unclear is not. For what allows. */
  matches(input: unknown): boolean;
  /** Not certainly unmet: any item of a list, and also what is missing, of another type or unclear. For what denies. */
  mayMatch(input: unknown): boolean;
}

const MOST_CONDITIONS = 32;
const MOST_BYTES = 32 * 1024;
const MOST_IN_SET = 1000;
const OPERATORS = ["equals", "in", "prefix", "glob", "path", "url", "host", "min", "max", "exists", "not"] as const;

/**
 * Conditions on the canonical input of a call, as data. Texts are compared in NFC; a text with invisible characters is unclear. Time is
 * linear in the input and the conditions.
 * @throws {SallyportError} `usage` for what is no condition, contradicts itself, or is over 32 conditions or 32 KiB; `data.argument` says where.
 */
export function compileConditions(conditions: Conditions): CompiledConditions {
  const entries = Object.entries(conditions);
  if (entries.length > MOST_CONDITIONS || canonicalJson(conditions).length > MOST_BYTES) {
    throw new SallyportError("usage", `There are over ${MOST_CONDITIONS} conditions, or over ${MOST_BYTES} bytes.`, {
      fix: "Split the rule, or ask for less.",
    });
  }
  const compiled = entries.map(([argument, condition]) => compileOne(argument, condition));
  return {
    matches: (input) => compiled.every((one) => one.matches(input)),
    mayMatch: (input) => compiled.every((one) => one.mayMatch(input)),
  };
}

function compileOne(argument: string, condition: Condition): CompiledConditions {
  const path = parseArgumentPath(argument);
  const test = inArgument(argument, () => compileOperator(condition));
  const optional = condition.optional === true;
  if (!path.includes(EVERY)) {
    return {
      matches(input) {
        const value = valueAt(input, path);
        return value === MISSING && optional ? true : test(value) === true;
      },
      mayMatch(input) {
        const value = valueAt(input, path);
        return value === MISSING && optional ? false : test(value) !== false;
      },
    };
  }
  return {
    matches: (input) => {
      const values = valuesAt(input, path);
      return values.length > 0 && values.every((value) => (value === MISSING && optional) || test(value) === true);
    },
    mayMatch: (input) =>
      valuesAt(input, path).some((value) => !(value === MISSING && optional) && test(value) !== false),
  };
}

function inArgument<T>(argument: string, compile: () => T): T {
  try {
    return compile();
  } catch (error) {
    if (!(error instanceof SallyportError)) throw error;
    throw new SallyportError("usage", `${argument}: ${error.message}`, {
      ...(error.fix === undefined ? {} : { fix: error.fix }),
      data: { argument },
      cause: error,
    });
  }
}

type Test = (value: unknown) => Answer;

function compileOperator(condition: Condition): Test {
  const operators = OPERATORS.filter((name) => condition[name] !== undefined);
  const range = operators.every((name) => name === "min" || name === "max");
  if (operators.length === 0 || (operators.length > 1 && !range)) {
    throw contradicts("it needs one operator, or min and max", "Put a second condition into a rule of its own.");
  }
  if (condition.exists !== undefined) return existence(condition);
  if (condition.not !== undefined) return negation(condition.not);
  if (range) return between(condition.min ?? -Infinity, condition.max ?? Infinity);
  if (condition.in !== undefined) return oneOf(condition.in, condition);
  if (condition.equals !== undefined) return oneOf([condition.equals], condition);
  if (condition.prefix !== undefined) return text(condition, [plainPrefix(condition.prefix, condition)]);
  if (condition.glob !== undefined)
    return text(
      condition,
      listOf(condition.glob).map((one) => plainGlob(one, condition)),
    );
  if (condition.path !== undefined)
    return text(
      condition,
      listOf(condition.path).map((one) => compileFilePath(cased(one, condition))),
    );
  if (condition.url !== undefined) return text({}, listOf(condition.url).map(compileUrl));
  return text({}, listOf(condition.host ?? []).map(compileHost));
}

function existence({ exists, optional }: Condition): Test {
  if (optional === true) throw contradicts("optional says nothing beside exists", "Remove one of them.");
  return (value) => (value !== MISSING) === exists;
}

function negation(inner: Condition): Test {
  if (inner.not !== undefined || inner.exists !== undefined || inner.optional !== undefined) {
    throw contradicts("not stands before a comparison", "Write optional beside not, and exists: false for absence.");
  }
  const test = compileOperator(inner);
  return (value) => {
    const answer = test(value);
    return answer === "unclear" ? answer : !answer;
  };
}

function between(min: number, max: number): Test {
  if (!(min <= max)) throw contradicts("min is above max, so no number is in between", "Exchange them.");
  return (value) => (typeof value === "number" ? value >= min && value <= max : "unclear");
}

function oneOf(scalars: readonly Scalar[], how: Condition): Test {
  if (scalars.length === 0 || scalars.length > MOST_IN_SET) {
    throw contradicts(`a set has 1 to ${MOST_IN_SET} values`, "Name them, or write a glob.");
  }
  const wanted = new Set(scalars.map((scalar) => (typeof scalar === "string" ? cased(visible(scalar), how) : scalar)));
  const types = new Set(scalars.map(typeOf));
  return (value) => {
    if (!types.has(typeOf(value))) return "unclear";
    if (typeof value !== "string") return wanted.has(scalarOf(value));
    const composed = plainText(value);
    return composed === undefined ? "unclear" : wanted.has(inCase(composed, how));
  };
}

function scalarOf(value: unknown): Scalar {
  return typeof value === "number" || typeof value === "boolean" ? value : null;
}

function typeOf(value: unknown): string {
  return value === null ? "null" : typeof value;
}

/** Any of the patterns; unclear when one is and none other is met. */
function text(how: Condition, patterns: readonly TextMatcher[]): Test {
  if (patterns.length === 0 || patterns.length > MOST_IN_SET) {
    throw contradicts(`there are 1 to ${MOST_IN_SET} patterns`, "Name at least one.");
  }
  return (value) => {
    const composed = typeof value === "string" ? plainText(value) : undefined;
    if (composed === undefined) return "unclear";
    const compared = inCase(composed, how);
    let answer: Answer = false;
    for (const pattern of patterns) {
      const one = pattern(compared);
      if (one === true) return true;
      if (one === "unclear") answer = one;
    }
    return answer;
  };
}

/** A path or a URL has many spellings; comparing its text would be evaded by the next one. */
function plain(pattern: string): string {
  visible(pattern);
  if (/^(?:\/|\$\{data\})/.test(pattern)) {
    throw badPattern(
      pattern,
      "it looks like a path, which has many spellings",
      "Write path: instead, as in path: /data/**.",
    );
  }
  if (/^[a-z+.-]+:\/\//i.test(pattern)) {
    throw badPattern(pattern, "it looks like a URL, which has many spellings", "Write url: or host: instead.");
  }
  return pattern;
}

function plainPrefix(pattern: string, how: Condition): TextMatcher {
  const prefix = cased(plain(pattern), how);
  return (value) => value.startsWith(prefix);
}

function plainGlob(pattern: string, how: Condition): TextMatcher {
  return compileGlob(cased(plain(pattern), how));
}

/** What a condition holds can be met only when no character of it is hidden. */
function visible(pattern: string): string {
  if (!hasHiddenCharacters(pattern)) return pattern;
  throw badPattern(pattern, "it has control or invisible characters", "Remove them.");
}

let last: { readonly given: string; readonly plain: string | undefined } = { given: "", plain: "" };

/** In NFC; `undefined` with hidden characters. Many rules look at the same argument of one call. */
export function plainText(given: string): string | undefined {
  if (last.given === given) return last.plain;
  const plainly = hasHiddenCharacters(given) ? undefined : given.normalize("NFC");
  if (given.length <= 1000) last = { given, plain: plainly };
  return plainly;
}

function cased(value: string, how: Condition): string {
  return inCase(value.normalize("NFC"), how);
}

function inCase(composed: string, { ignore_case: ignoreCase }: Condition): string {
  return ignoreCase === true ? composed.toLowerCase().normalize("NFC") : composed;
}

function listOf(value: string | readonly string[]): readonly string[] {
  return typeof value === "string" ? [value] : value;
}

function contradicts(why: string, fix: string): SallyportError {
  return new SallyportError("usage", `This is no condition: ${why}.`, { fix });
}
