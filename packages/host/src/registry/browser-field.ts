import { dirname, join } from "node:path/posix";
import { parseBoundedJson } from "../kernel/index.ts";
import type { ModuleReader } from "./modules.ts";

/**
 * Whether the package that `path` belongs to says `"browser": { "./that/file": false }`, which means "an empty module in
 * browsers". esbuild knows, but does not tell its plugins.
 */
export async function isSwitchedOff(path: string, reader: ModuleReader): Promise<boolean> {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    const browser = await browserField(folder === "." ? "package.json" : `${folder}/package.json`, reader);
    if (browser !== undefined)
      return Object.entries(browser).some(([name, value]) => value === false && names(join(folder, name), path));
    if (folder === "." || folder.endsWith("/node_modules") || folder === "node_modules") return false;
  }
}

function names(pattern: string, path: string): boolean {
  return pattern === path || [".js", ".json", "/index.js"].some((ending) => `${pattern}${ending}` === path);
}

async function browserField(
  path: string,
  reader: ModuleReader,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  try {
    const value = parseBoundedJson(new TextDecoder().decode(await reader.read(path)), { maxDepth: 64 });
    if (typeof value !== "object" || value === null || !("browser" in value)) return undefined;
    const { browser } = value;
    return typeof browser === "object" && browser !== null ? Object.fromEntries(Object.entries(browser)) : undefined;
  } catch {
    return undefined;
  }
}
