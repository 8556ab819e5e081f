import { execFile } from "node:child_process";
import { open } from "node:fs/promises";
import { promisify } from "node:util";
import { SallyportError } from "../kernel/index.ts";
import { elfInterpreter } from "./elf.ts";

const run = promisify(execFile);
const HEAD_BYTES = 64 * 1024;

/**
 * Absolute paths of the shared libraries that a program needs, its loader among them, as the loader itself resolves them.
 * The program is not run.
 * @throws {SallyportError} `isolation_unavailable` when the file is no dynamic ELF program, or a library is missing.
 */
export async function librariesOf(program: string): Promise<readonly string[]> {
  const interpreter = await loaderOf(program);
  const { stdout } = await run(interpreter, ["--list", program], { env: {} }).catch((error: unknown) => {
    throw cannotList("Its loader could not list its libraries.", error);
  });
  const libraries = new Set([interpreter]);
  for (const line of stdout.split("\n")) {
    const text = line.trim();
    if (text.includes("not found")) throw cannotList(`A library is missing: ${text}`);
    const path = /(?:=>\s*)?(\/\S+)\s+\(0x[0-9a-f]+\)$/.exec(text)?.[1];
    if (path !== undefined) libraries.add(path);
  }
  return [...libraries].toSorted();
}

/**
 * Absolute path of a dynamic program's loader.
 * @throws {SallyportError} `isolation_unavailable`.
 */
export async function loaderOf(program: string): Promise<string> {
  const interpreter = elfInterpreter(await readHead(program));
  if (interpreter === null) throw cannotList("It is not a dynamic 64-bit ELF program.");
  return interpreter;
}

const known = new Map<string, Promise<readonly string[]>>();

/** The libraries of several programs together, sorted; each program is asked about once. */
export async function librariesFor(programs: readonly string[]): Promise<readonly string[]> {
  const lists = await Promise.all(
    programs.map((program) => {
      const list = known.get(program) ?? librariesOf(program);
      known.set(program, list);
      // A failure is not remembered: the machine may be mended while the host runs.
      list.catch(() => known.delete(program));
      return list;
    }),
  );
  return [...new Set(lists.flat())].toSorted();
}

/** The libraries of shared objects that a trusted program loads when it likes; those that lack one are left to fail then. */
export async function sharedObjectLibraries(loader: string, objects: readonly string[]): Promise<readonly string[]> {
  const libraries = new Set<string>();
  for (const object of objects) {
    const { stdout } = await run(loader, ["--list", object], { env: {} }).catch(() => ({ stdout: "" }));
    for (const [, path] of stdout.matchAll(/=> (\/\S+) \(0x[0-9a-f]+\)$/gm))
      if (path !== undefined) libraries.add(path);
  }
  return [...libraries].toSorted();
}

async function readHead(path: string): Promise<Buffer> {
  const file = await open(path, "r");
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

function cannotList(detail: string, cause?: unknown): SallyportError {
  return new SallyportError("isolation_unavailable", "The libraries of a program of the sandbox are not known.", {
    detail,
    fix: "Use a glibc-based Linux distribution, where Deno's binary runs.",
    cause,
  });
}
