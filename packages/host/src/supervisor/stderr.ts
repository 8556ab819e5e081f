import type { Readable } from "node:stream";
import { type Clock, displayText } from "../kernel/index.ts";
import { createRateCap } from "../rpc/index.ts";
import type { SupervisorLimits } from "./limits.ts";

export interface Stderr {
  /** The last lines, safe to show; for the author of a plugin that does not start. */
  tail(): string;
}

export interface StderrOptions {
  readonly stream: Readable;
  readonly clock: Clock;
  readonly limits: SupervisorLimits;
  readonly onLine: (line: string) => void;
  readonly onFlood: () => void;
}

/** More than a log line is shown with, so that no secret is cut in two before it is looked for. */
const LINE_CHARS = 16_384;
const TAIL_CHARS = 4000;

/** Reads what a process says outside the protocol: lines up to a rate, the last bytes for errors, and no more. */
export function readStderr({ stream, clock, limits, onLine, onFlood }: StderrOptions): Stderr {
  const bytes = createRateCap(clock, Infinity, limits.stderrBytesPerSecond);
  const lines = createRateCap(clock, limits.stderrLinesPerSecond, Infinity);
  let tail = Buffer.alloc(0);
  let unfinished = "";
  let flooded = false;

  const take = (text: string): void => {
    const parts = (unfinished + text).split("\n");
    unfinished = (parts.pop() ?? "").slice(0, LINE_CHARS);
    for (const part of parts) {
      if (part.trim() !== "" && lines.admit(0)) onLine(part.slice(0, LINE_CHARS));
    }
  };
  stream.on("error", () => undefined);
  stream.on("data", (chunk: Buffer) => {
    if (flooded) return;
    if (!bytes.admit(chunk.length)) {
      flooded = true;
      onFlood();
      return;
    }
    tail = Buffer.concat([tail, chunk]).subarray(-limits.stderrTailBytes);
    take(chunk.toString("utf8"));
  });
  return { tail: () => displayText(tail.toString("utf8").slice(-TAIL_CHARS), TAIL_CHARS).trim() };
}
