import type { IsolationLevel } from "../../src/kernel/index.ts";
import type { StartOptions } from "../supervisor/support.ts";

/** One row of docs/limits.md, with the attack that shows the limit to trip at each level. */
export interface Row {
  /** The first cell of the row. */
  readonly limit: string;
  /** Body of the tool `echo`, or with `raw` what a program does with a call (`message`) instead. */
  readonly attack: string;
  readonly raw?: true;
  readonly options?: StartOptions;
  readonly timeoutMs?: number;
  /** Levels at which the runtime's own permissions are open, so that the attack gets as far as the limit; absent: none. */
  readonly open?: readonly IsolationLevel[];
  /** What the caller gets: an error's code, or what the tool returned. */
  readonly answer: (level: IsolationLevel) => string | RegExp;
  /** Why the process ended; absent: it goes on. */
  readonly ends?: RegExp;
}

const LIBC = `const call = (name, parameters, result, ...values) => Deno.dlopen("libc.so.6", { [name]: { parameters, result } }).symbols[name](...values);`;
const TAKE = (piece: string): string =>
  `const kept = []; try { for (;;) kept.push(${piece}); } catch { return "stopped below " + (kept.length < 16 ? 256 : 9999); }`;
const KERNEL = ["namespace", "landlock"] as const;
const ALL = [...KERNEL, "runtime"] as const;
const SMALL = { limits: { memoryMb: 64, concurrency: 1 } };
const SPIN = "for (;;);";
const QUICK = { bounds: { watchMs: 100, pingGraceMs: 200, heartbeatGraceMs: 500 } };

const SCRATCH: Readonly<Record<IsolationLevel, RegExp>> = {
  namespace: /^Read-only file system/,
  landlock: /^Permission denied/,
  // Only the second layer refuses here.
  runtime: /^Requires write access/,
  "in-process": /never/,
};

/** Every limit on one plugin's process, in the order of docs/limits.md. */
export const ROWS: readonly Row[] = [
  {
    limit: "memory: objects",
    attack: "const kept = []; for (;;) kept.push(new Array(1 << 20).fill({}));",
    options: SMALL,
    answer: () => "plugin_crashed",
    ends: /^the process reached its memory limit$/,
  },
  {
    limit: "memory: ArrayBuffer",
    attack: TAKE("new Uint8Array(16 << 20).fill(1)"),
    options: SMALL,
    answer: () => "stopped below 256",
  },
  {
    limit: "memory: WebAssembly",
    attack: TAKE("new Uint8Array(new WebAssembly.Memory({ initial: 256 }).buffer).fill(1)"),
    options: SMALL,
    answer: () => "stopped below 256",
  },
  {
    limit: "processor time in a call",
    attack: SPIN,
    options: QUICK,
    timeoutMs: 300,
    answer: () => "deadline_exceeded",
    ends: /no longer answers/,
  },
  {
    limit: "processor time without a call",
    attack: `setTimeout(function again() { const until = Date.now() + 20; while (Date.now() < until); setTimeout(again, 0); }, 0); return "left";`,
    options: { bounds: { watchMs: 100, idleProcessorShare: 0.05 } },
    answer: () => "left",
    ends: /used the processor with no call in flight/,
  },
  {
    limit: "processes",
    attack: `${LIBC} return "fork " + call("fork", [], "i32");`,
    open: ALL,
    answer: () => "fork -1",
  },
  {
    limit: "open files",
    attack: `const kept = []; try { for (;;) kept.push(Deno.openSync("/dev/urandom")); } catch (error) { return (kept.length < 256 ? "few: " : "many: ") + error.message; }`,
    open: ALL,
    answer: () => /^few: Too many open files/,
  },
  {
    limit: "scratch",
    attack: `try { for (let n = 0; n < 64; n++) Deno.writeFileSync("/tmp/sallyport-limit-" + n, new Uint8Array(1 << 20)); return "all"; } catch (error) { return error.message; }`,
    open: KERNEL,
    answer: (level) => SCRATCH[level],
  },
  {
    limit: "output of a call",
    attack: `return ["x".repeat(1 << 20)];`,
    answer: () => "output_too_large",
  },
  {
    limit: "one message",
    attack: `send("[" + " ".repeat(4 << 20)); for (;;);`,
    raw: true,
    answer: () => "protocol_violation",
    ends: /broke the protocol/,
  },
  {
    limit: "messages nobody asked for",
    attack: `for (;;) note("log", { call: null, level: "info", message: "flood" });`,
    raw: true,
    answer: () => "protocol_violation",
    ends: /broke the protocol/,
  },
  {
    limit: "error output",
    attack: `const text = new Uint8Array(1 << 16).fill(97); for (;;) Deno.stderr.writeSync(text);`,
    raw: true,
    answer: () => "plugin_crashed",
    ends: /flooded its error output/,
  },
  {
    limit: "time of a call",
    attack: "await new Promise(() => {});",
    timeoutMs: 100,
    answer: () => "deadline_exceeded",
  },
];

/** Rows that take more than one call to show; each is a test of its own in walls.test.ts. */
export const OTHER_ROWS = [
  "memory: the whole process",
  "threads",
  "processors",
  "size of a file",
  "core dumps",
  "calls at once, and waiting",
  "time of a start",
] as const;
