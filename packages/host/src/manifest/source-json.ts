import { LIMITS } from "../kernel/index.ts";
import type { SourceProblem } from "./source.ts";

/**
 * Parses JSON text and also refuses what `JSON.parse` swallows: a key that is there twice, nesting that overflows whoever
 * walks it. One pass without recursion comes first, so that neither reaches the parser.
 */
export function parseJsonSource(text: string): { value: unknown } | { problem: SourceProblem } {
  const problem = scan(text);
  if (problem !== undefined) return { problem };
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    return {
      problem: {
        problem: `This is not valid JSON: ${error instanceof Error ? error.message : "syntax error"}`,
        fix: "Correct the syntax.",
      },
    };
  }
}

interface Level {
  readonly keys: Set<string> | null;
}

function scan(text: string): SourceProblem | undefined {
  const levels: Level[] = [];
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code === 0x7b || code === 0x5b) {
      levels.push({ keys: code === 0x7b ? new Set() : null });
      if (levels.length > LIMITS.jsonDepth) {
        return {
          code: "manifest_too_large",
          problem: `The manifest is nested deeper than ${LIMITS.jsonDepth} levels.`,
          fix: "Flatten it.",
        };
      }
    } else if (code === 0x7d || code === 0x5d) levels.pop();
    else if (code === 0x22) {
      const end = endOfString(text, index);
      const keys = levels.at(-1)?.keys;
      if (keys && followedByColon(text, end)) {
        const key = unquote(text.slice(index, end + 1));
        if (key !== undefined && keys.has(key))
          return {
            problem: `The key ${JSON.stringify(key.slice(0, 60))} is there twice.`,
            fix: "Keep one of the two.",
          };
        if (key !== undefined) keys.add(key);
      }
      index = end;
    }
  }
  return undefined;
}

function endOfString(text: string, start: number): number {
  for (let index = start + 1; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code === 0x5c) index++;
    else if (code === 0x22) return index;
  }
  return text.length;
}

function followedByColon(text: string, end: number): boolean {
  let index = end + 1;
  while (index < text.length && " \t\r\n".includes(text.charAt(index))) index++;
  return text.charCodeAt(index) === 0x3a;
}

function unquote(literal: string): string | undefined {
  try {
    const value: unknown = JSON.parse(literal);
    return typeof value === "string" ? value : undefined;
  } catch {
    return undefined; // not a string literal; JSON.parse of the whole text says so
  }
}
