import type { Command } from "commander";
import { SallyportError } from "../../kernel/index.ts";
import type { Io } from "../io.ts";
import { createSession, type GlobalOptions, type Session } from "../session.ts";

/** What a family of commands needs to define itself. */
export interface CommandContext {
  readonly io: Io;
  readonly version: string;
  /** Tells the process with which code to exit, when an answer is no failure of the command itself. */
  exitWith(code: number): void;
}

export type Action = (
  session: Session,
  args: readonly string[],
  options: Readonly<Record<string, unknown>>,
) => Promise<void>;

/** The global options: before the object, or among a verb's own, which may reuse a name such as `--version`. */
export function globalOptions(command: Command): Command {
  return command
    .option("--home <dir>", "folder that holds everything of this host (SALLYPORT_HOME, else ~/.sallyport)")
    .option("--json", "answer with one JSON document, for scripts")
    .option("--passphrase-file <file>", "file with the operator's passphrase (or set SALLYPORT_PASSPHRASE)")
    .option("--token-file <file>", "come with the token in this file, not as the home's user (or set SALLYPORT_TOKEN)");
}

/** One verb: its action gets the session, its arguments as text, and its options. */
export function verb(
  parent: Command,
  context: CommandContext,
  words: string,
  description: string,
  example: string,
  action: Action,
): Command {
  const command = globalOptions(parent.command(words)).description(description);
  command.addHelpText("after", `\nExample:\n  $ ${example}`);
  return command.action(async (...given: unknown[]) => {
    // The last argument may be any number of words.
    const args = given
      .slice(0, -2)
      .flat()
      .filter((value): value is string => typeof value === "string");
    const session = createSession(context.io, readGlobals(command));
    await action(session, args, command.opts());
  });
}

export function readGlobals(command: Command): GlobalOptions {
  const all: Readonly<Record<string, unknown>> = command.optsWithGlobals();
  const home = text(all, "home");
  const passphraseFile = text(all, "passphraseFile");
  const tokenFile = text(all, "tokenFile");
  return {
    json: all["json"] === true,
    ...(home !== undefined && { home }),
    ...(passphraseFile !== undefined && { passphraseFile }),
    ...(tokenFile !== undefined && { tokenFile }),
  };
}

export function text(options: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const value = options[name];
  return typeof value === "string" ? value : undefined;
}

export function flag(options: Readonly<Record<string, unknown>>, name: string): boolean {
  return options[name] === true;
}

/** An option given many times, each with one value or several split by commas. */
export function list(options: Readonly<Record<string, unknown>>, name: string): string[] | undefined {
  const value = options[name];
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === "string") : undefined;
}

export function collectCommas(value: string, before: unknown): string[] {
  return [...(Array.isArray(before) ? before : []), ...value.split(",").filter((item) => item !== "")];
}

export function collect(value: string, before: unknown): string[] {
  return [...(Array.isArray(before) ? before : []), value];
}

export function usage(message: string, fix: string): SallyportError {
  return new SallyportError("usage", message, { fix });
}

/** A query string from what is given; empty when nothing is. */
export function query(values: Readonly<Record<string, string | number | undefined>>): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(values)) if (value !== undefined) search.set(key, String(value));
  const written = search.toString();
  return written === "" ? "" : `?${written}`;
}

export function path(base: string, ...parts: readonly string[]): string {
  return [base, ...parts.map(encodeURIComponent)].join("/");
}
