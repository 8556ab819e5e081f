import { openSync, closeSync, fstatSync, readFileSync } from "node:fs";
import { SallyportError } from "../kernel/index.ts";
import { type Io, isInteractive } from "./io.ts";

/**
 * The operator's passphrase from `--passphrase-file`, `SALLYPORT_PASSPHRASE`, or a person at the terminal; undefined when
 * there is none of them.
 */
export async function findPassphrase(io: Io, file: string | undefined, question: string): Promise<string | undefined> {
  if (file !== undefined) return readPassphraseFile(file);
  const given = io.env["SALLYPORT_PASSPHRASE"];
  if (given) return given;
  return isInteractive(io) ? askHidden(io, question) : undefined;
}

/** The operator's passphrase from a file. @throws {SallyportError} `usage`, also when other users can read it. */
export function readPassphraseFile(file: string): string {
  return readPrivateLine(file, "passphrase");
}

/** First line of a file that nobody else can read. */
export function readPrivateLine(file: string, what: string): string {
  let text: string;
  try {
    const descriptor = openSync(file, "r");
    try {
      const stat = fstatSync(descriptor);
      if (stat.isFile() && (stat.mode & 0o077) !== 0) {
        throw new SallyportError("usage", `Other users can read the ${what} file.`, {
          fix: `Run: chmod 600 '${file}'`,
        });
      }
      text = readFileSync(descriptor, "utf8");
    } finally {
      closeSync(descriptor);
    }
  } catch (cause) {
    if (cause instanceof SallyportError) throw cause;
    throw new SallyportError("usage", `The ${what} file cannot be read.`, {
      fix: `Check that ${file} exists.`,
      cause,
    });
  }
  const line = text.split(/\r?\n/, 1)[0] ?? "";
  if (line === "") throw new SallyportError("usage", `The ${what} file is empty.`);
  return line;
}

export async function askHidden(io: Io, question: string): Promise<string> {
  const { isCancel, password } = await import("@clack/prompts");
  const answer = await password({ message: question, input: io.stdin, output: io.stderr });
  if (isCancel(answer)) throw cancelled();
  return answer ?? "";
}

/** Yes or no, asked on the terminal; no is the default. */
export async function askYes(io: Io, question: string): Promise<boolean> {
  const { confirm, isCancel } = await import("@clack/prompts");
  const answer = await confirm({ message: question, initialValue: false, input: io.stdin, output: io.stderr });
  if (isCancel(answer)) throw cancelled();
  return answer;
}

function cancelled(): SallyportError {
  return new SallyportError("cancelled", "Nothing was done.");
}
