import { promisify } from "node:util";
import { crc32, inflateRaw, type InputType, type ZlibOptions } from "node:zlib";
import { archiveTooLarge, badArchive } from "./archive-errors.ts";

export interface GunzipLimits {
  /** Bytes after unpacking. */
  readonly bytes: number;
  /** Bytes after unpacking for each byte before it. */
  readonly ratio: number;
}

const HEADER_BYTES = 10;
const TRAILER_BYTES = 8;
const FILE_NAME = 0x08;
/** Small archives of much white space are no bombs. */
const ALWAYS_FINE = 1024 * 1024;

interface Inflated {
  readonly buffer: Buffer;
  /** `bytesWritten` counts what was read of the input. */
  readonly engine: { readonly bytesWritten: number };
}

const inflate: (input: InputType, options: ZlibOptions) => Promise<unknown> = promisify(inflateRaw);

export function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/**
 * Unpacks one gzip member that is all there is. Bounded before anything is allocated, and away from the main thread.
 * @throws {SallyportError} `source_unsafe` for what is cut, altered, followed by anything; `source_too_large` for a bomb.
 */
export async function gunzipStrictly(bytes: Uint8Array, limits: GunzipLimits): Promise<Uint8Array> {
  const start = endOfHeader(bytes);
  const most = Math.min(limits.bytes, Math.max(ALWAYS_FINE, bytes.length * limits.ratio));
  const { buffer, engine } = await unpack(bytes.subarray(start), most, limits);
  const trailer = start + engine.bytesWritten;
  const length = trailer + TRAILER_BYTES;
  if (bytes.length < length) throw badArchive("", "is cut off", { expected: `${length} bytes`, actual: bytes.length });
  const view = new DataView(bytes.buffer, bytes.byteOffset + trailer, TRAILER_BYTES);
  const expected = hex(view.getUint32(0, true));
  const actual = hex(crc32(buffer));
  if (expected !== actual) throw badArchive("", "was altered or damaged: its checksum is wrong", { expected, actual });
  if (view.getUint32(4, true) !== buffer.length)
    throw badArchive("", "was altered: it states another length", {
      expected: view.getUint32(4, true),
      actual: buffer.length,
    });
  if (bytes.length > length)
    throw badArchive("", "is followed by something else", { expected: `${length} bytes`, actual: bytes.length });
  return buffer;
}

function endOfHeader(bytes: Uint8Array): number {
  const flags = bytes[3] ?? 0;
  if (bytes.length < HEADER_BYTES + TRAILER_BYTES) throw badArchive("", "is cut off");
  if (bytes[2] !== 8 || (flags & ~FILE_NAME) !== 0)
    throw badArchive("", "has a gzip header that is not taken", {
      expected: "method 8, no extras",
      actual: `method ${bytes[2]}, flags ${flags}`,
    });
  if ((flags & FILE_NAME) === 0) return HEADER_BYTES;
  const end = bytes.indexOf(0, HEADER_BYTES);
  if (end === -1) throw badArchive("", "is cut off");
  return end + 1;
}

async function unpack(bytes: Uint8Array, most: number, limits: GunzipLimits): Promise<Inflated> {
  try {
    const answer = await inflate(bytes, { info: true, maxOutputLength: most });
    if (isInflated(answer)) return answer;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ERR_BUFFER_TOO_LARGE")
      throw most === limits.bytes
        ? archiveTooLarge("", "bytes once it is unpacked", most)
        : archiveTooLarge("", `bytes once it is unpacked, ${limits.ratio} for each byte of it`, most);
    if (code === "Z_BUF_ERROR") throw badArchive("", "is cut off", { cause: error });
    throw badArchive("", "cannot be unpacked: it is no sound gzip file", { cause: error });
  }
  throw badArchive("", "cannot be unpacked");
}

function isInflated(value: unknown): value is Inflated {
  return (
    typeof value === "object" &&
    value !== null &&
    "buffer" in value &&
    Buffer.isBuffer(value.buffer) &&
    "engine" in value
  );
}

function hex(value: number): string {
  return value.toString(16).padStart(8, "0");
}
