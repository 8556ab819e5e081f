import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { OTHER_ROWS, ROWS } from "../limits/rows.ts";
import { createLab, type Lab, type StartOptions, toolCall } from "../supervisor/support.ts";

/** What shows the limit to trip in a thread, or that there is none. */
interface Attack {
  readonly attack: string;
  readonly options?: StartOptions;
  readonly timeoutMs?: number;
  readonly answer: string | RegExp;
  readonly ends?: RegExp;
}

const SMALL = { limits: { memoryMb: 64, concurrency: 1 }, bounds: { watchMs: 20, runtimeMemoryBytes: 0 } };
const SPIN = { bounds: { watchMs: 100, pingGraceMs: 200, heartbeatGraceMs: 500 } };
/** Awaits, since a thread is asked what it uses, and says it when it gets to it. */
const TAKE = (piece: string): string =>
  `const kept = []; for (let n = 0; n < 1000; n++) { kept.push(${piece}); await new Promise((done) => setTimeout(done, 5)); } return "all";`;
const FROM = (name: string): string => `await import("node:" + "${name}")`;
const PORT = `const { port } = (${FROM("worker_threads")}).workerData; const send = (text) => port.postMessage(new TextEncoder().encode(text));`;
const FOLDER = `const fs = ${FROM("fs")}; const { tmpdir } = ${FROM("os")}; const folder = fs.mkdtempSync(tmpdir() + "/sallyport-in-process-");`;
const REMOVE = "fs.rmSync(folder, { recursive: true });";

const ATTACKS: Readonly<Record<string, Attack>> = {
  "memory: objects": {
    attack: "const kept = []; for (;;) kept.push(new Array(1 << 10).fill({}));",
    options: SMALL,
    answer: "plugin_crashed",
    ends: /^the thread reached its memory limit$/,
  },
  "memory: objects (while it answers)": {
    attack: TAKE("new Array(1 << 16).fill({})"),
    options: SMALL,
    answer: "plugin_crashed",
    ends: /killed at its memory limit$/,
  },
  "memory: ArrayBuffer": {
    attack: TAKE("new Uint8Array(1 << 20).fill(1)"),
    options: SMALL,
    answer: "plugin_crashed",
    ends: /killed at its memory limit$/,
  },
  "memory: WebAssembly": {
    attack: TAKE("new Uint8Array(new WebAssembly.Memory({ initial: 16 }).buffer).fill(1)"),
    options: SMALL,
    answer: "plugin_crashed",
    ends: /killed at its memory limit$/,
  },
  "memory: the whole process": {
    attack: TAKE("[new Array(1 << 14).fill({}), new Uint8Array(1 << 19).fill(1)]"),
    options: SMALL,
    answer: "plugin_crashed",
    ends: /memory limit$/,
  },
  "processor time in a call": {
    attack: "for (;;);",
    options: SPIN,
    timeoutMs: 300,
    answer: "deadline_exceeded",
    ends: /no longer answers/,
  },
  "processor time without a call": {
    attack: `setTimeout(function again() { const until = Date.now() + 20; while (Date.now() < until); setTimeout(again, 0); }, 0); return "left";`,
    options: { bounds: { watchMs: 100, idleProcessorShare: 0.05 } },
    answer: "left",
    ends: /used the processor with no call in flight/,
  },
  processes: {
    attack: `const { execFileSync } = ${FROM("child_process")}; return "started " + execFileSync("/bin/echo", ["one"]);`,
    answer: /^started one/,
  },
  "open files": {
    attack: `const fs = ${FROM("fs")}; const open = []; for (let n = 0; n < 300; n++) open.push(fs.openSync("/dev/null", "r")); for (const file of open) fs.closeSync(file); return String(open.length);`,
    answer: "300",
  },
  scratch: {
    attack: `${FOLDER} for (let n = 0; n < 17; n++) fs.writeFileSync(folder + "/" + n, new Uint8Array(1 << 20)); ${REMOVE} return "17 MiB";`,
    answer: "17 MiB",
  },
  "size of a file": {
    attack: `${FOLDER} fs.writeFileSync(folder + "/one", new Uint8Array(17 << 20)); ${REMOVE} return "17 MiB";`,
    answer: "17 MiB",
  },
  threads: {
    attack: `const { Worker } = ${FROM("worker_threads")}; const ends = []; for (let n = 0; n < 3; n++) ends.push(new Promise((done) => new Worker("0", { eval: true }).on("exit", done))); return "ended " + (await Promise.all(ends));`,
    answer: "ended 0,0,0",
  },
  "output of a call": { attack: `return ["x".repeat(1 << 20)];`, answer: "output_too_large" },
  "one message": {
    attack: `${PORT} send("[" + " ".repeat(4 << 20)); for (;;);`,
    answer: "protocol_violation",
    ends: /broke the protocol/,
  },
  "messages nobody asked for": {
    attack: `${PORT} const line = JSON.stringify({ jsonrpc: "2.0", method: "log", params: { call: null, level: "info", message: "flood" } }) + "\\n"; for (;;) { send(line.repeat(100)); await null; }`,
    answer: "protocol_violation",
    ends: /broke the protocol/,
  },
  "error output": {
    attack: `const { default: node } = ${FROM("process")}; for (;;) { node.stderr.write("x".repeat(1 << 16)); await new Promise((done) => setTimeout(done, 0)); }`,
    answer: "plugin_crashed",
    ends: /flooded its error output/,
  },
  "time of a call": { attack: "await new Promise(() => {});", timeoutMs: 100, answer: "deadline_exceeded" },
};

/** Rows that take more than one call, here or in thread.test.ts; core dumps are the host's own. */
const ELSEWHERE = ["processors", "core dumps", "calls at once, and waiting", "time of a start"];

/** Limit → what docs/limits.md says of it at this level. */
const page = readFileSync(fileURLToPath(new URL("../../../../docs/limits.md", import.meta.url)), "utf8");
const [table = ""] = /\| Limit \|[\s\S]*?\n\n/.exec(page) ?? [];
const lines = table.trim().split("\n");
const cellsOf = (line = ""): readonly string[] => line.split("|").map((cell) => cell.trim());
const column = cellsOf(lines[0]).indexOf("`in-process`");
const told = new Map(lines.slice(2).map((line) => [cellsOf(line)[1] ?? "", cellsOf(line)[column] ?? ""]));
const NOTHING = ["processes", "open files", "scratch", "threads", "size of a file"];

let lab: Lab;
beforeEach(async () => {
  lab = await createLab({ allowInProcess: true });
});
afterEach(() => lab.close());

describe("in the host's process", () => {
  it("every row of docs/limits.md is looked at", () => {
    expect(
      [...Object.keys(ATTACKS).filter((name) => !name.includes(" (")), ...ELSEWHERE].toSorted((a, b) =>
        a.localeCompare(b),
      ),
    ).toEqual([...ROWS.map(({ limit }) => limit), ...OTHER_ROWS].toSorted((a, b) => a.localeCompare(b)));
  });

  it.each(Object.entries(ATTACKS))("%s is as docs/limits.md says", async (limit, row) => {
    const { attack, options = {}, timeoutMs = 20_000, answer, ends } = row;
    const process = await lab.start(`export default { tools: { async echo() { ${attack} } } };`, {
      ...options,
      level: "in-process",
    });
    const got = await process.call(toolCall("echo", {}, { timeoutMs })).then(
      ({ output }) => String(output),
      (error: { code: string }) => error.code,
    );
    if (typeof answer === "string") expect(got).toBe(answer);
    else expect(got).toMatch(answer);
    expect(told.get(limit.replace(/ \(.*/, ""))?.startsWith("nothing")).toBe(NOTHING.includes(limit));
    if (ends === undefined) return expect(process.state).toBe("running");
    expect(await process.exited).toMatchObject({ expected: false, reason: expect.stringMatching(ends) });
  });

  it("calls at once, and waiting, are bounded", async () => {
    const process = await lab.start("export default { tools: { echo: () => new Promise(() => {}) } };", {
      level: "in-process",
      limits: { memoryMb: 64, concurrency: 1 },
      bounds: { queuedCalls: 1 },
    });
    const calls = [0, 1, 2].map(() => process.call(toolCall("echo")).catch((error: { code: string }) => error.code));
    expect(await Promise.race(calls)).toBe("busy");
    expect(process.served).toBe(1);
    await process.stop(0);
    await Promise.all(calls);
  });
});
