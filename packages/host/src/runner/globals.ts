import { createEventSource } from "@sallyport/sdk/runtime";
import { createConsole, format, type LogSink } from "./console.ts";
import { createProcess } from "./process.ts";

/** Constructors that need what a plugin has not, and what to use instead. */
const REFUSED = {
  Worker: "A plugin has one thread.",
  BroadcastChannel: "A plugin has one thread.",
};

/* They read stdin or write to stdout, which are the wire, or keep data where it is lost: ctx.kv keeps it. */
const REMOVED = ["alert", "confirm", "prompt", "close", "localStorage", "sessionStorage", "caches"];

/**
 * Makes the globals what a plugin may rely on. This keeps accidents off the wire and gives clear errors; it holds nobody
 * in: the walls are the operating system's, and whatever the plugin changes here breaks the plugin only.
 */
export function prepareGlobals(fetch: typeof globalThis.fetch, webSocket: unknown, sink: LogSink): void {
  define("fetch", fetch);
  define("WebSocket", webSocket);
  define("EventSource", createEventSource(fetch));
  define("console", createConsole(sink));
  define("process", createProcess(sink));
  define("global", globalThis);
  for (const [name, instead] of Object.entries(REFUSED)) refuse(name, instead);
  for (const name of REMOVED) Reflect.deleteProperty(globalThis, name);
  hideStandardStreams(sink);
}

/** Failures that nobody awaits are logged; they do not end the process and the calls of others in it. */
export function keepRunning(sink: LogSink): void {
  addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    sink("error", format(["Unhandled rejection:", event.reason]));
  });
  addEventListener("error", (event) => {
    event.preventDefault();
    sink("error", format(["Uncaught error:", event.error]));
  });
}

function define(name: string, value: unknown): void {
  Object.defineProperty(globalThis, name, { value, writable: true, enumerable: false, configurable: true });
}

function refuse(name: string, instead: string): void {
  define(name, function unavailable() {
    throw new Error(`${name} is not available to a plugin. ${instead}`);
  });
}

function hideStandardStreams(sink: LogSink): void {
  const decoder = new TextDecoder();
  const output = (level: "info" | "error") => {
    const writeSync = (bytes: Uint8Array): number => {
      sink(level, decoder.decode(bytes).replace(/\n$/, ""));
      return bytes.length;
    };
    return {
      writeSync,
      write: async (bytes: Uint8Array) => writeSync(bytes),
      isTerminal: () => false,
      close: () => undefined,
    };
  };
  const input = { readSync: () => null, read: async () => null, isTerminal: () => false, close: () => undefined };
  for (const [name, value] of Object.entries({ stdin: input, stdout: output("info"), stderr: output("error") })) {
    Object.defineProperty(Deno, name, { value, configurable: true, writable: true });
  }
}
