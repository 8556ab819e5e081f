import { Readable } from "node:stream";
import { SallyportError } from "../kernel/index.ts";
import { cancelled } from "./aborting.ts";

/** Bodies of requests that a plugin sends piece by piece; a piece is answered when there is room for the next. */
export interface Uploads {
  /** @throws {SallyportError} `usage` when the id is taken. */
  open(callId: string, id: string): Upload;
  write(callId: string, id: string, data: Buffer, done: boolean): Promise<void>;
  endCall(callId: string): void;
  close(): void;
}

export interface Upload {
  readonly stream: Readable;
  readonly bytes: number;
  /** Refuses what is still to come. */
  end(error?: Error): void;
}

export interface UploadChecks {
  readonly maxBytes: number;
  /** Called with each piece, and the tail of the one before it. Throws to refuse it. */
  readonly inspect: (bytes: Buffer) => void;
  /** How many bytes of the piece before `inspect` needs to see. */
  readonly overlap: number;
}

interface OpenUpload {
  readonly callId: string;
  readonly stream: Readable;
  room: (() => void)[];
  tail: Buffer;
  bytes: number;
  done: boolean;
}

export function createUploads(checks: UploadChecks): Uploads {
  const open = new Map<string, OpenUpload>();
  const free = (entry: OpenUpload): void => {
    for (const go of entry.room.splice(0)) go();
  };
  const finish = (name: string, entry: OpenUpload, error?: Error): void => {
    open.delete(name);
    if (!entry.stream.destroyed && (error !== undefined || !entry.done)) entry.stream.destroy(error);
    free(entry);
  };

  return {
    open(callId, id) {
      const name = keyOf(callId, id);
      if (open.has(name)) throw new SallyportError("usage", "The id of the upload is in use.");
      const entry: OpenUpload = {
        callId,
        stream: new Readable({ highWaterMark: 256 * 1024, read: () => free(entry) }),
        room: [],
        tail: Buffer.alloc(0),
        bytes: 0,
        done: false,
      };
      entry.stream.on("error", () => undefined);
      entry.stream.once("close", () => free(entry));
      open.set(name, entry);
      return {
        stream: entry.stream,
        get bytes() {
          return entry.bytes;
        },
        end: (error) => finish(name, entry, error),
      };
    },
    async write(callId, id, data, done) {
      const entry = open.get(keyOf(callId, id));
      if (entry === undefined) {
        throw new SallyportError("not_found", "There is no such upload in this call.", {
          detail: "Its request is over, or was never made.",
        });
      }
      if (entry.done) throw new SallyportError("usage", "The upload was already complete.");
      const seen = Buffer.concat([entry.tail, data]);
      entry.bytes += data.length;
      try {
        if (entry.bytes > checks.maxBytes)
          throw new SallyportError("limit_exceeded", `The request's body is over ${checks.maxBytes} bytes.`);
        checks.inspect(seen);
      } catch (error) {
        entry.stream.destroy(error instanceof Error ? error : undefined);
        throw error;
      }
      entry.tail = checks.overlap === 0 ? entry.tail : Buffer.from(seen.subarray(-checks.overlap));
      const room = data.length === 0 || entry.stream.push(data);
      if (done) {
        entry.done = true;
        entry.stream.push(null);
      } else if (!room && !entry.stream.destroyed) {
        await new Promise<void>((resolve) => entry.room.push(resolve));
      }
    },
    endCall(callId) {
      for (const [name, entry] of open) if (entry.callId === callId) finish(name, entry, cancelled());
    },
    close() {
      for (const [name, entry] of open) finish(name, entry, cancelled());
    },
  };
}

function keyOf(callId: string, id: string): string {
  return `${callId} ${id}`;
}
