/**
 * Characters that change how the text around them is shown, or are not shown at all: controls but tab and line feed,
 * format characters (bidirectional marks among them), everything that Unicode calls default-ignorable, line separators.
 */
const HIDDEN = /(?![\t\n])[\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\u2028\u2029\ufff0-\uffff]/gu;

/** Text of a plugin or an agent as it is safe to show: hidden characters become `\u{…}`, at most `limit` characters. */
export function displayText(text: string, limit = 2000): string {
  const shown = text.toWellFormed().replace(HIDDEN, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`);
  return shown.length > limit ? `${shown.slice(0, limit)}…` : shown;
}

/** As `displayText`, and on one line: for tables and sentences. */
export function displayLine(text: string, limit = 200): string {
  return displayText(text.replace(/[\t\n]/g, " "), limit);
}

export function hasHiddenCharacters(text: string): boolean {
  HIDDEN.lastIndex = 0;
  return HIDDEN.test(text);
}
