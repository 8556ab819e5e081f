import { type FSWatcher, watch } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { SallyportError } from "../kernel/index.ts";

export interface WatchOptions {
  /** Absolute path of the plugin's folder. */
  readonly dir: string;
  /** Runs once at the start and once after each burst of changes, never twice at the same time. It may throw; that ends nothing. */
  readonly onChange: () => Promise<void> | void;
  /** What `onChange` or the file system threw. */
  readonly onError: (error: unknown) => void;
  /** Milliseconds of quiet that end a burst; 50. */
  readonly debounceMs?: number;
}

export interface PluginWatch {
  /** Stops watching; resolves when a running `onChange` is done. */
  close(): Promise<void>;
}

const SKIPPED: ReadonlySet<string> = new Set(["node_modules", ".git"]);
const MAX_FOLDERS = 2_000;

/**
 * Watches a plugin's folder, all but `node_modules` and `.git`, for `plugin dev`. It writes and records nothing; what a change
 * means is the caller's.
 * @throws {SallyportError} `not_found` when the folder cannot be watched.
 */
export async function watchPlugin(options: WatchOptions): Promise<PluginWatch> {
  const watchers = new Map<string, FSWatcher>();
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> = Promise.resolve();
  let closed = false;

  const touch = (): void => {
    clearTimeout(timer);
    if (closed) return;
    timer = setTimeout(() => {
      running = running.then(round);
    }, options.debounceMs ?? 50);
  };

  function add(folder: string): void {
    if (closed || watchers.has(folder)) return;
    const watcher = watch(folder, { persistent: true }, (_, name) => {
      if (name === null || !SKIPPED.has(name)) touch();
    });
    // A folder that goes away is no failure of the watch: the folder above it reports the change.
    watcher.on("error", touch);
    watchers.set(folder, watcher);
  }

  /** Before `onChange`, so that whatever changes in a new folder later is seen. */
  async function rescan(): Promise<void> {
    const folders = await foldersBelow(options.dir);
    for (const [folder, watcher] of watchers) {
      if (folders.has(folder)) continue;
      watcher.close();
      watchers.delete(folder);
    }
    for (const folder of folders) add(folder);
  }

  async function round(): Promise<void> {
    if (closed) return;
    try {
      await rescan();
      await options.onChange();
    } catch (error) {
      options.onError(error);
    }
  }

  try {
    await rescan();
  } catch (error) {
    for (const watcher of watchers.values()) watcher.close();
    throw new SallyportError("not_found", "The plugin's folder cannot be watched.", {
      fix: "Check the path.",
      cause: error,
    });
  }
  running = round();
  return {
    async close() {
      closed = true;
      clearTimeout(timer);
      for (const watcher of watchers.values()) watcher.close();
      await running;
    },
  };
}

async function foldersBelow(root: string): Promise<Set<string>> {
  const found = new Set([root]);
  if (!(await lstat(root)).isDirectory()) throw new Error("not a folder");
  for (const folder of found) {
    const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
      if (folder === root) throw error;
      return [];
    });
    for (const entry of entries) {
      if (entry.isDirectory() && !SKIPPED.has(entry.name) && found.size < MAX_FOLDERS)
        found.add(join(folder, entry.name));
    }
  }
  return found;
}
