import { hasHiddenCharacters } from "../../kernel/index.ts";

/** JSON in which no character can act on a terminal: hidden ones are written as `\uXXXX`, which parses to the same value. */
export function safeJson(value: unknown, indent?: number): string {
  // oxlint-disable-next-line no-control-regex -- what is not printable ASCII is looked at
  return (JSON.stringify(value, undefined, indent) ?? "null").replace(/[^\u0000-\u007e]/gu, (character) =>
    hasHiddenCharacters(character) ? escapeUnits(character) : character,
  );
}

function escapeUnits(character: string): string {
  let text = "";
  for (let unit = 0; unit < character.length; unit++) {
    text += `\\u${character.charCodeAt(unit).toString(16).padStart(4, "0")}`;
  }
  return text;
}
