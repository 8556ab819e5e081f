import { watch } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { SallyportError } from "../kernel/index.ts";

export const CONFIG_FILE = "config.yml";
/** An operator's file is a few kilobytes; ten thousand rules are a few hundred. */
const MAX_BYTES = 4 * 1024 * 1024;

/** @throws {SallyportError} `home_missing` without a file, `config_invalid` for one that is no text or too large. */
export async function readConfigFile(home: string): Promise<string> {
  const bytes = await readFile(join(home, CONFIG_FILE)).catch((cause: unknown) => {
    throw new SallyportError("home_missing", `There is no ${CONFIG_FILE} in the home.`, {
      fix: "Run: sallyport init",
      cause,
    });
  });
  if (bytes.length > MAX_BYTES) {
    throw new SallyportError("config_invalid", `${CONFIG_FILE} is over ${MAX_BYTES} bytes.`, {
      fix: "Make it smaller.",
    });
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new SallyportError("config_invalid", `${CONFIG_FILE} is not UTF-8 text.`, {
      fix: "Save it as UTF-8.",
      cause,
    });
  }
}

/** Calls `onChange` after the file may have changed. The folder is watched, since editors replace the file. */
export function watchConfigFile(home: string, onChange: () => void): () => void {
  const watcher = watch(home, { persistent: false }, (_event, name) => {
    if (name === CONFIG_FILE) onChange();
  });
  watcher.on("error", () => undefined);
  return () => watcher.close();
}
