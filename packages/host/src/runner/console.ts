import type { CallId, LogLevel } from "@sallyport/sdk/protocol/v1";

export type LogSink = (level: LogLevel, message: string, call?: CallId) => void;

const { inspect } = Deno;
const INSPECT = { depth: 4, iterableLimit: 100, strAbbreviateSize: 4096, colors: false };
const LINE_CHARS = 8 * 1024;

const nothing = (): void => undefined;

/** A `console` whose lines are log notifications. Nothing of it touches stdout, which is the wire. */
export function createConsole(sink: LogSink): Record<string, unknown> {
  const counts = new Map<string, number>();
  const timers = new Map<string, number>();
  const at =
    (level: LogLevel) =>
    (...values: readonly unknown[]) =>
      sink(level, format(values));
  const elapsed = (label: string): string =>
    `${label}: ${(performance.now() - (timers.get(label) ?? performance.now())).toFixed(2)} ms`;

  return {
    log: at("info"),
    info: at("info"),
    dir: (value: unknown) => sink("info", format([value])),
    dirxml: at("info"),
    table: (value: unknown) => sink("info", format([value])),
    debug: at("debug"),
    trace: at("debug"),
    warn: at("warn"),
    error: at("error"),
    assert: (condition?: unknown, ...values: readonly unknown[]) => {
      if (!condition) sink("error", format(["Assertion failed:", ...values]));
    },
    group: at("info"),
    groupCollapsed: at("info"),
    groupEnd: nothing,
    clear: nothing,
    count: (label = "default") => {
      const count = (counts.get(label) ?? 0) + 1;
      counts.set(label, count);
      sink("info", `${label}: ${count}`);
    },
    countReset: (label = "default") => void counts.delete(label),
    time: (label = "default") => void timers.set(label, performance.now()),
    timeLog: (label = "default", ...values: readonly unknown[]) => sink("info", format([elapsed(label), ...values])),
    timeEnd: (label = "default") => {
      sink("info", elapsed(label));
      timers.delete(label);
    },
    timeStamp: nothing,
    profile: nothing,
    profileEnd: nothing,
  };
}

/** Text of what was logged, at most 8 KiB. A value whose own code throws while it is shown costs only its text. */
export function format(values: readonly unknown[]): string {
  const [first, ...rest] = values;
  let text = "";
  let left = values;
  if (typeof first === "string" && rest.length > 0 && first.includes("%")) {
    let used = 0;
    text = first.replace(/%([sdifoOjc%])/g, (whole, kind: string) => {
      if (kind === "%") return "%";
      if (used >= rest.length) return whole;
      const value = rest[used++];
      return kind === "c"
        ? ""
        : kind === "s"
          ? show(value)
          : kind === "o" || kind === "O" || kind === "j"
            ? shown(value)
            : number(value, kind);
    });
    left = rest.slice(used);
  }
  for (const value of left) {
    if (text.length > LINE_CHARS) break;
    text += text === "" ? show(value) : ` ${show(value)}`;
  }
  return text;
}

function number(value: unknown, kind: string): string {
  if (typeof value === "bigint") return `${value}`;
  if (typeof value !== "number" && typeof value !== "string") return "NaN";
  return String(kind === "f" ? Number.parseFloat(String(value)) : Number.parseInt(String(value), 10));
}

function show(value: unknown): string {
  return typeof value === "string" ? value : shown(value);
}

function shown(value: unknown): string {
  try {
    return inspect(value, INSPECT).slice(0, LINE_CHARS);
  } catch {
    return "(a value that cannot be shown)";
  }
}
