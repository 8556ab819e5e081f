import { SallyportError } from "../kernel/index.ts";
import { argumentsWithin } from "./arguments.ts";
import { canonicalFilePath } from "./file-path.ts";
import type { ExecScope } from "./types.ts";

const NAME = /^[A-Za-z0-9][A-Za-z0-9._+-]{0,99}$/;

/**
 * A command: an absolute path, or a plain name, which says nothing about where it lies. Only an operator's approval turns a name
 * into a path.
 * @throws {SallyportError} `usage`.
 */
export function canonicalCommand(text: string): string {
  if (NAME.test(text)) return text;
  if (!text.startsWith("/") || text === "/") {
    throw new SallyportError("usage", `${JSON.stringify(text.slice(0, 100))} is not a command.`, {
      fix: "Write a plain name, as in git, or an absolute path, as in /usr/bin/git. No shell reads it.",
    });
  }
  return canonicalFilePath(text);
}

/** Whether a scope's command is this one: the same path, or the name at the path's end. */
export function commandMatches(command: string, path: string): boolean {
  return command === path || (!command.includes("/") && path.startsWith("/") && path.endsWith(`/${command}`));
}

export function execWithin(inner: ExecScope, outer: ExecScope): boolean {
  if (inner.interpreter === true && outer.interpreter !== true) return false;
  if (outer.file !== undefined && !sameFile(inner.file, outer.file)) return false;
  return commandMatches(outer.command, inner.command) && argumentsWithin(inner.args, outer.args);
}

function sameFile(a: ExecScope["file"], b: NonNullable<ExecScope["file"]>): boolean {
  return a !== undefined && a.path === b.path && a.sha256 === b.sha256;
}
