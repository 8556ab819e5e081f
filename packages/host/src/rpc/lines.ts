import { isUtf8 } from "node:buffer";

export interface LineReader {
  /** @returns false once reading must stop: `onLine` said so, or a problem was reported. */
  push(chunk: Buffer): boolean;
}

export interface LineReaderOptions {
  /** Longest line in bytes, without its line feed. */
  readonly maxBytes: number;
  /** @returns false to stop reading. */
  readonly onLine: (text: string, bytes: number) => boolean;
  readonly onProblem: (problem: string) => void;
}

const LINE_FEED = 0x0a;
const KEEP_BYTES = 64 * 1024;

/**
 * Splits a byte stream into lines of UTF-8. An unfinished line is kept in one buffer that doubles up to the cap: a list of
 * chunks would cost an object for each byte of a stranger that writes byte by byte.
 */
export function createLineReader({ maxBytes, onLine, onProblem }: LineReaderOptions): LineReader {
  let held = Buffer.alloc(0);
  let heldBytes = 0;

  const hold = (part: Buffer): void => {
    const needed = heldBytes + part.length;
    if (needed > held.length) {
      const grown = Buffer.allocUnsafeSlow(
        Math.min(Math.max(needed, held.length * 2, 4096), Math.max(needed, maxBytes)),
      );
      held.copy(grown, 0, 0, heldBytes);
      held = grown;
    }
    part.copy(held, heldBytes);
    heldBytes = needed;
  };

  const tooLong = (): false => {
    onProblem(`a line is longer than ${maxBytes} bytes`);
    return false;
  };

  /** Whole lines, the last one ended by a line feed. */
  const readLines = (block: Buffer): boolean => {
    if (!isUtf8(block)) {
      onProblem("a line is not UTF-8");
      return false;
    }
    const text = block.toString("utf8");
    const ascii = text.length === block.length;
    let start = 0;
    while (start < text.length) {
      const end = text.indexOf("\n", start);
      const line = text.slice(start, end);
      const bytes = ascii ? line.length : Buffer.byteLength(line);
      if (bytes > maxBytes) return tooLong();
      if (!onLine(line, bytes)) return false;
      start = end + 1;
    }
    return true;
  };

  /** Ends the line that is held with what `chunk` has of it. */
  const finishHeld = (chunk: Buffer, end: number): boolean => {
    if (heldBytes + end > maxBytes) return tooLong();
    hold(chunk.subarray(0, end + 1));
    const line = held.subarray(0, heldBytes);
    heldBytes = 0;
    if (held.length > KEEP_BYTES) held = Buffer.alloc(0);
    return readLines(line);
  };

  return {
    push(chunk) {
      let rest = chunk;
      if (heldBytes > 0) {
        const end = chunk.indexOf(LINE_FEED);
        if (end === -1) {
          if (heldBytes + chunk.length > maxBytes) return tooLong();
          hold(chunk);
          return true;
        }
        if (!finishHeld(chunk, end)) return false;
        rest = chunk.subarray(end + 1);
      }
      const last = rest.lastIndexOf(LINE_FEED);
      if (last !== -1 && !readLines(rest.subarray(0, last + 1))) return false;
      const tail = last === -1 ? rest : rest.subarray(last + 1);
      if (tail.length > maxBytes) return tooLong();
      if (tail.length > 0) hold(tail);
      return true;
    },
  };
}
