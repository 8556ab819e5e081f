import { hasHiddenCharacters, SallyportError } from "../kernel/index.ts";

/** The most that one `exec` may carry, and that a scope may say about it. */
const ARGUMENT_LIMITS = { patterns: 64, patternChars: 500, stars: 8 } as const;

/** Any number of arguments that are no options, and any number of any. Last only. */
const REST = "**";
const REST_WITH_OPTIONS = "-**";

function refuse(message: string, fix: string): never {
  throw new SallyportError("usage", message, { fix });
}

/**
 * Argument patterns in canonical form, one for each argument in its place: a text as it stands, a text in which each `*` is any
 * run of characters of that one argument, and as the last one `**` (any number of arguments) or `-**` (the same, options too).
 * Only `*` is special: `?`, `[]`, `{}`, `~`, `$` and quotes are themselves, since nothing expands them.
 * @throws {SallyportError} `usage`.
 */
export function canonicalArguments(patterns: readonly string[]): readonly string[] {
  const { patterns: most, patternChars, stars } = ARGUMENT_LIMITS;
  if (patterns.length > most) refuse(`There are over ${most} argument patterns.`, "Use ** for the rest.");
  patterns.forEach((pattern, index) => {
    if (pattern.length > patternChars)
      refuse("An argument pattern is too long.", `Use at most ${patternChars} characters.`);
    if (!pattern.isWellFormed() || hasHiddenCharacters(pattern) || /[\n\t]/.test(pattern))
      refuse("An argument pattern has control or invisible characters.", "Remove them.");
    if (isRest(pattern)) {
      if (index !== patterns.length - 1) refuse(`${pattern} is not the last pattern.`, "Put it last, or use *.");
    } else if (pattern.includes("**"))
      refuse(
        `${JSON.stringify(pattern)} has two stars in a row.`,
        "Use one * within an argument, ** alone at the end.",
      );
    else if (pattern.split("*").length - 1 > stars)
      refuse("An argument pattern has too many stars.", `Use at most ${stars}.`);
  });
  return patterns;
}

function isRest(pattern: string): boolean {
  return pattern === REST || pattern === REST_WITH_OPTIONS;
}

/**
 * Whether one argument fits one pattern. What a star stands for is chosen by the plugin, so a pattern with stars never admits an
 * empty argument, one with control or invisible characters, or an option (`-…`) unless the pattern itself begins with `-`.
 */
function argumentMatches(pattern: string, argument: string): boolean {
  if (!pattern.includes("*")) return pattern === argument;
  if (argument === "" || hasHiddenCharacters(argument) || /[\n\t]/.test(argument)) return false;
  if (argument.startsWith("-") && !pattern.startsWith("-")) return false;
  return globMatches(pattern, argument);
}

/** Without recursion: on a mismatch the last star takes one character more. */
function globMatches(pattern: string, text: string): boolean {
  let [p, t, star, taken] = [0, 0, -1, 0];
  while (t < text.length) {
    if (pattern[p] === "*") [star, taken] = [p++, t];
    else if (p < pattern.length && pattern[p] === text[t]) [p, t] = [p + 1, t + 1];
    else if (star >= 0) [p, t] = [star + 1, ++taken];
    else return false;
  }
  while (pattern[p] === "*") p++;
  return p === pattern.length;
}

/** Whether arguments fit the patterns, each in its place. */
export function argumentsMatch(patterns: readonly string[], args: readonly string[]): boolean {
  const rest = patterns.at(-1);
  if (rest === undefined || !isRest(rest)) {
    return patterns.length === args.length && patterns.every((pattern, index) => fits(pattern, args[index]));
  }
  const fixed = patterns.slice(0, -1);
  if (args.length < fixed.length || !fixed.every((pattern, index) => fits(pattern, args[index]))) return false;
  return args
    .slice(fixed.length)
    .every(
      (argument) => argumentMatches("*", argument) || (rest === REST_WITH_OPTIONS && argumentMatches("-*", argument)),
    );
}

function fits(pattern: string, argument: string | undefined): boolean {
  return argument !== undefined && argumentMatches(pattern, argument);
}

/**
 * Whether every list of arguments that `inner` admits is admitted by `outer`. A pattern's own stars are read as characters:
 * only a star of `outer` takes them in, which stands for all that they stand for.
 */
export function argumentsWithin(inner: readonly string[], outer: readonly string[]): boolean {
  const innerRest = inner.at(-1);
  const outerRest = outer.at(-1);
  if (innerRest === undefined || !isRest(innerRest)) return argumentsMatch(outer, inner);
  if (outerRest === undefined || !isRest(outerRest)) return false;
  if (innerRest === REST_WITH_OPTIONS && outerRest === REST) return false;
  return argumentsMatch(outer, inner.slice(0, -1));
}
