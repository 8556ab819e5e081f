import { readdirSync, readFileSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { createMatcher, secretForms } from "../../src/secrets/index.ts";

/** A value in each spelling, as bytes, also as text of two bytes a character, which is how a runtime may hold it. */
export function needles(value: string): readonly Buffer[] {
  return secretForms(value).flatMap((form) => [Buffer.from(form), Buffer.from(form, "utf16le")]);
}

/** Looks for all of them at once: a process has a hundred megabytes, and a value a hundred spellings. */
export function createFinder(all: readonly Buffer[]): (bytes: Buffer) => readonly string[] {
  const matcher = createMatcher(new Map(all.map((needle) => [needle.toString("latin1"), ""])));
  return (bytes) =>
    matcher.test(bytes.toString("latin1"))
      ? all.filter((needle) => bytes.includes(needle)).map((needle) => needle.toString())
      : [];
}

/** Processes that this one started, and theirs. */
export function descendants(pid = process.pid): readonly number[] {
  const children = childrenOf(pid);
  return [...children, ...children.flatMap((child) => descendants(child))];
}

function childrenOf(pid: number): readonly number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number),
    );
  } catch {
    return [];
  }
}

export interface Look {
  readonly pid: number;
  readonly command: string;
  /** Of `environ` and `cmdline`. */
  readonly start: readonly string[];
  /** Of everything the process can write to: heap, stacks, buffers. */
  readonly memory: readonly string[];
  readonly bytes: number;
}

const PAGE = 4096;
/** So many pages at once, and what may cross from one piece into the next. */
const PAGES = 4096;
const OVERLAP = 4096;

/** Looks for the needles in a process, as a core dump would show it. `undefined` when it may not be read, or is gone. */
export async function lookInto(pid: number, all: readonly Buffer[]): Promise<Look | undefined> {
  const found = createFinder(all);
  try {
    const command = readFileSync(`/proc/${pid}/cmdline`, "latin1");
    const start = found(Buffer.concat([readFileSync(`/proc/${pid}/environ`), Buffer.from(command, "latin1")]));
    const memory = new Set<string>();
    let bytes = 0;
    const [mem, pages] = await Promise.all([open(`/proc/${pid}/mem`, "r"), open(`/proc/${pid}/pagemap`, "r")]);
    try {
      for (const [from, to] of writable(pid)) {
        for (const [at, end] of await present(pages, from, to)) {
          const before = Math.max(from, at - OVERLAP);
          const { bytesRead, buffer } = await mem.read(Buffer.alloc(end - before), 0, end - before, before);
          bytes += bytesRead;
          for (const hit of found(buffer.subarray(0, bytesRead))) memory.add(hit);
        }
      }
    } finally {
      await Promise.all([mem.close(), pages.close()]);
    }
    return { pid, command, start, memory: [...memory], bytes };
  } catch {
    return undefined;
  }
}

/** What the process can write to: whatever it was told is in there. */
function writable(pid: number): readonly (readonly [number, number])[] {
  return readFileSync(`/proc/${pid}/maps`, "utf8")
    .split("\n")
    .flatMap((line) => {
      const [, from = "", to = "", mode = ""] = /^([0-9a-f]+)-([0-9a-f]+) (\S{4})/.exec(line) ?? [];
      return mode.startsWith("rw") ? [[Number(`0x${from}`), Number(`0x${to}`)] as const] : [];
    });
}

/** Of a region, what was ever touched: runtimes reserve half a gigabyte and use a tenth. */
async function present(pages: FileHandle, from: number, to: number): Promise<readonly (readonly [number, number])[]> {
  const runs: [number, number][] = [];
  const count = (to - from) / PAGE;
  const { buffer } = await pages.read(Buffer.alloc(count * 8), 0, count * 8, (from / PAGE) * 8);
  for (let page = 0; page < count; page++) {
    // Present or swapped out.
    if ((buffer[page * 8 + 7] ?? 0) < 0x40) continue;
    const at = from + page * PAGE;
    const last = runs.at(-1);
    if (last && last[1] === at && at - last[0] < PAGES * PAGE) last[1] = at + PAGE;
    else runs.push([at, at + PAGE]);
  }
  return runs;
}
