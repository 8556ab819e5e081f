import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { parseConfig } from "../../src/config/index.ts";
import {
  DATA_BASELINE_MB,
  resourceLimits,
  RUNTIME_MEMORY_BYTES,
  SCRATCH_BYTES,
  TASKS,
} from "../../src/isolation/limits.ts";
import { LIMITS } from "../../src/kernel/index.ts";
import { SUPERVISOR_LIMITS } from "../../src/supervisor/limits.ts";
import { OTHER_ROWS, ROWS } from "./rows.ts";

const read = (path: string): string => readFileSync(fileURLToPath(new URL(path, import.meta.url)), "utf8");
const page = read("../../../../docs/limits.md");
const [table = ""] = /\| Limit \|[\s\S]*?\n\n/.exec(page) ?? [];
const cells = table
  .trim()
  .split("\n")
  .slice(2)
  .map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
const rows = new Map(cells.map(([limit = "", ...more]) => [limit, more]));

const MIB = 1024 * 1024;
const resources = new Map(resourceLimits(LIMITS.memoryMb, TASKS));
const memory = `${LIMITS.memoryMb} MiB, ${LIMITS.mostMemoryMb} MiB`;

/** What the second column must say, from the code. */
const NUMBERS: Readonly<Record<string, string>> = {
  "memory: objects": memory,
  "memory: ArrayBuffer": memory,
  "memory: WebAssembly": memory,
  "open files": String(resources.get("nofile")),
  scratch: `none; ${SCRATCH_BYTES / MIB} MiB for a [program](programs.md)`,
  "output of a call": `${SUPERVISOR_LIMITS.outputBytes / MIB} MiB`,
  "one message": `${LIMITS.lineBytes / MIB} MiB`,
  "error output": `${SUPERVISOR_LIMITS.stderrLinesPerSecond} lines a second are kept, ${SUPERVISOR_LIMITS.stderrBytesPerSecond / MIB} MiB a second`,
  "time of a call": `${LIMITS.defaultTimeoutMs / 1000} s, ${LIMITS.maxTimeoutMs / 1000} s`,
  "memory: the whole process": `the budget and ${RUNTIME_MEMORY_BYTES / MIB} MiB`,
  threads: String(resources.get("nproc")),
  "size of a file": `${(resources.get("fsize") ?? 0) / MIB} MiB`,
  // With 0, one that goes to a program is made all the same.
  "core dumps": resources.get("core") === 1 ? "none" : "some",
  "calls at once, and waiting": `${LIMITS.concurrency}, ${LIMITS.mostConcurrency} and ${LIMITS.queuedCalls} waiting`,
  "time of a start": `${LIMITS.handshakeMs / 1000} s handshake, ${SUPERVISOR_LIMITS.importMs / 1000} s import, ${LIMITS.initializeMs / 1000} s \`initialize\``,
};

describe("docs/limits.md", () => {
  it("has a row for each limit that is shown to trip, and no other", () => {
    expect(cells.map(([limit]) => limit)).toEqual([...ROWS.map(({ limit }) => limit), ...OTHER_ROWS]);
    const tests = read("walls.test.ts");
    expect(OTHER_ROWS.filter((limit) => !tests.includes(`row("${limit}"`))).toEqual([]);
  });

  it("says for each row what holds at each level", () => {
    for (const [limit, more] of rows) expect([limit, more.length, more.includes("")]).toEqual([limit, 6, false]);
  });

  it.each(Object.entries(NUMBERS))("says of %s what the code says", (limit, number) => {
    expect(rows.get(limit)?.[0]).toBe(number);
  });

  it("says what Deno reserves, and what an operator may set", () => {
    expect(rows.get("memory: ArrayBuffer")?.[1]).toContain(`${DATA_BASELINE_MB} MiB`);
    for (const [key, least, most] of [
      ["memory_mb", 16, 16_384],
      ["concurrency", 1, 256],
      ["tasks", 32, 1024],
      ["processors", 0.1, 256],
    ] as const) {
      expect(page).toContain(`\`limits.${key}\``);
      const accepts = (value: number): boolean => {
        try {
          parseConfig(`limits: { ${key}: ${value} }`);
          return true;
        } catch {
          return false;
        }
      };
      expect([key, accepts(least), accepts(most), accepts(least - 1), accepts(most + 1)]).toEqual([
        key,
        true,
        true,
        false,
        false,
      ]);
    }
  });
});
