import { crc32 } from "node:zlib";
import { badArchive } from "./archive-errors.ts";
import { deflate } from "./deflate.ts";
import type { SourceFile } from "./walk.ts";

const BLOCK = 512;
const PREFIX = "package/";

/**
 * Writes a `.tgz` of files, each below `package/` as npm does it. The same files give the same bytes on any machine and at any
 * time: sorted by path, no time, no owner, one of two modes, no system in the header, and a compressor of our own.
 * @throws {SallyportError} `source_unsafe` for a path that no plain header can hold.
 */
export function writeArchive(files: readonly SourceFile[]): Uint8Array {
  const sorted = files
    .map((file) => ({ file, key: Buffer.from(file.path) }))
    .toSorted((a, b) => Buffer.compare(a.key, b.key));
  const blocks = sorted.flatMap(({ file }) => [headerOf(file), file.bytes, Buffer.alloc(paddingOf(file.bytes.length))]);
  return gzip(Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK)]));
}

function headerOf(file: SourceFile): Uint8Array {
  const header = Buffer.alloc(BLOCK);
  const { name, prefix } = splitName(`${PREFIX}${file.path}`);
  header.write(name, 0, "utf8");
  header.write(`${octal(file.mode, 7)}\0`, 100, "latin1");
  header.write(`${octal(0, 7)}\0${octal(0, 7)}\0`, 108, "latin1");
  header.write(`${octal(file.bytes.length, 11)}\0${octal(0, 11)}\0`, 124, "latin1");
  header.write("        0", 148, "latin1");
  header.write("ustar\x0000", 257, "latin1");
  header.write(`${octal(0, 7)}\0${octal(0, 7)}\0`, 329, "latin1");
  header.write(prefix, 345, "utf8");
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${octal(sum, 6)}\0 `, 148, "latin1");
  return header;
}

/** A header has 100 bytes for the name and 155 for the folders before it. */
function splitName(path: string): { readonly name: string; readonly prefix: string } {
  if (Buffer.byteLength(path) <= 100) return { name: path, prefix: "" };
  for (let slash = path.indexOf("/"); slash !== -1; slash = path.indexOf("/", slash + 1)) {
    const [prefix, name] = [path.slice(0, slash), path.slice(slash + 1)];
    if (Buffer.byteLength(prefix) <= 155 && Buffer.byteLength(name) <= 100) return { name, prefix };
  }
  throw badArchive(path, "is too long a path for an archive", { expected: "at most 100 bytes after a /, 155 before" });
}

function gzip(bytes: Uint8Array): Uint8Array {
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(crc32(bytes), 0);
  trailer.writeUInt32LE(bytes.length, 4);
  const header = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
  return Buffer.concat([header, deflate(bytes), trailer]);
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, "0");
}

function paddingOf(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK;
}
