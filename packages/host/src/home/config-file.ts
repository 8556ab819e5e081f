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

/** Long enough for an editor to write a file that it has just emptied, short enough for a switch that must be off now. */
const SETTLED_MS = 100;

/**
 * Calls `onChange` when the file may have changed and nothing has written to it for a moment: half a file must never
 * count as the operator's word. The folder is watched, since editors replace the file.
 */
export function watchConfigFile(home: string, onChange: () => void, onDefect: (error: unknown) => void): () => void {
  let timer: NodeJS.Timeout | undefined;
  const watcher = watch(home, { persistent: false }, (_event, name) => {
    if (name !== CONFIG_FILE) return;
    clearTimeout(timer);
    timer = setTimeout(onChange, SETTLED_MS);
    timer.unref();
  });
  watcher.on("error", onDefect);
  return () => {
    clearTimeout(timer);
    watcher.close();
  };
}
