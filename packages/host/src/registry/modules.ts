import { isBuiltin } from "node:module";
import { realpath } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, relative, sep } from "node:path";
import { displayLine, SallyportError } from "../kernel/index.ts";
import type { SourceTree } from "./directory.ts";
import { MODULE_BYTES, MODULE_NESTING, SOURCE_LIMITS } from "./limits.ts";
import { type Ownership, unsafeInside } from "./ownership.ts";
import { openFile, readExactly, unsafe } from "./walk.ts";

/** Reads the modules that go into a bundle. The same path gives the same bytes for as long as the reader lives. */
export interface ModuleReader {
  /** Path below the plugin's root, or undefined when the real path is not inside. */
  inside(path: string): Promise<string | undefined>;
  /** @throws {SallyportError} `source_unsafe`, `source_too_large`. */
  read(path: string): Promise<Uint8Array>;
}

/** Files of the tree come from memory, the very bytes that are hashed; those of `node_modules` from disk, checked as the tree was. */
export function createModuleReader(
  tree: SourceTree,
  ownership: Ownership,
  moduleBytes: number = MODULE_BYTES,
): ModuleReader {
  const known = new Map(tree.files.map((file) => [file.path, file.bytes]));
  const folders = new Set<string>();
  let taken = 0;

  async function checkFolders(path: string): Promise<void> {
    for (let folder = dirname(path); folder !== "." && !folders.has(folder); folder = dirname(folder)) {
      const handle = await openFile(`${tree.root}/${folder}`, folder);
      try {
        const problem = unsafeInside(await handle.stat(), ownership);
        if (problem !== undefined) throw unsafe(folder, problem);
      } finally {
        await handle.close();
      }
      folders.add(folder);
    }
  }

  async function fromDisk(path: string): Promise<Uint8Array> {
    if (!path.split("/").includes("node_modules")) throw unsafe(path, "was not there when the directory was read");
    const disk = `${tree.root}/${path}`;
    if ((await realpath(disk)) !== disk) throw unsafe(path, "became a link while it was read");
    await checkFolders(path);
    const handle = await openFile(disk, path);
    try {
      const stat = await handle.stat();
      const problem = stat.isFile() ? unsafeInside(stat, ownership) : "is no regular file";
      if (problem !== undefined) throw unsafe(path, problem);
      const bytes = await readExactly(handle, stat, path, MODULE_BYTES);
      taken += bytes.length;
      if (taken > SOURCE_LIMITS.totalBytes) throw tooMuch();
      return bytes;
    } finally {
      await handle.close();
    }
  }

  return {
    async inside(path) {
      const real = await realpath(path).catch(() => path);
      const below = relative(tree.root, real).split(sep).join("/");
      return below === "" || below === ".." || below.startsWith("../") || below.startsWith("/") ? undefined : below;
    },
    async read(path) {
      const bytes = known.get(path) ?? (await fromDisk(path));
      known.set(path, bytes);
      if (bytes.length > moduleBytes || nestingOf(bytes) > MODULE_NESTING) throw tooComplex(path, moduleBytes);
      return bytes;
    },
  };
}

/** The host's own copy of the SDK: its entry on disk, so that a plugin needs no install. */
export function sdkEntry(): string {
  return createRequire(import.meta.url).resolve("@sallyport/sdk");
}

/** `fs`, `node:fs` and `fs/promises` → `fs`; undefined for what is no module of Node's. */
export function builtinName(specifier: string): string | undefined {
  if (!isBuiltin(specifier) && !specifier.startsWith("node:")) return undefined;
  return specifier.replace(/^node:/, "").split("/")[0];
}

/** Most brackets open at once, counted in strings and comments too: an upper bound, far above what people write. */
function nestingOf(bytes: Uint8Array): number {
  let depth = 0;
  let deepest = 0;
  for (const byte of bytes) {
    if (byte === 0x28 || byte === 0x5b || byte === 0x7b) deepest = Math.max(deepest, ++depth);
    else if ((byte === 0x29 || byte === 0x5d || byte === 0x7d) && depth > 0) depth--;
  }
  return deepest;
}

function tooComplex(path: string, moduleBytes: number): SallyportError {
  return new SallyportError("source_too_large", `"${displayLine(path)}" is too large or too deeply nested to bundle.`, {
    detail: `A module may have ${moduleBytes} bytes and ${MODULE_NESTING} brackets open at once.`,
    fix: "Split the file, or read its data at run time.",
    data: { file: displayLine(path) },
  });
}

function tooMuch(): SallyportError {
  return new SallyportError("source_too_large", "The plugin's dependencies are too large to bundle.", {
    detail: `Together they are over ${SOURCE_LIMITS.totalBytes} bytes.`,
    fix: "Depend on less.",
    data: { limit: SOURCE_LIMITS.totalBytes },
  });
}
