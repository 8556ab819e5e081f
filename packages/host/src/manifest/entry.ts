import { displayLine, SallyportError } from "../kernel/index.ts";

const SEGMENT = /^[A-Za-z0-9_@][A-Za-z0-9._@+-]*$/;
const MODULE = /\.(?:js|mjs|ts|mts)$/;
const DEVICE = /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/i;

/**
 * The entry as a plain relative path of a module, without `./`. Only the text is looked at; the files are looked at on install.
 * @throws {SallyportError} `entry_invalid`.
 */
export function canonicalEntry(text: string): string {
  const refuse = (why: string): never => {
    throw new SallyportError("entry_invalid", `The entry ${JSON.stringify(displayLine(text, 80))} ${why}.`, {
      fix: "Name one module below the plugin's root, as in dist/plugin.js or src/plugin.ts.",
    });
  };
  if (text.length > 200) refuse("is longer than 200 characters");
  if (text.startsWith("/") || text.startsWith("~")) refuse("is not relative to the plugin's root");
  if (/[\\%:]/.test(text)) refuse("has a backslash, a percent sign or a colon");
  const path = text.startsWith("./") ? text.slice(2) : text;
  const segments = path.split("/");
  if (segments.some((segment) => segment === "..")) refuse("leaves the plugin's root");
  if (!segments.every((segment) => SEGMENT.test(segment) && !segment.endsWith(".") && !DEVICE.test(segment))) {
    refuse("has a segment that is empty, hidden or not plain");
  }
  if (!MODULE.test(path) || /\.d\.m?ts$/.test(path)) refuse("is no ES module: .js, .mjs, .ts or .mts");
  return path;
}
