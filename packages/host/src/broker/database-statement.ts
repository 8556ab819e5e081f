import { PolicyViolationError, SallyportError } from "../kernel/index.ts";

/** How statements begin that read and change rows. All others (schema, sessions, transactions, files, settings) are not served. */
const SERVED = ["select", "values", "with", "insert", "update", "delete"] as const;
const DIALECT = { sqlite: ["replace"], postgres: ["table", "merge"] } as const;

/**
 * The first word of a statement, in lower case. It keeps what is plainly not served from the database, in clear words; the
 * walls are the database's own, since a word says little about what the rest does.
 * @throws {PolicyViolationError} `permission_denied` for what is not served. @throws {SallyportError} `usage`.
 */
export function statementKind(sql: string, dialect: keyof typeof DIALECT): string {
  if (!sql.isWellFormed() || sql.includes("\0")) {
    throw new SallyportError(
      "usage",
      "The statement holds characters that no statement has (NUL, or half a character).",
    );
  }
  const word = /^\(*\s*([A-Za-z]+)(?![\w$\u0080-\u{10ffff}])/u.exec(afterComments(sql))?.[1]?.toLowerCase();
  const served: readonly string[] = [...SERVED, ...DIALECT[dialect]];
  if (word !== undefined && served.includes(word)) return word;
  throw new PolicyViolationError("permission_denied", "Plugins read and change rows, and nothing else.", {
    detail: `A statement begins with one of ${served.join(", ")}.`,
    fix: "Leave out schema changes, transactions, settings and files; each statement is a transaction of its own.",
  });
}

/**
 * Comments nest in one dialect and not in the other, and a carriage return ends one in one dialect alone; so a comment that would
 * be read in two ways is refused.
 */
function afterComments(sql: string): string {
  let rest = sql;
  for (;;) {
    const from = rest.replace(/^[\s(]+/, "");
    if (from.startsWith("--")) {
      const end = from.indexOf("\n") + 1 || from.length;
      if (/\r(?!\n)/.test(from.slice(0, end))) throw ambiguous();
      rest = from.slice(end);
    } else if (from.startsWith("/*")) {
      const end = from.indexOf("*/", 2);
      // With the star of its end: of `/*/*/` one dialect takes the middle for the start of another.
      if (end === -1 || from.slice(2, end + 1).includes("/*")) throw ambiguous();
      rest = from.slice(end + 2);
    } else return from;
  }
}

function ambiguous(): SallyportError {
  return new SallyportError(
    "usage",
    "The statement begins with a comment that not every database would end at the same place.",
    {
      fix: "Leave the comment out.",
    },
  );
}
