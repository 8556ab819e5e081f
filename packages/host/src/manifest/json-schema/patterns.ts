import { RE2JS } from "re2js";
import { displayLine, SallyportError } from "../../kernel/index.ts";

const MAX_PATTERN = 256;
const MAX_PROGRAM = 600;
/* Longer text does not match any pattern: the engine is linear, and this bounds its factor. */
export const MAX_MATCHED_TEXT = 64 * 1024;

export interface LinearPattern {
  test(text: string): boolean;
  /** `/pattern/u`; ajv tells patterns apart by this text. */
  toString(): string;
}

function refuse(pattern: string, why: string): never {
  throw new SallyportError(
    "schema_unsupported",
    `The pattern ${JSON.stringify(displayLine(pattern, 80))} is refused: ${why}.`,
    {
      fix: "Use a pattern without look-around and back-references, of moderate size.",
    },
  );
}

/**
 * An ECMAScript pattern (flag `u`, as JSON Schema says) on an engine whose time is linear in the text.
 * @throws {SallyportError} `schema_unsupported` for what that engine cannot do, would read otherwise, or only slowly.
 */
export function linearPattern(pattern: string): LinearPattern {
  if (pattern.length > MAX_PATTERN) refuse(pattern, `it is longer than ${MAX_PATTERN} characters`);
  try {
    void new RegExp(pattern, "u"); // parsed, never run
  } catch {
    refuse(pattern, "it is not a valid ECMAScript pattern");
  }
  const compiled = compile(pattern);
  if (compiled.programSize() > MAX_PROGRAM) refuse(pattern, "it is too large once its repetitions are written out");
  return { test: (text) => text.length <= MAX_MATCHED_TEXT && compiled.test(text), toString: () => `/${pattern}/u` };
}

function compile(pattern: string): RE2JS {
  const translated = translate(pattern);
  try {
    return RE2JS.compile(translated);
  } catch {
    return refuse(pattern, "it needs what a linear-time engine cannot do");
  }
}

const SPACE =
  "\\t\\n\\x{b}\\f\\r \\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}\\x{feff}";
const SAME_ESCAPE = /^[dDwWtnrf^$\\.*+?()[\]{}|/-]$/;

/** Writes a valid ECMAScript pattern so that RE2 reads it the same way. What could be read otherwise is refused. */
function translate(pattern: string): string {
  let out = "";
  let inClass = false;
  for (let index = 0; index < pattern.length;) {
    const char = pattern.charAt(index);
    if (char === "\\") {
      const [text, length] = translateEscape(pattern, index, inClass);
      out += text;
      index += length;
      continue;
    }
    if (inClass) {
      if (char === "]") inClass = false;
      out += char === "[" || char === "&" ? `\\${char}` : char;
    } else if (char === "[") {
      const negated = pattern.charAt(index + 1) === "^";
      if (pattern.charAt(index + (negated ? 2 : 1)) === "]") refuse(pattern, "it has an empty class");
      inClass = true;
      out += negated ? "[^" : "[";
      if (negated) index++;
    } else if (char === "(" && pattern.charAt(index + 1) === "?") {
      if (!/^\(\?(?::|<[A-Za-z][A-Za-z0-9]*>)/.test(pattern.slice(index, index + 64)))
        refuse(pattern, "it has look-around or inline flags");
      out += pattern.charAt(index + 2) === "<" ? "(?P" : "(?";
      index++;
    } else out += char === "." ? "[^\\n\\r\\x{2028}\\x{2029}]" : char;
    index++;
  }
  return out;
}

function translateEscape(pattern: string, start: number, inClass: boolean): readonly [string, number] {
  const next = pattern.charAt(start + 1);
  if (SAME_ESCAPE.test(next)) return [next === "/" ? "/" : `\\${next}`, 2];
  if ((next === "b" || next === "B") && !inClass) return [`\\${next}`, 2];
  if (next === "v") return ["\\x{b}", 2];
  if (next === "s") return [inClass ? SPACE : `[${SPACE}]`, 2];
  if (next === "S" && !inClass) return [`[^${SPACE}]`, 2];
  const code = /^\\(?:u([0-9A-Fa-f]{4})|u\{([0-9A-Fa-f]{1,6})\}|x([0-9A-Fa-f]{2}))/.exec(
    pattern.slice(start, start + 12),
  );
  if (code) {
    const value = Number.parseInt(code[1] ?? code[2] ?? code[3] ?? "", 16);
    if (value >= 0xd800 && value <= 0xdfff) refuse(pattern, "it has half a surrogate pair");
    return [`\\x{${value.toString(16)}}`, code[0].length];
  }
  const property = /^\\[pP]\{(?:L|Lu|Ll|Lt|Lm|Lo|N|Nd|P|S|Z|M)\}/.exec(pattern.slice(start, start + 8));
  if (property) return [property[0], property[0].length];
  return refuse(pattern, `it has the escape \\${displayLine(next, 2)}`);
}
