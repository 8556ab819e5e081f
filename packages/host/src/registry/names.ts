import { hasHiddenCharacters } from "../kernel/index.ts";

const WINDOWS_DEVICE = /^(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?:\.|$)/i;

/** What is wrong with the name of a file or folder, or undefined. A name is one segment of a path. */
export function nameProblem(name: string): string | undefined {
  if (name === "" || name === "." || name === "..") return "has a segment that is no name";
  if (hasHiddenCharacters(name) || /[\t\n\ufffd]/.test(name)) return "has hidden characters or is no UTF-8";
  if (name.includes("\\")) return "has a backslash, which is a separator elsewhere";
  if (name.includes(":")) return "has a colon, which names a drive or a stream elsewhere";
  if (/[. ]$/.test(name)) return "ends with a dot or a space, which other systems leave out";
  if (WINDOWS_DEVICE.test(name)) return "has the name of a device on other systems";
  if (name !== name.normalize("NFC")) return "is not in Unicode normal form NFC";
  return undefined;
}

/**
 * Names with the same key are one file on some file systems, or look the same to people. First to small letters: the capital ẞ is
 * its own upper case, while ß becomes SS.
 */
export function collisionKey(name: string): string {
  return name.normalize("NFKC").toLowerCase().toUpperCase().toLowerCase().normalize("NFKC");
}
