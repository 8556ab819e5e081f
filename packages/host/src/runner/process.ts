import { format, type LogSink } from "./console.ts";

const { arch, os } = Deno.build;

/**
 * A `process` that says nothing about this machine. The engine's own panics or throws without `/proc`, and takes 13 ms to
 * load. It carries no `versions.node`, so that libraries choose `fetch`.
 */
export function createProcess(sink: LogSink): Record<string, unknown> {
  const self: Record<string, unknown> = {};
  const chain = (): unknown => self;
  const stream = (level: "info" | "error") => ({
    isTTY: false,
    write: (text: unknown): boolean => {
      sink(level, format([text]).replace(/\n$/, ""));
      return true;
    },
  });
  return Object.assign(self, {
    env: {},
    argv: [],
    execArgv: [],
    version: "",
    versions: {},
    release: {},
    platform: os,
    arch: arch === "x86_64" ? "x64" : "arm64",
    title: "plugin",
    pid: 1,
    browser: true,
    exitCode: undefined,
    stdout: stream("info"),
    stderr: stream("error"),
    cwd: () => "/",
    uptime: () => performance.now() / 1000,
    hrtime: Object.assign(hrtime, { bigint: () => BigInt(Math.round(performance.now() * 1e6)) }),
    nextTick: (run: (...values: readonly unknown[]) => void, ...values: readonly unknown[]) =>
      queueMicrotask(() => run(...values)),
    emitWarning: (warning: unknown) => sink("warn", format([warning])),
    exit: () => {
      throw new Error("process.exit() is not available to a plugin.");
    },
    on: chain,
    once: chain,
    off: chain,
    addListener: chain,
    removeListener: chain,
    removeAllListeners: chain,
    emit: () => false,
    listeners: () => [],
  });
}

function hrtime(since?: readonly [number, number]): [number, number] {
  const now = performance.now();
  const seconds = Math.floor(now / 1000) - (since?.[0] ?? 0);
  const nanos = Math.round((now % 1000) * 1e6) - (since?.[1] ?? 0);
  return nanos < 0 ? [seconds - 1, nanos + 1e9] : [seconds, nanos];
}
