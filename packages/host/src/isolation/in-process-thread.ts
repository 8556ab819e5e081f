import { AsyncLocalStorage } from "node:async_hooks";
import process from "node:process";
import { inspect } from "node:util";
import { type MessagePort, workerData } from "node:worker_threads";
import { ASK_MEMORY, TAKEN, type ThreadData, type ThreadMemory } from "./in-process-messages.ts";

/*
 * Runs first in a plugin's thread of the host's process. It gives the runner what it uses of its engine, over the port to
 * the host, and then becomes the runner, so that a plugin meets one runner, one protocol and one broker at every level. It
 * holds nobody in: code in here has every right of the host.
 */

const { memoryUsage, exit } = process;

function engineOver(port: MessagePort) {
  const chunks: Uint8Array[] = [];
  let wake: (() => void) | undefined;
  port.on("message", (message: unknown) => {
    if (message instanceof Uint8Array) {
      chunks.push(message);
      wake?.();
    } else if (message === ASK_MEMORY) {
      const { heapTotal, external } = memoryUsage();
      send({ heapBytes: heapTotal, outsideBytes: external } satisfies ThreadMemory);
    }
  });

  function send(message: unknown, transfer: readonly ArrayBuffer[] = []): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
    port.postMessage(message, transfer);
  }

  return {
    stdin: {
      async read(into: Uint8Array): Promise<number> {
        for (;;) {
          const [head] = chunks;
          if (head !== undefined) return take(head, into);
          await new Promise<void>((resolve) => (wake = resolve));
        }
      },
    },
    stdout: {
      writeSync(bytes: Uint8Array): number {
        const copy = new Uint8Array(bytes);
        send(copy, [copy.buffer]);
        return bytes.length;
      },
    },
    stderr: {
      writeSync(bytes: Uint8Array): number {
        process.stderr.write(bytes);
        return bytes.length;
      },
    },
  };

  function take(head: Uint8Array, into: Uint8Array): number {
    const count = Math.min(head.length, into.length);
    into.set(head.subarray(0, count));
    // The first line carries the launch token.
    head.fill(0, 0, count);
    if (count < head.length) chunks[0] = head.subarray(count);
    else {
      chunks.shift();
      send(TAKEN);
    }
    return count;
  }
}

/** The engine's async context, by which the runner knows to which call code belongs. */
function asyncContext() {
  const storage = new AsyncLocalStorage<unknown>();
  class AsyncVariable {
    enter(value: unknown): unknown {
      const outer = storage.getStore();
      storage.enterWith(value);
      return outer;
    }
    get(): unknown {
      return storage.getStore();
    }
  }
  return { AsyncVariable, setAsyncContext: (outer: unknown) => storage.enterWith(outer) };
}

interface Inspected {
  readonly depth: number;
  readonly iterableLimit: number;
  readonly strAbbreviateSize: number;
}

function engine({ port }: ThreadData) {
  const internal = Symbol("internal");
  return {
    ...engineOver(port),
    build: { os: process.platform, arch: process.arch === "x64" ? "x86_64" : "aarch64" },
    version: { deno: "" },
    errors: { WouldBlock: class WouldBlock extends Error {} },
    internal,
    [internal]: { core: asyncContext() },
    exit: (code: number) => exit(code),
    inspect: (value: unknown, { depth, iterableLimit, strAbbreviateSize }: Inspected) =>
      inspect(value, { depth, maxArrayLength: iterableLimit, maxStringLength: strAbbreviateSize }),
  };
}

/* Nothing else of an event is there to be prevented. */
const preventDefault = (): void => undefined;

/** Failures that nobody awaits come as the events that the runner listens to. */
function listen(type: string, listener: (event: object) => void): void {
  if (type === "unhandledrejection") process.on("unhandledRejection", (reason) => listener({ reason, preventDefault }));
  else if (type === "error") process.on("uncaughtException", (error) => listener({ error, preventDefault }));
}

const data: ThreadData = workerData;
Reflect.set(globalThis, "Deno", engine(data));
Reflect.set(globalThis, "addEventListener", listen);
await import(data.runner);
