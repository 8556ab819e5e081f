import { secretForms } from "./forms.ts";

export interface KnownSecret {
  readonly name: string;
  readonly value: string;
}

/** Takes known secret values, in all their spellings, out of what leaves the host. */
export interface Redactor {
  readonly redactText: (text: string) => string;
  /** A JSON value with every string and key redacted; the same reference when nothing was found. */
  readonly redactJson: (value: unknown) => unknown;
}

/** Text that stands where a secret was. */
export function redactionMark(name: string): string {
  return `[secret ${name}]`;
}

/**
 * @param known every secret to hide, now; called before each use, so that a secret set a moment ago is hidden too.
 *   It returns the same array as long as nothing changed.
 */
export function createRedactor(known: () => readonly KnownSecret[]): Redactor {
  let seen: readonly KnownSecret[] | undefined;
  let pattern: RegExp | undefined;
  let marks = new Map<string, string>();
  let shortest = 0;

  const refresh = (): void => {
    const secrets = known();
    if (secrets === seen) return;
    seen = secrets;
    marks = new Map();
    for (const { name, value } of secrets) {
      for (const form of secretForms(value)) marks.set(form, redactionMark(name));
    }
    const forms = [...marks.keys()].toSorted((a, b) => b.length - a.length);
    shortest = forms.at(-1)?.length ?? 0;
    pattern = forms.length === 0 ? undefined : new RegExp(forms.map(escapeForRegExp).join("|"), "g");
  };

  const replace = (text: string): string =>
    pattern === undefined || text.length < shortest
      ? text
      : text.replace(pattern, (form) => marks.get(form) ?? "[secret]");

  const walk = (value: unknown): unknown => {
    if (typeof value === "string") return replace(value);
    if (typeof value !== "object" || value === null) return value;
    if (Array.isArray(value)) {
      const items = value.map(walk);
      return items.every((item, index) => Object.is(item, value[index])) ? value : items;
    }
    let changed = false;
    const entries = Object.entries(value).map(([key, member]): [string, unknown] => {
      const entry: [string, unknown] = [replace(key), walk(member)];
      changed ||= entry[0] !== key || !Object.is(entry[1], member);
      return entry;
    });
    return changed ? Object.fromEntries(entries) : value;
  };

  return {
    redactText(text) {
      refresh();
      return replace(text);
    },
    redactJson(value) {
      refresh();
      return pattern === undefined ? value : walk(value);
    },
  };
}

function escapeForRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
}
