import type { Message } from "esbuild";
import { decodeLines, type OriginalLine } from "./source-map.ts";

/** Something in a plugin's source that a person should look at before approving. Advice: the sandbox is what contains. */
export interface ImportWarning {
  /** Path below the plugin's root. */
  readonly file: string;
  readonly line: number;
  readonly problem: string;
}

/** Globals whose use is worth a look, by what esbuild (which knows scopes) finds them to be, not by their text. */
const WATCHED: Readonly<Record<string, string>> = {
  eval: "runs text as code (eval)",
  Function: "runs text as code (Function)",
  "globalThis.eval": "runs text as code (eval)",
  "globalThis.Function": "runs text as code (Function)",
  "window.eval": "runs text as code (eval)",
  "window.Function": "runs text as code (Function)",
  "self.eval": "runs text as code (eval)",
  "self.Function": "runs text as code (Function)",
  Deno: "reaches for the engine (Deno)",
  "globalThis.Deno": "reaches for the engine (Deno)",
  "process.binding": "reaches for the engine (process.binding)",
  "process.dlopen": "loads native code (process.dlopen)",
  Worker: "starts a thread (Worker)",
  "globalThis.Worker": "starts a thread (Worker)",
};

const KEYS = Object.keys(WATCHED);

/** esbuild's warnings that matter here, which it does not give by itself for dependencies. */
export const WATCHED_LOGS = {
  "unsupported-dynamic-import": "warning",
  "unsupported-require-call": "warning",
  "indirect-require": "warning",
} as const;

const LOG_PROBLEMS: Readonly<Record<string, string>> = {
  "unsupported-dynamic-import": "imports a module whose name is computed when it runs",
  "unsupported-require-call": "requires a module whose name is computed when it runs",
  "indirect-require": "passes require on, so that what it loads cannot be seen",
};

/** Replacements for esbuild's `define`, which make every use of a watched global findable in the analysis build. */
export function watchedGlobals(marker: string): Record<string, string> {
  return Object.fromEntries(KEYS.map((key, index) => [key, `${marker}${index}_`]));
}

/** Reads the analysis build: where the marked globals are used, and what esbuild itself warned of. */
export function findWarnings(
  text: string,
  mapText: string,
  marker: string,
  messages: readonly Message[],
): ImportWarning[] {
  const found: ImportWarning[] = messages.flatMap((message) => {
    const problem = LOG_PROBLEMS[message.id];
    return problem === undefined || message.location === null
      ? []
      : [{ file: ownPath(message.location.file), line: message.location.line, problem }];
  });
  const uses = text.split("\n").flatMap((line, index) => usesIn(line, marker).map((use) => ({ ...use, line: index })));
  const originals = uses.length === 0 ? undefined : decodeLines(mapText);
  for (const use of uses) {
    const original: OriginalLine | undefined = originals?.(use.line, use.column);
    if (original !== undefined)
      found.push({ file: ownPath(original.source), line: original.line, problem: use.problem });
  }
  return unique(found);
}

function usesIn(line: string, marker: string): { column: number; problem: string }[] {
  return [...line.matchAll(new RegExp(`${marker}(\\d+)_`, "g"))].flatMap((match) => {
    const key = KEYS[Number(match[1])];
    const problem = key === undefined ? undefined : WATCHED[key];
    const harmless =
      /(instanceof|typeof) $/.test(line.slice(0, match.index)) ||
      /^\.prototype\b/.test(line.slice(match.index + match[0].length));
    return problem === undefined || harmless ? [] : [{ column: match.index, problem }];
  });
}

/** `plugin:src/a.ts` → `src/a.ts`. */
export function ownPath(path: string): string {
  return path.replace(/^(plugin|sallyport-sdk):/, "");
}

function unique(warnings: readonly ImportWarning[]): ImportWarning[] {
  const keyed = new Map(warnings.map((warning) => [`${warning.file}\0${warning.line}\0${warning.problem}`, warning]));
  return [...keyed.values()].toSorted(
    (a, b) => compare(a.file, b.file) || a.line - b.line || compare(a.problem, b.problem),
  );
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
