import type { Message } from "esbuild";
import { displayLine, type ErrorCode, isErrorCode, SallyportError } from "../kernel/index.ts";
import { ownPath } from "./import-checks.ts";
import { builtinName } from "./modules.ts";
import { missingBuiltin } from "./resolve.ts";

interface Problem {
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
  readonly problem: string;
  readonly fix?: string | undefined;
}

/** Turns what esbuild threw into one error of ours. */
export function explained(error: unknown): SallyportError {
  if (error instanceof SallyportError) return error;
  const messages = messagesOf(error);
  const code = messages
    .map((message) => detailOf(message, "code"))
    .find((text) => text !== undefined && isErrorCode(text));
  return bundleFailed(
    messages.map(problemOf),
    "the bundler stopped",
    error,
    code !== undefined && isErrorCode(code) ? code : undefined,
  );
}

function problemOf(message: Message): Problem {
  const missing = /^Could not resolve "([^"]+)"/.exec(message.text)?.[1];
  const builtin = missing !== undefined && builtinName(missing) !== undefined ? missingBuiltin(missing) : undefined;
  const fix = builtin === undefined ? detailOf(message, "fix") : detailOf(builtin, "fix");
  const install = missing === undefined ? undefined : "Check the spelling, or run npm install in the plugin's folder.";
  const place = message.location;
  return {
    ...(place === null ? {} : { file: displayLine(ownPath(place.file)), line: place.line, column: place.column + 1 }),
    problem: displayLine(builtin?.text ?? message.text, 500),
    fix: fix ?? install,
  };
}

function detailOf(message: { readonly detail?: unknown }, key: string): string | undefined {
  const detail: unknown = message.detail;
  if (typeof detail !== "object" || detail === null) return undefined;
  const value: unknown = Reflect.get(detail, key);
  return typeof value === "string" ? value : undefined;
}

function messagesOf(error: unknown): readonly Message[] {
  return error instanceof Error && "errors" in error && Array.isArray(error.errors) ? error.errors : [];
}

export function bundleFailed(
  problems: readonly Problem[],
  otherwise: string,
  cause?: unknown,
  code: ErrorCode = "bundle_failed",
): SallyportError {
  const [first] = problems;
  const place = first?.file === undefined ? "" : ` (${first.file}:${first.line}:${first.column})`;
  return new SallyportError(code, `The plugin cannot be bundled: ${first?.problem ?? otherwise}${place}.`, {
    detail:
      problems.length > 1
        ? `${problems.length} problems; all of them are listed.`
        : "Installing makes one file of the plugin's code, from its own folder only.",
    fix: first?.fix ?? "Mend the source and install again.",
    data: { problems },
    cause,
  });
}
