import type { Writable } from "node:stream";

export interface LineWriter {
  write(message: object): "sent" | "full" | "too_long" | "not_json";
  close(): void;
}

/** Writes one JSON object a line; what one turn of the event loop produces goes out in one write. */
export function createLineWriter(
  writable: Writable,
  limits: { readonly lineBytes: number; readonly outboundBytes: number },
): LineWriter {
  let batch = "";
  let scheduled = false;
  let closed = false;

  const flush = (): void => {
    scheduled = false;
    const text = batch;
    batch = "";
    if (text !== "" && !closed && writable.writable) writable.write(text);
  };

  return {
    write(message) {
      if (closed) return "full";
      const line = toLine(message);
      if (line === undefined) return "not_json";
      // UTF-16 units times three is the most bytes that a text can take; only near the cap is it worth counting.
      if (line.length * 3 > limits.lineBytes && Buffer.byteLength(line) > limits.lineBytes) return "too_long";
      if (writable.writableLength + batch.length + line.length > limits.outboundBytes) return "full";
      batch += line;
      if (!scheduled) {
        scheduled = true;
        queueMicrotask(flush);
      }
      return "sent";
    },
    close() {
      closed = true;
      batch = "";
    },
  };
}

/** @returns undefined for what JSON cannot say: cycles, bigints. */
function toLine(message: object): string | undefined {
  try {
    return `${JSON.stringify(message)}\n`;
  } catch {
    return undefined;
  }
}
