import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { chmod, copyFile, lstat, mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { newId, SallyportError } from "../kernel/index.ts";
import { unsafePath } from "./tools.ts";
import type { EnginePaths } from "./types.ts";

/** Where a host that runs as root keeps what the plugins' user must be able to read: a root's home is closed to it. */
const PUBLIC_ROOT = "/var/lib/sallyport";

export interface PlacementOptions {
  readonly hostIsRoot: boolean;
  /** Instead of the installed files; for tests. */
  readonly sources?: EnginePaths;
  /** Instead of `/var/lib/sallyport`; for tests. */
  readonly publicRoot?: string;
}

/** Directory of the content store of a home: in the home, but for a root-run host where plugins' user can read. */
export function storeRoot(home: string, options: PlacementOptions): string {
  if (!options.hostIsRoot) return join(home, "store");
  const name = createHash("sha256").update(home).digest("hex");
  return join(options.publicRoot ?? PUBLIC_ROOT, name, "store");
}

/**
 * Deno's binary from its npm package, our runner and our helper.
 * @throws {SallyportError} `isolation_unavailable` when the package has no binary for this machine.
 */
export function installedEngine(): EnginePaths {
  return {
    deno: installedDeno(),
    runner: fileURLToPath(new URL("../../dist/runner/runner.mjs", import.meta.url)),
    jail: installedHelper("jail"),
    forward: installedHelper("forward"),
  };
}

/** A helper as the build made it, or else the one that is shipped. */
function installedHelper(helper: string): string {
  const name = `linux-${process.arch}/${helper}`;
  const [built, shipped] = [`../../dist/native/${name}`, `../../native/prebuilt/${name}`].map((path) =>
    fileURLToPath(new URL(path, import.meta.url)),
  );
  return built !== undefined && existsSync(built) ? built : (shipped ?? "");
}

/** The installed runtime's version and this machine's architecture, as the name of a folder. */
export function engineName(): string {
  const manifest = createRequire(import.meta.url).resolve("deno/package.json");
  const { version }: { version?: unknown } = createRequire(manifest)("./package.json");
  if (typeof version !== "string" || !/^\d+\.\d+\.\d+$/.test(version)) {
    throw new SallyportError("isolation_unavailable", "The installed runtime for plugins has no version.", {
      fix: "Install Sallyport again.",
    });
  }
  return `deno-${version}-${process.arch}`;
}

function installedDeno(): string {
  const target = `${process.platform}-${process.arch}${process.platform === "linux" ? "-glibc" : ""}`;
  const file = process.platform === "win32" ? "deno.exe" : "deno";
  try {
    const package_ = createRequire(import.meta.url).resolve("deno/package.json");
    // The binary's own package, not the copy that the package's install script may have made.
    return createRequire(package_).resolve(`@deno/${target}/${file}`);
  } catch (error) {
    throw new SallyportError("isolation_unavailable", "The runtime for plugins is not installed.", {
      detail: `The npm package @deno/${target} was not found.`,
      fix: "Run `npm install` without `--omit=optional`, on Linux with glibc, macOS or Windows.",
      cause: error,
    });
  }
}

/**
 * Puts the engine where the plugins' user can read it: as root, as copies named by their digest in root's own folders;
 * otherwise the installed files serve. The helper must be the one that its digest beside it names.
 * @throws {SallyportError} `isolation_unavailable`, `digest_mismatch`.
 */
export async function placeEngine(options: PlacementOptions): Promise<EnginePaths> {
  const sources = options.sources ?? installedEngine();
  await checkHelper(sources.jail);
  if (sources.forward !== undefined) await checkHelper(sources.forward);
  if (!options.hostIsRoot) return sources;
  const folder = join(options.publicRoot ?? PUBLIC_ROOT, "engine");
  await makePublic(folder);
  const [deno, runner, jail, forward] = await Promise.all([
    place(folder, sources.deno, "deno", 0o755),
    place(folder, sources.runner, "runner.mjs", 0o444),
    place(folder, sources.jail, "jail", 0o755),
    sources.forward === undefined ? undefined : place(folder, sources.forward, "forward", 0o755),
  ]);
  return { deno, runner, jail, ...(forward === undefined ? {} : { forward }) };
}

async function checkHelper(jail: string): Promise<void> {
  if (process.platform !== "linux") return;
  const info = await lstat(jail).catch((error: unknown) => {
    throw new SallyportError("isolation_unavailable", "The helper that contains plugins is not installed.", {
      detail: `There is none for ${process.platform}-${process.arch}.`,
      fix: "Use x86-64 or arm64, and install Sallyport again.",
      cause: error,
    });
  });
  const own = [0, process.getuid?.()].includes(info.uid);
  if (!info.isFile() || !own || (info.mode & 0o002) !== 0) {
    throw new SallyportError("isolation_unavailable", "The helper that contains plugins is not safe to run.", {
      detail: "It is no file of this user or of root, or everybody can write it.",
      fix: "Install Sallyport again as the user that runs it, or as root.",
    });
  }
  const expected = await readFile(`${jail}.sha256`, "utf8").catch(() => "");
  if ((await digestOfFile(jail)) !== expected.trim()) throw changed(jail);
}

async function makePublic(folder: string): Promise<void> {
  const made = await mkdir(folder, { recursive: true, mode: 0o755 });
  // The umask may have closed what was made just now.
  if (made !== undefined) for (let at = folder; at.length >= made.length; at = join(at, "..")) await chmod(at, 0o755);
  const problem = await unsafePath(folder);
  if (problem === null) return;
  throw new SallyportError("isolation_unavailable", "The engine's folder is not safe.", {
    detail: `${problem}.`,
    fix: `Make ${folder} and every folder above it root's own, with mode 0755.`,
  });
}

async function place(folder: string, source: string, name: string, mode: number): Promise<string> {
  const digest = await knownDigest(folder, source);
  const target = join(folder, digest, name);
  const { size } = await stat(source);
  // Only root writes here, so a copy that is there in full is the one that was checked when it was made.
  const there = await stat(target).catch(() => null);
  if (there !== null && there.size === size) return target;
  await makePublic(join(folder, digest));
  const copy = join(folder, digest, newId("copy"));
  try {
    await copyFile(source, copy);
    if ((await digestOfFile(copy)) !== digest) throw changed(source);
    await chmod(copy, mode);
    await rename(copy, target);
  } finally {
    await rm(copy, { force: true });
  }
  return target;
}

/** Digest of a file; large files are read once and then known by device, inode, size and time of change. */
async function knownDigest(folder: string, source: string): Promise<string> {
  const info = await stat(source, { bigint: true });
  if (info.size < 1_000_000n) return digestOfFile(source);
  const key = createHash("sha256")
    .update([info.dev, info.ino, info.size, info.mtimeNs, info.ctimeNs].join(":"))
    .digest("hex");
  const note = join(folder, `${key}.known`);
  const known = await readFile(note, "utf8").catch(() => "");
  if (/^[0-9a-f]{64}$/.test(known)) return known;
  const digest = await digestOfFile(source);
  const draft = join(folder, newId("note"));
  await writeFile(draft, digest, { mode: 0o644 });
  await rename(draft, note);
  return digest;
}

async function digestOfFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), hash);
  return hash.digest("hex");
}

function changed(source: string): SallyportError {
  return new SallyportError("digest_mismatch", "The engine changed while it was copied.", {
    detail: `${source} was not the same when it was read twice.`,
    fix: "Install Sallyport again and start once more.",
  });
}
