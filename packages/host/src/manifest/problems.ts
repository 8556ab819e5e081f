import { displayLine, type ErrorCode, SallyportError } from "../kernel/index.ts";

/** One thing that is wrong with a manifest: where, what, and how to mend it. */
export interface ManifestProblem {
  /** As in `permissions.network[0].host`; empty for the whole file. */
  readonly path: string;
  readonly problem: string;
  readonly fix?: string;
}

export type PathPart = string | number;

const MAX_PROBLEMS = 50;
const PLAIN_KEY = /^[A-Za-z_$][A-Za-z0-9_$-]*$/;

/** `["permissions", "network", 0]` → `permissions.network[0]`. Keys that are no plain word are quoted and escaped. */
export function pathText(parts: readonly PathPart[]): string {
  let text = "";
  for (const part of parts) {
    if (typeof part === "number") text += `[${part}]`;
    else if (!PLAIN_KEY.test(part)) text += `[${JSON.stringify(displayLine(part, 60))}]`;
    else text += text === "" ? part : `.${part}`;
  }
  return displayLine(text, 300);
}

/** Collects every problem of one manifest, at most fifty, and throws them as one error. */
export interface Problems {
  add(code: ErrorCode, path: readonly PathPart[], problem: string, fix?: string): void;
  /** Runs a check that throws `SallyportError`; its message becomes a problem at `path`, and the answer is undefined. */
  attempt<T>(code: ErrorCode, path: readonly PathPart[], check: () => T): T | undefined;
  /** From now on, paths that start with `from` are shown with `to`: where the author wrote it. */
  rename(from: string, to: string): void;
  /** Throws if anything was added. */
  settle(): void;
}

export function collectProblems(file: string): Problems {
  const found: ManifestProblem[] = [];
  const renamed: [string, string][] = [];
  let first: ErrorCode | undefined;
  const put = (code: ErrorCode, path: string, problem: string, fix: string | undefined): void => {
    first ??= code;
    const [from, to] = renamed.find(([prefix]) => path.startsWith(prefix)) ?? ["", ""];
    const shown = to + path.slice(from.length);
    if (found.length < MAX_PROBLEMS) found.push({ path: shown, problem, ...(fix === undefined ? {} : { fix }) });
  };
  return {
    add: (code, path, problem, fix) => put(code, pathText(path), problem, fix),
    rename: (from, to) => void renamed.push([from, to]),
    attempt(code, path, check) {
      try {
        return check();
      } catch (error) {
        if (!(error instanceof SallyportError)) throw error;
        const inner = error.data["path"];
        const rest = typeof inner !== "string" || inner === "" ? "" : inner.startsWith("[") ? inner : `.${inner}`;
        put(code, pathText(path) + rest, error.message, error.fix);
        return undefined;
      }
    },
    settle() {
      if (first !== undefined) throw manifestError(first, file, found);
    },
  };
}

/** The error of one file: message and fix are the first problem's, `data.problems` has all. */
export function manifestError(code: ErrorCode, file: string, problems: readonly ManifestProblem[]): SallyportError {
  const [first] = problems;
  const path = first?.path ?? "";
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : "";
  return new SallyportError(
    code,
    `${displayLine(file, 80)}${path === "" ? "" : `: ${path}`}: ${first?.problem ?? "it is not valid"}${more}`,
    {
      detail: "The plugin's manifest is checked before anything of the plugin runs.",
      ...(first?.fix === undefined ? {} : { fix: first.fix }),
      data: { file: displayLine(file, 80), path, problems },
    },
  );
}
