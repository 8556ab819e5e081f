import { EVERY, parseArgumentPath, type Segment, valueAt } from "./argument-path.ts";
import { type Condition, plainText, type Scalar } from "./conditions.ts";
import type { CompiledRule } from "./rule.ts";

/** The rules of a tool that a call may meet; those left out it certainly does not. */
export type Selector = (input: unknown) => readonly CompiledRule[];

/** Below it, asking each rule is as fast. */
const WORTH_IT = 16;

interface Group {
  readonly path: readonly Segment[];
  readonly all: CompiledRule[];
  readonly byValue: Map<Scalar, CompiledRule[]>;
}

/**
 * Finds by a look-up the rules that ask for one text in the same argument, as a thousand lines of a list do. For anything but a plain
 * text there, all of them are asked.
 */
export function createSelector(rules: readonly CompiledRule[]): Selector {
  const groups = new Map<string, Group>();
  const rest: CompiledRule[] = [];
  for (const rule of rules) {
    const [argument, texts] = textsOf(rule) ?? [];
    if (argument === undefined || texts === undefined) {
      rest.push(rule);
      continue;
    }
    const group: Group = groups.get(argument) ?? { path: parseArgumentPath(argument), all: [], byValue: new Map() };
    groups.set(argument, group);
    group.all.push(rule);
    for (const text of new Set(texts)) {
      const same = group.byValue.get(text);
      if (same) same.push(rule);
      else group.byValue.set(text, [rule]);
    }
  }
  const indexed = [...groups.values()].filter(({ all }) => all.length >= WORTH_IT);
  if (indexed.length === 0) return () => rules;
  const unindexed = [
    ...rest,
    ...[...groups.values()].filter((group) => !indexed.includes(group)).flatMap(({ all }) => all),
  ];
  return (input) => [...unindexed, ...indexed.flatMap((group) => foundIn(group, input))];
}

function foundIn({ path, all, byValue }: Group, input: unknown): readonly CompiledRule[] {
  const value = valueAt(input, path);
  const text = typeof value === "string" ? plainText(value) : undefined;
  return text === undefined ? all : (byValue.get(text) ?? []);
}

/** The first of a rule's conditions that only certain texts meet, in NFC. */
function textsOf({ rule }: CompiledRule): readonly [argument: string, texts: readonly string[]] | undefined {
  for (const [argument, condition] of Object.entries(rule.when ?? {})) {
    const texts = exactTexts(condition);
    if (texts !== undefined && !parseArgumentPath(argument).includes(EVERY)) return [argument, texts];
  }
  return undefined;
}

function exactTexts({ equals, in: set, ignore_case: ignoreCase }: Condition): readonly string[] | undefined {
  const scalars = set ?? (equals === undefined ? [] : [equals]);
  const texts = scalars.filter((scalar) => typeof scalar === "string");
  // In a mixed set a text is compared too, but what it lacks is clear only of texts.
  if (ignoreCase === true || texts.length === 0 || texts.length !== scalars.length) return undefined;
  return texts.map((text) => text.normalize("NFC"));
}
