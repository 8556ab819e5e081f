import { displayLine, SallyportError } from "../kernel/index.ts";
import type { ProgramInterpreter } from "./types.ts";

const SEGMENT = /^[A-Za-z0-9_@][A-Za-z0-9._@+-]*$/;
const MODULE = /\.(?:js|mjs|ts|mts)$/;
/** What each interpreter is given to run. An executable has no name of its own. */
const SCRIPTS: Readonly<Record<ProgramInterpreter, RegExp>> = { python: /\.py$/, node: /\.(?:js|mjs|cjs)$/, none: /$/ };
const DEVICE = /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/i;

/**
 * The entry as a plain relative path, without `./`: of a module, or of what the interpreter of a program runs. Only the text
 * is looked at; the files are looked at on install.
 * @throws {SallyportError} `entry_invalid`.
 */
export function canonicalEntry(text: string, interpreter?: ProgramInterpreter): string {
  const path = canonicalPath(text);
  if (interpreter === undefined) {
    if (!MODULE.test(path) || /\.d\.m?ts$/.test(path)) refuse(text, "is no ES module: .js, .mjs, .ts or .mts");
  } else if (!SCRIPTS[interpreter].test(path)) {
    refuse(text, interpreter === "python" ? "is no Python file: .py" : "is no JavaScript file: .js, .mjs or .cjs");
  }
  return path;
}

function refuse(text: string, why: string): never {
  throw new SallyportError("entry_invalid", `The entry ${JSON.stringify(displayLine(text, 80))} ${why}.`, {
    fix: "Name one file below the plugin's root, as in dist/plugin.js or src/plugin.ts.",
  });
}

/** What holds for every entry, whatever runs it. @throws {SallyportError} `entry_invalid`. */
export function canonicalPath(text: string): string {
  const no = (why: string): never => refuse(text, why);
  if (text.length > 200) no("is longer than 200 characters");
  if (text.startsWith("/") || text.startsWith("~")) no("is not relative to the plugin's root");
  if (/[\\%:]/.test(text)) no("has a backslash, a percent sign or a colon");
  const path = text.startsWith("./") ? text.slice(2) : text;
  const segments = path.split("/");
  if (segments.some((segment) => segment === "..")) no("leaves the plugin's root");
  if (!segments.every((segment) => SEGMENT.test(segment) && !segment.endsWith(".") && !DEVICE.test(segment))) {
    no("has a segment that is empty, hidden or not plain");
  }
  return path;
}
