import { displayLine, SallyportError } from "../kernel/index.ts";

export interface ArchiveFacts {
  /** What a sound archive has there. */
  readonly expected?: string | number;
  readonly actual?: string | number;
  readonly cause?: unknown;
}

/** A refusal of an archive; `path` is the entry's, "" for the archive itself. */
export function badArchive(path: string, problem: string, facts: ArchiveFacts = {}): SallyportError {
  const shown = path === "" ? "The archive" : `"${displayLine(path)}" in the archive`;
  const { expected, actual, cause } = facts;
  const told = expected === undefined ? "" : ` Expected: ${expected}. Actual: ${actual ?? "something else"}.`;
  return new SallyportError("source_unsafe", `${shown} ${problem}.`, {
    detail: `Only whole archives of plain files and folders, each with one clear name, are taken.${told}`,
    fix: "Fetch the archive again; if it stays so, ask its author to make it with: sallyport plugin pack",
    data: {
      file: displayLine(path),
      problem,
      ...(expected !== undefined && { expected }),
      ...(actual !== undefined && { actual: typeof actual === "string" ? displayLine(actual) : actual }),
    },
    cause,
  });
}

/** A refusal of an archive that is over a bound. `limit` is in the unit that `what` names. */
export function archiveTooLarge(path: string, what: string, limit: number): SallyportError {
  return new SallyportError("source_too_large", `The archive has more than ${limit} ${what}.`, {
    detail: path === "" ? "The whole archive was looked at." : `The limit was reached at "${displayLine(path)}".`,
    fix: "Ask the author for one made with sallyport plugin pack, which holds what the plugin needs to run and no more.",
    data: { file: displayLine(path), limit },
  });
}
