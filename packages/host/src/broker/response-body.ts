import { pipeline, type Readable } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import { SallyportError } from "../kernel/index.ts";
import { createStripper, type KnownSecret } from "../secrets/index.ts";
import { cancelled } from "./aborting.ts";
import { networkFailure } from "./network-failure.ts";

/** The body of an answer, pulled piece by piece; decoded, bounded and without the secrets that the request carried. */
export interface ResponseBody {
  /** The next piece, never empty; null at the end. @throws {SallyportError} `limit_exceeded`, `network_failed`, `cancelled`. */
  next(): Promise<Buffer | null>;
  cancel(): void;
  /** Bytes of the body that arrived, as sent. */
  readonly bytes: number;
}

export interface ResponseBodyOptions {
  /** In the order they were applied. */
  readonly encodings: readonly Encoding[];
  readonly maxBytes: number;
  readonly secrets: readonly KnownSecret[];
  readonly signal: AbortSignal;
}

const DECODERS = {
  gzip: () => createGunzip({ chunkSize: 64 * 1024 }),
  "x-gzip": () => createGunzip({ chunkSize: 64 * 1024 }),
  deflate: () => createInflate({ chunkSize: 64 * 1024 }),
  br: () => createBrotliDecompress({ chunkSize: 64 * 1024 }),
} as const;

export type Encoding = keyof typeof DECODERS;

/** More than this is an attack on the decoder. */
const MAX_ENCODINGS = 2;

/** The encodings that have to be undone, or null when one is unknown: then the body stays as it is. */
export function decodable(contentEncoding: string | undefined): readonly Encoding[] | null {
  const names = (contentEncoding ?? "")
    .split(",")
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== "" && name !== "identity");
  const known = names.filter((name): name is Encoding => Object.hasOwn(DECODERS, name));
  if (known.length !== names.length) return null;
  if (names.length > MAX_ENCODINGS) throw tooLarge("The answer is encoded too many times over.");
  return known;
}

export function createResponseBody(source: Readable, options: ResponseBodyOptions): ResponseBody {
  let bytes = 0;
  let decodedBytes = 0;
  const counted = async function* (): AsyncGenerator<Buffer> {
    for await (const chunk of source) {
      if (!Buffer.isBuffer(chunk)) throw tooLarge("The answer is not made of bytes.");
      bytes += chunk.length;
      if (bytes > options.maxBytes) throw tooLarge(`The answer's body is over ${options.maxBytes} bytes.`);
      yield chunk;
    }
  };
  let decoded: AsyncIterable<unknown> = counted();
  for (const name of options.encodings.toReversed()) decoded = pipeline(decoded, DECODERS[name](), () => undefined);
  const iterator = decoded[Symbol.asyncIterator]();
  const stripper = options.secrets.length === 0 ? undefined : createStripper(options.secrets);
  let ended = false;
  // A body that was cut off must not pass for one that is complete.
  let cancelledEarly = false;

  const pull = async (): Promise<Buffer | null> => {
    while (!ended) {
      if (cancelledEarly) throw networkFailure(cancelled(), options.signal);
      const step = await iterator.next();
      if (step.done === true) {
        ended = true;
        const rest = stripper?.end();
        return rest === undefined || rest.length === 0 ? null : rest;
      }
      if (!Buffer.isBuffer(step.value)) throw tooLarge("The answer is not made of bytes.");
      decodedBytes += step.value.length;
      if (decodedBytes > options.maxBytes)
        throw tooLarge(`The answer's body is over ${options.maxBytes} bytes once decoded.`);
      const piece = stripper === undefined ? step.value : stripper.push(step.value);
      if (piece.length > 0) return piece;
    }
    return null;
  };

  const cancel = (): void => {
    cancelledEarly = true;
    source.destroy();
    // Lets a decoder in between go, too; it may be waiting for the source that was just destroyed.
    iterator.return?.().catch(() => undefined);
  };

  return {
    async next() {
      try {
        return await pull();
      } catch (error) {
        cancel();
        throw error instanceof SallyportError ? error : networkFailure(error, options.signal);
      }
    },
    cancel,
    get bytes() {
      return bytes;
    },
  };
}

function tooLarge(message: string): SallyportError {
  return new SallyportError("limit_exceeded", message, { fix: "Ask the server for less at a time." });
}
