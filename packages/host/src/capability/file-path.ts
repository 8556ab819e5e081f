import { hasHiddenCharacters, SallyportError } from "../kernel/index.ts";

const MAX_PATH = 1024;
export const DATA_ROOT = "${data}";

/**
 * The one spelling of a path in a scope: absolute, or `${data}` and below; no `.`, `..` or empty segments, no trailing slash.
 * @throws {SallyportError} `usage`.
 */
export function canonicalFilePath(text: string): string {
  const shown = JSON.stringify(text.slice(0, 100));
  const refuse = (why: string, fix: string): never => {
    throw new SallyportError("usage", `${shown} is not a path that can be granted: ${why}.`, { fix });
  };
  if (text.length > MAX_PATH) refuse("it is too long", `Use at most ${MAX_PATH} characters.`);
  if (!text.isWellFormed() || hasHiddenCharacters(text) || /[\n\t]/.test(text))
    refuse("it has control or invisible characters", "Remove them.");
  const absolute = text.startsWith("/");
  if (!absolute && text !== DATA_ROOT && !text.startsWith(`${DATA_ROOT}/`)) {
    refuse(
      "it is neither absolute nor below ${data}",
      "Write /srv/reports, or ${data}/cache for the plugin's own directory.",
    );
  }
  const rest = absolute ? text.slice(1) : text.slice(DATA_ROOT.length + 1);
  const trimmed = rest.endsWith("/") ? rest.slice(0, -1) : rest;
  const segments = trimmed === "" ? [] : trimmed.split("/");
  for (const segment of segments) {
    if (segment === "") refuse("it has an empty segment", "Write single slashes.");
    if (segment === "." || segment === "..") refuse("it has a . or .. segment", "Write the path that is meant.");
    if (segment.includes("\\") || /[*?]|\$\{/.test(segment))
      refuse("it has a backslash, a wildcard or a variable", "Name a directory; it stands for everything below it.");
  }
  if (absolute) return `/${segments.join("/")}`;
  return [DATA_ROOT, ...segments].join("/");
}

/** Whether `path` is `root` or below it, by whole segments. Anything that is not in canonical form is outside. */
export function pathContains(root: string, path: string): boolean {
  if (!isPlain(root) || !isPlain(path)) return false;
  if (root === path) return true;
  if (root === "/") return path.startsWith("/");
  return path.startsWith(root) && path.charCodeAt(root.length) === 0x2f;
}

function isPlain(path: string): boolean {
  if (path === "/") return true;
  if (path.includes("\0") || path.includes("//") || path.endsWith("/")) return false;
  if (!path.startsWith("/") && path !== DATA_ROOT && !path.startsWith(`${DATA_ROOT}/`)) return false;
  return !path.includes("/.") || !path.split("/").some((segment) => segment === "." || segment === "..");
}
