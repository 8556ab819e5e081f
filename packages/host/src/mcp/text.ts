import { hidesSomething, visibleText } from "../kernel/index.ts";

/** Text of a plugin of any length, with hidden characters made visible. */
export function plainText(text: string): string {
  return visibleText(text);
}

/** JSON of the same value, with hidden characters as `\uXXXX`, so that it can be shown and still be parsed. */
export function jsonText(value: unknown): string {
  const text = JSON.stringify(value) ?? "null";
  if (!hidesSomething(text)) return text;
  let shown = "";
  for (const char of text) shown += hidesSomething(char) ? escaped(char) : char;
  return shown;
}

function escaped(char: string): string {
  let units = "";
  for (let index = 0; index < char.length; index++)
    units += `\\u${char.charCodeAt(index).toString(16).padStart(4, "0")}`;
  return units;
}
