import { hasHiddenCharacters } from "../kernel/index.ts";

/** What is wrong with the name of a file or folder, or undefined. */
export function nameProblem(name: string): string | undefined {
  if (hasHiddenCharacters(name) || /[\t\n\ufffd]/.test(name)) return "has hidden characters or is no UTF-8";
  if (name.includes("\\")) return "has a backslash, which is a separator elsewhere";
  if (name !== name.normalize("NFC")) return "is not in Unicode normal form NFC";
  return undefined;
}

/** Names with the same key are one file on some file systems, or look the same to people. */
export function collisionKey(name: string): string {
  return name.normalize("NFKC").toUpperCase().toLowerCase().normalize("NFKC");
}
