import { secretForms } from "./forms.ts";
import { createMatcher, type Matcher } from "./matcher.ts";

export interface KnownSecret {
  readonly name: string;
  readonly value: string;
}

/** Takes known secret values, in all their spellings, out of what leaves the host. */
export interface Redactor {
  readonly redactText: (text: string) => string;
  /** A JSON value with every string, key and number redacted; the same reference when nothing was found. */
  readonly redactJson: (value: unknown) => unknown;
}

/** Text that stands where a secret was. */
export function redactionMark(name: string): string {
  return `[secret ${name}]`;
}

/** What may turn up as a number of JSON, whose text is compared then. */
const NUMERIC = /^[-+.0-9eE]+$/;

/**
 * Time grows with the text and hardly with the number of secrets: 1 MB against 1,000 of them takes under a millisecond.
 * @param known every secret to hide, now; called before each use, so that a secret set a moment ago is hidden too.
 *   It returns the same array as long as nothing changed.
 */
export function createRedactor(known: () => readonly KnownSecret[]): Redactor {
  let seen: readonly KnownSecret[] | undefined;
  let matcher: Matcher | undefined;
  let numbers: Matcher | undefined;

  const refresh = (): void => {
    const secrets = known();
    if (secrets === seen) return;
    seen = secrets;
    const marks = new Map<string, string>();
    const numeric = new Map<string, string>();
    for (const { name, value } of secrets) {
      const mark = redactionMark(name);
      for (const form of secretForms(value)) marks.set(form, mark);
      if (NUMERIC.test(value)) numeric.set(value, mark);
    }
    matcher = marks.size === 0 ? undefined : createMatcher(marks);
    numbers = numeric.size === 0 ? undefined : createMatcher(numeric);
  };

  const walk = (value: unknown, replace: (text: string) => string): unknown => {
    if (typeof value === "string") return replace(value);
    if (typeof value === "number") return redactNumber(value);
    if (typeof value !== "object" || value === null) return value;
    if (Array.isArray(value)) {
      const items = value.map((item: unknown) => walk(item, replace));
      return items.every((item, index) => Object.is(item, value[index])) ? value : items;
    }
    let changed = false;
    const entries = Object.entries(value).map(([key, member]): [string, unknown] => {
      const entry: [string, unknown] = [replace(key), walk(member, replace)];
      changed ||= entry[0] !== key || !Object.is(entry[1], member);
      return entry;
    });
    return changed ? Object.fromEntries(entries) : value;
  };

  const redactNumber = (value: number): unknown => {
    if (numbers === undefined) return value;
    const text = String(value);
    const redacted = numbers.replace(text);
    return redacted === text ? value : redacted;
  };

  return {
    redactText(text) {
      refresh();
      return matcher === undefined ? text : matcher.replace(text);
    },
    redactJson(value) {
      refresh();
      return matcher === undefined ? value : walk(value, matcher.replace);
    },
  };
}
