import { type CallId, CHUNK_BYTES } from "../protocol/v1/index.ts";
import { toBase64 } from "./base64.ts";
import { joined } from "./bytes.ts";
import type { HostPort } from "./port.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/* A body that is complete travels inside the request up to here; base64 of it stays below the cap of a line. */
const INLINE_BYTES = 2 * 1024 * 1024;

const { setTimeout } = globalThis;
const nextTurn = (): Promise<undefined> => new Promise((resolve) => setTimeout(() => resolve(undefined), 0));

/**
 * The whole body when it is small and ready, so that the host can name its length, or else a stream. Libraries wrap every
 * body in a `Request`, where a string and a slow stream look alike: the difference is whether the next piece has to be
 * waited for.
 */
export async function bodyOf(request: Request): Promise<Bytes | ReadableStream<Bytes> | null> {
  if (request.body === null) return null;
  const reader = request.body.getReader();
  const pieces: Bytes[] = [];
  let total = 0;
  let next = reader.read();
  while (total <= INLINE_BYTES) {
    const piece = await Promise.race([next, nextTurn()]);
    if (piece === undefined) break;
    if (piece.done) return joined(pieces, total);
    pieces.push(piece.value);
    total += piece.value.length;
    next = reader.read();
  }
  return following(pieces, next, reader);
}

function following(
  pieces: Bytes[],
  first: Promise<ReadableStreamReadResult<Bytes>>,
  reader: ReadableStreamDefaultReader<Bytes>,
): ReadableStream<Bytes> {
  let next: Promise<ReadableStreamReadResult<Bytes>> | undefined = first;
  next.catch(() => undefined);
  return new ReadableStream(
    {
      async pull(controller) {
        const piece = pieces.shift();
        if (piece) return controller.enqueue(piece);
        const { value, done } = await (next ?? reader.read());
        next = undefined;
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

/** Sends a body piece by piece, each when the host has room, until it ends, breaks, or the answer makes it pointless. */
export async function sendBody(
  port: HostPort,
  call: CallId,
  upload: string,
  body: ReadableStream<Bytes>,
  answer: Promise<unknown>,
  signal: AbortSignal,
): Promise<void> {
  const reader = body.getReader();
  const over = new AbortController();
  const stop = (): void => over.abort();
  answer.then(undefined, stop);
  signal.addEventListener("abort", stop, { once: true });
  try {
    while (!over.signal.aborted) {
      const { value, done } = await reader.read();
      if (done) {
        await port.request("body.write", { call, upload, data: "", done: true });
        return;
      }
      for (let start = 0; start < value.length && !over.signal.aborted; start += CHUNK_BYTES) {
        const data = toBase64(value.subarray(start, start + CHUNK_BYTES));
        await port.request("body.write", { call, upload, data, done: false });
      }
    }
    await reader.cancel(signal.reason);
  } catch (error) {
    /* The answer to the request tells the plugin; a body that broke must not look complete, so `done` is never sent. */
    await reader.cancel(error).catch(() => undefined);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
