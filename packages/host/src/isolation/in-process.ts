import { Readable, Writable, PassThrough } from "node:stream";
import { pathToFileURL } from "node:url";
import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import { ASK_MEMORY, TAKEN, type ThreadData, type ThreadMemory } from "./in-process-messages.ts";
import type { SandboxedProcess, SandboxExit } from "./types.ts";

/** A plugin's thread of the host's process. It contains nothing: whatever runs in it has the host's rights. */
export interface PluginThread extends SandboxedProcess {
  /** Ends the thread, which then says why, in plain words. */
  terminate(reason: string): void;
}

export interface ThreadSpec {
  /** Absolute path of the runner. */
  readonly runner: string;
  /** What heap and buffers may take, by the supervisor's looks; V8's own limit on the heap is over twice that. */
  readonly memoryMb: number;
}

/** The compiled entry, whether this file runs from `dist` or, in tests, from `src`: Node 20 runs no TypeScript in a thread. */
const ENTRY = new URL("../../dist/isolation/in-process-thread.js", import.meta.url);
const YOUNG_MB = 16;
const STACK_MB = 4;
/**
 * V8 ends a thread at its limit only when it gets there in small steps: one allocation of more than 16 MiB there ends the
 * process. So the limit lies well above the budget, which the supervisor's looks find exceeded before.
 */
const heapLimitMb = (memoryMb: number): number => 2 * memoryMb + 256;

/**
 * Starts a thread that speaks the protocol of plugins, with an empty environment and V8's own limits. It ends with
 * `kill`, even in an endless loop; nothing that it did to the process is undone.
 */
export function spawnThread({ runner, memoryMb }: ThreadSpec): PluginThread {
  const { port1: port, port2: inside } = new MessageChannel();
  const worker = new Worker(ENTRY, {
    workerData: { port: inside, runner: pathToFileURL(runner).href } satisfies ThreadData,
    transferList: [inside],
    name: "sallyport-plugin",
    env: {},
    argv: [],
    execArgv: [],
    stdin: true,
    stdout: true,
    stderr: true,
    resourceLimits: {
      maxOldGenerationSizeMb: heapLimitMb(memoryMb),
      maxYoungGenerationSizeMb: YOUNG_MB,
      stackSizeMb: STACK_MB,
    },
  });
  let reason: string | undefined;
  worker.on("error", (error: unknown) => (reason ??= reasonOf(error)));
  const { stdin, stdout, memory } = streamsOf(port);
  const ended = new Promise<number>((resolve) => worker.once("exit", resolve));
  const closed = new Promise<void>((resolve) => port.once("close", resolve));
  const gone = Promise.all([ended, closed]).then(([code]): SandboxExit => {
    stdout.push(null);
    stdin.destroy();
    return { code, signal: null, reason: reason ?? (code === 0 ? "the thread ended by itself" : `${BY_CODE} ${code}`) };
  });
  const terminate = (): void => void worker.terminate();

  return {
    pid: process.pid,
    stdin,
    stdout,
    stderr: errorOutput(worker),
    gone,
    grouped: false,
    kill: terminate,
    terminate(why) {
      reason ??= why;
      terminate();
    },
    usage: () => {
      const { heapBytes, outsideBytes } = memory();
      const processorMs = worker.performance.eventLoopUtilization().active;
      return Promise.resolve({ residentBytes: heapBytes + outsideBytes, processorMs, tasks: 1 });
    },
  };
}

const BY_CODE = "the thread ended by itself with code";

function reasonOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "ERR_WORKER_OUT_OF_MEMORY"
    ? "the thread reached its memory limit"
    : "the thread ended with an error that nothing caught";
}

interface ThreadStreams {
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** As the thread last said; asks it again. A thread that is busy answers when it gets to it. */
  memory(): ThreadMemory;
}

function streamsOf(port: MessagePort): ThreadStreams {
  const stdout = new Readable({ read: () => undefined });
  let taken: (() => void) | undefined;
  let asked = false;
  let last: ThreadMemory = { heapBytes: 0, outsideBytes: 0 };
  const stdin = new Writable({
    write(chunk: Buffer, _encoding, done) {
      taken = done;
      // A copy, since a small buffer is part of a large one, and all of that would go.
      const copy = new Uint8Array(chunk);
      send(copy, [copy.buffer]);
    },
  });
  stdin.on("error", () => undefined);

  function send(message: unknown, transfer: readonly ArrayBuffer[] = []): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
    port.postMessage(message, transfer);
  }

  // Whatever comes is the thread's word: what is neither bytes nor one of two answers is dropped.
  port.on("message", (message: unknown) => {
    if (message instanceof Uint8Array) stdout.push(Buffer.from(message.buffer, message.byteOffset, message.byteLength));
    else if (message === TAKEN) {
      const done = taken;
      taken = undefined;
      done?.();
    } else if (isMemory(message)) {
      asked = false;
      last = message;
    }
  });

  return {
    stdin,
    stdout,
    memory() {
      if (!asked) send(ASK_MEMORY);
      asked = true;
      return last;
    },
  };
}

function isMemory(message: unknown): message is ThreadMemory {
  if (typeof message !== "object" || message === null) return false;
  return (
    "heapBytes" in message &&
    "outsideBytes" in message &&
    typeof message.heapBytes === "number" &&
    typeof message.outsideBytes === "number"
  );
}

/** Both of Node's own streams: neither is the wire. */
function errorOutput(worker: Worker): Readable {
  const both = new PassThrough();
  for (const stream of [worker.stdout, worker.stderr]) {
    stream.on("error", () => undefined);
    stream.pipe(both, { end: false });
  }
  return both;
}
