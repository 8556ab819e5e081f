import { lstat, realpath } from "node:fs/promises";
import { dirname } from "node:path";
import { SallyportError } from "../kernel/index.ts";
import { SOURCE_LIMITS, type SourceLimits } from "./limits.ts";
import { checkReserved } from "./opened.ts";
import { currentOwnership, type Ownership, unsafeAbove, unsafeInside } from "./ownership.ts";
import { factsOf, readTree, type SourceFile } from "./walk.ts";

/** A plugin's directory, read once: whatever happens on disk afterwards, these are the bytes. */
export interface SourceTree {
  /** Real path of the directory. For finding `node_modules`; never shown, never hashed. */
  readonly root: string;
  readonly files: readonly SourceFile[];
}

export interface ReadSourceOptions {
  readonly limits?: SourceLimits;
  readonly ownership?: Ownership;
}

const SKIPPED: ReadonlySet<string> = new Set(["node_modules", ".git"]);

/**
 * Reads a plugin's directory. The path may be a link; behind it, the real directory, every folder above it and every entry below
 * must belong to the user or root and be writable by nobody else, and nothing below may be a link or a special file.
 * `node_modules` and `.git` are left out at every level.
 * @throws {SallyportError} `not_found`, `source_unsafe`, `source_too_large`; `data.file` is relative to the directory.
 */
export async function readSource(path: string, options: ReadSourceOptions = {}): Promise<SourceTree> {
  const ownership = options.ownership ?? (await currentOwnership());
  const root = await realRoot(path);
  await checkAbove(root, ownership);
  const files = await readTree(root, {
    limits: options.limits ?? SOURCE_LIMITS,
    skip: (name) => SKIPPED.has(name),
    problem: (stat) => unsafeInside(stat, ownership),
    mode: (stat) => ((stat.mode & 0o100) === 0 ? 0o644 : 0o755),
  });
  checkReserved(files);
  return { root, files };
}

async function realRoot(path: string): Promise<string> {
  try {
    const root = await realpath(path);
    if ((await lstat(root)).isDirectory()) return root;
  } catch (error) {
    throw notFound(error);
  }
  throw notFound();
}

export async function checkAbove(root: string, ownership: Ownership): Promise<void> {
  let shown = "..";
  for (let folder = dirname(root); ; folder = dirname(folder), shown += "/..") {
    const problem = unsafeAbove(await lstat(folder), ownership);
    if (problem !== undefined) {
      throw new SallyportError(
        "source_unsafe",
        `The folder ${shown} above the plugin's root ${problem.problem}${factsOf(problem)}.`,
        {
          detail: "Whoever may write there can put another plugin in this one's place.",
          fix: "Move the plugin into a folder of your own, or take the right to write from others: chmod go-w on that folder.",
          data: { file: shown, ...problem },
        },
      );
    }
    if (folder === dirname(folder)) return;
  }
}

function notFound(cause?: unknown): SallyportError {
  return new SallyportError("not_found", "There is no plugin directory at this path.", {
    detail: "A plugin is a directory with plugin.yml, plugin.yaml or plugin.json in it.",
    fix: "Check the path.",
    cause,
  });
}
