import { displayText, hasHiddenCharacters } from "./display.ts";

/** Nothing below this is ever hidden, so that most text is dismissed by one look at it. */
const SUSPECT = /[^\t\n\x20-\x7e]/;
const JOINERS_OF = [
  "Arabic",
  "Bengali",
  "Devanagari",
  "Gujarati",
  "Gurmukhi",
  "Kannada",
  "Khmer",
  "Malayalam",
  "Mongolian",
  "Myanmar",
  "Oriya",
  "Sinhala",
  "Syriac",
  "Tamil",
  "Telugu",
  "Tibetan",
]
  .map((script) => `\\p{Script=${script}}`)
  .join("");
/* What people write with such characters: a line of Windows, an emoji of several, words of scripts that join their letters. */
const ORDINARY = new RegExp(
  [
    "\\r(?=\\n)",
    // Unicode calls digits emoji; behind one it says nothing, but for a keycap.
    "(?<=\\p{Emoji})(?<![0-9#*])[\\ufe0e\\ufe0f]",
    "(?<=[0-9#*])\\ufe0f(?=\\u20e3)",
    "(?<=[\\p{Extended_Pictographic}\\p{Emoji_Modifier}\\ufe0f])\\u200d(?=\\p{Extended_Pictographic})",
    `(?<=[${JOINERS_OF}\\p{M}])[\\u200c\\u200d](?=[${JOINERS_OF}])`,
  ].join("|"),
  "gu",
);

/**
 * Text of a plugin of any length, in which nothing is hidden: control, bidirectional, invisible and unassigned characters become
 * `\u{…}`. Line feeds (also of Windows), tabs and what ordinary words and emoji are made of stay. Half characters become `\u{fffd}`.
 */
export function visibleText(text: string): string {
  if (!SUSPECT.test(text)) return text;
  const whole = text.toWellFormed();
  if (!hasHiddenCharacters(whole)) return whole;
  let shown = "";
  let copied = 0;
  for (const { index } of whole.matchAll(ORDINARY)) {
    shown += displayText(whole.slice(copied, index), Number.MAX_SAFE_INTEGER);
    shown += whole[index];
    copied = index + 1;
  }
  return shown + displayText(whole.slice(copied), Number.MAX_SAFE_INTEGER);
}

/** Whether `visibleText` would change it. */
export function hidesSomething(text: string): boolean {
  return SUSPECT.test(text) && visibleText(text) !== text;
}
