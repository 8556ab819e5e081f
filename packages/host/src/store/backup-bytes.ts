import { invalid } from "./backup-format.ts";

/** Bytes that come in pieces, read by count. */
export interface ByteReader {
  /** @throws {SallyportError} `backup_invalid` when there are fewer. */
  exactly(count: number): Promise<Buffer>;
  /** So many bytes, in pieces as they come. @throws {SallyportError} as `exactly`. */
  pieces(count: number): AsyncGenerator<Buffer>;
  /** Up to and with the next line feed, of at most `most` bytes. @throws {SallyportError} as `exactly`. */
  line(most: number): Promise<string>;
  atEnd(): Promise<boolean>;
}

export function readBytes(source: AsyncIterable<Uint8Array>): ByteReader {
  const iterator = source[Symbol.asyncIterator]();
  let waiting: Buffer = Buffer.alloc(0);

  /** False at the end. */
  async function fill(): Promise<boolean> {
    const next = await iterator.next();
    if (next.done === true) return false;
    waiting = waiting.length === 0 ? Buffer.from(next.value) : Buffer.concat([waiting, next.value]);
    return true;
  }

  async function* pieces(count: number): AsyncGenerator<Buffer> {
    for (let left = count; left > 0;) {
      if (waiting.length === 0 && !(await fill())) throw cut();
      const piece = waiting.subarray(0, left);
      waiting = waiting.subarray(piece.length);
      left -= piece.length;
      yield piece;
    }
  }

  return {
    pieces,
    async exactly(count) {
      const parts: Buffer[] = [];
      for await (const piece of pieces(count)) parts.push(piece);
      return Buffer.concat(parts, count);
    },
    async line(most) {
      for (;;) {
        const end = waiting.indexOf(0x0a);
        if (end >= 0 && end < most) {
          const text = waiting.toString("utf8", 0, end + 1);
          waiting = waiting.subarray(end + 1);
          return text;
        }
        if (waiting.length >= most || !(await fill())) throw cut();
      }
    },
    async atEnd() {
      while (waiting.length === 0) if (!(await fill())) return true;
      return false;
    },
  };
}

function cut() {
  return invalid("It is no backup, or its end is missing.");
}
