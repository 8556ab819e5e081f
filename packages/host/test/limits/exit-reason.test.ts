import { describe, expect, it } from "vitest";
import { exitReason } from "../../src/supervisor/exit-reason.ts";

const reason = (exit: Partial<Parameters<typeof exitReason>[0]["exit"]>, lastWords = ""): string =>
  exitReason({ exit: { code: null, signal: null, ...exit }, lastWords, tasks: 64 });

const MEMORY = "the process reached its memory limit";
const TASKS = "the process was ended at its limit of 64 threads and processes";
const NO_KILLS = { memoryKills: 0, tasksRefused: 0 };

describe("why a process ended", () => {
  it.each([
    ["V8", "# Fatal JavaScript out of memory: Reached heap limit", MEMORY],
    ["V8", "# Fatal process out of memory: Failed to reserve virtual memory for CodeRange", MEMORY],
    ["Rust", "memory allocation of 1048576 bytes failed", MEMORY],
    [
      "Rust",
      'failed to spawn thread: Os { code: 11, kind: WouldBlock, message: "Resource temporarily unavailable" }',
      TASKS,
    ],
    ["tokio", "OS can't spawn worker thread: Resource temporarily unavailable (os error 11)", TASKS],
    [
      "Deno",
      'called `Result::unwrap()` on an `Err` value: Os { code: 24, message: "Too many open files" }',
      "the process reached its limit of open files",
    ],
    ["nothing known", "assertion failed", "the process gave up; its last lines may say why"],
  ])("by what %s says: %s", (_who, words, expected) => {
    for (const exit of [{ signal: "SIGABRT" }, { signal: "SIGTRAP" }, { code: 128 + 6 }, { code: 128 + 5 }] as const)
      expect(reason(exit, words)).toBe(expected);
  });

  it("is first what the kernel counted, whatever the process says", () => {
    const words = "memory allocation of 5 bytes failed";
    expect(reason({ signal: "SIGKILL", counted: { memoryKills: 1, tasksRefused: 0 } })).toBe(
      "the process was killed at its memory limit",
    );
    expect(reason({ signal: "SIGABRT", counted: { memoryKills: 0, tasksRefused: 3 } }, words)).toBe(TASKS);
    expect(reason({ signal: "SIGABRT", counted: NO_KILLS }, words)).toBe(MEMORY);
  });

  it("is never a limit when the process was ended by others, or by itself in order", () => {
    const words = "out of memory, os error 11, os error 24";
    expect(reason({ code: 0, counted: { memoryKills: 0, tasksRefused: 9 } }, words)).toBe(
      "the process ended by itself",
    );
    expect(reason({ signal: "SIGTERM" }, words)).toBe("the process was ended from outside");
    expect(reason({ signal: "SIGSYS" }, words)).toBe("the process made a forbidden system call");
    expect(reason({ signal: "SIGXFSZ" }, words)).toBe("the process wrote a file over its size limit");
    expect(reason({ code: 128 + 9 }, words)).toContain("killed from outside");
    expect(reason({ code: 3 })).toBe("the process ended by itself with code 3");
  });
});
