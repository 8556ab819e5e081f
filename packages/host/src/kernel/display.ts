/* Characters that change how text around them is shown: controls, bidirectional marks, zero-width and other invisible ones. */
const HIDDEN =
  // oxlint-disable-next-line no-control-regex -- control characters are what this looks for
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff]|[\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]/gu;

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
