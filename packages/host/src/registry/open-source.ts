import { lstat, realpath } from "node:fs/promises";
import { basename } from "node:path";
import { SallyportError } from "../kernel/index.ts";
import { archiveTooLarge } from "./archive-errors.ts";
import { archiveBytesLimit, openArchive } from "./archive.ts";
import { checkAbove, readSource, type ReadSourceOptions } from "./directory.ts";
import { SOURCE_LIMITS } from "./limits.ts";
import { type OpenedSource, withoutEvidence } from "./opened.ts";
import { currentOwnership, unsafeInside } from "./ownership.ts";
import { openFile, readExactly, unsafe } from "./walk.ts";

/**
 * Opens what is at a path: a plugin's directory, or an archive file (`.tgz`, `.tar`). An archive file has to be as safe from others
 * as a directory: its owner, its mode and the folders above it are checked, and it is read once.
 * @throws {SallyportError} `not_found`, `source_unsafe`, `source_too_large`.
 */
export async function openSource(path: string, options: ReadSourceOptions = {}): Promise<OpenedSource> {
  const real = await realpath(path).catch(() => undefined);
  const stat = real === undefined ? undefined : await lstat(real).catch(() => undefined);
  if (real === undefined || stat === undefined || (!stat.isDirectory() && !stat.isFile())) throw notFound();
  return stat.isDirectory()
    ? openDirectory(real, options)
    : openArchive(await readArchiveFile(real, options), options.limits);
}

async function openDirectory(path: string, options: ReadSourceOptions): Promise<OpenedSource> {
  const tree = await readSource(path, options);
  return { kind: "directory", ...withoutEvidence(tree.files), root: tree.root, packages: [], integrity: undefined };
}

async function readArchiveFile(real: string, options: ReadSourceOptions): Promise<Uint8Array> {
  const ownership = options.ownership ?? (await currentOwnership());
  const most = archiveBytesLimit(options.limits ?? SOURCE_LIMITS);
  await checkAbove(real, ownership);
  const name = basename(real);
  const handle = await openFile(real, name);
  try {
    const stat = await handle.stat();
    const problem = stat.isFile() ? unsafeInside(stat, ownership) : "is no regular file";
    if (problem !== undefined) throw unsafe(name, problem);
    if (stat.size > most) throw archiveTooLarge("", "bytes", most);
    return await readExactly(handle, stat, name, most);
  } finally {
    await handle.close();
  }
}

function notFound(): SallyportError {
  return new SallyportError("not_found", "There is no plugin at this path.", {
    detail:
      "A plugin is a directory with plugin.yml, plugin.yaml or plugin.json in it, or an archive of one (.tgz, .tar).",
    fix: "Check the path.",
  });
}
