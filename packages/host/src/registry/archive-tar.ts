import { archiveTooLarge, badArchive } from "./archive-errors.ts";
import { checkExtension } from "./archive-pax.ts";
import { createPathBook } from "./archive-paths.ts";
import type { SourceLimits } from "./limits.ts";

export interface ArchiveFile {
  /** Below the plugin's root. */
  readonly path: string;
  readonly executable: boolean;
  /** A view of the archive's bytes. */
  readonly bytes: Uint8Array;
}

const BLOCK = 512;
const KINDS: Readonly<Record<string, string>> = {
  "1": "a hard link",
  "2": "a symbolic link",
  "3": "a device",
  "4": "a device",
  "6": "a named pipe",
  "7": "a file of a reserved kind",
  K: "a name kept elsewhere (GNU long link)",
  L: "a name kept elsewhere (GNU long name)",
  S: "a file with holes",
};

/**
 * Reads a tar archive that is in memory: ustar or GNU headers, regular files and folders, nothing that changes what a header
 * says. Every field that counts is checked, the rest (owners, times) is left unread.
 * @throws {SallyportError} `source_unsafe`, `source_too_large`, with `data.file`.
 */
export function readTar(bytes: Uint8Array, limits: SourceLimits): readonly ArchiveFile[] {
  const book = createPathBook(limits);
  const files: ArchiveFile[] = [];
  let entries = 0;
  let total = 0;
  let extended = false;
  let offset = 0;
  for (;;) {
    const header = block(bytes, offset);
    if (isEmpty(header)) break;
    if (++entries > 2 * limits.files) throw archiveTooLarge("", "entries", 2 * limits.files);
    const { name, mode, size, type } = readHeader(header);
    const start = offset + BLOCK;
    const end = start + size;
    offset = start + Math.ceil(size / BLOCK) * BLOCK;
    if (offset > bytes.length)
      throw badArchive(name, "is cut off", { expected: `${size} bytes`, actual: bytes.length - start });
    if (!isEmpty(bytes.subarray(end, offset))) throw badArchive(name, "has bytes after its end");
    if (type === "x" || type === "g") {
      if (extended || (type === "g" && entries > 1)) throw badArchive(name, "is an extension where none is expected");
      checkExtension(bytes.subarray(start, end), type);
      extended = type === "x";
      continue;
    }
    extended = false;
    if (type !== "0" && type !== "\0" && type !== "5")
      throw badArchive(name, `is ${KINDS[type] ?? "of an unknown kind"}`);
    const kind = type === "5" ? "folder" : "file";
    if (kind === "file" && (mode & 0o7000) !== 0)
      throw badArchive(name, "has a setuid, setgid or sticky bit", { expected: "none", actual: mode.toString(8) });
    if (kind === "folder" && size !== 0)
      throw badArchive(name, "is a folder with content", { expected: 0, actual: size });
    const path = book.take(name, kind);
    if (kind === "folder") continue;
    if (size > limits.fileBytes) throw archiveTooLarge(path, "bytes in one file", limits.fileBytes);
    if (files.length >= limits.files) throw archiveTooLarge(path, "files", limits.files);
    total += size;
    if (total > limits.totalBytes) throw archiveTooLarge(path, "bytes in all", limits.totalBytes);
    files.push({ path, executable: (mode & 0o100) !== 0, bytes: bytes.subarray(start, end) });
  }
  if (extended) throw badArchive("", "ends with an extension of nothing");
  if (!isEmpty(block(bytes, offset + BLOCK))) throw badArchive("", "has one empty block where two end it");
  if (!isEmpty(bytes.subarray(offset))) throw badArchive("", "has bytes after its end");
  return files;
}

interface Header {
  readonly name: string;
  readonly mode: number;
  readonly size: number;
  readonly type: string;
}

function readHeader(header: Uint8Array): Header {
  const magic = latin1(header.subarray(257, 265));
  const isUstar = magic === "ustar\x0000";
  if (!isUstar && magic !== "ustar  \0")
    throw badArchive("", "is no tar archive, or of an old kind", { expected: "ustar", actual: JSON.stringify(magic) });
  checkSum(header);
  const own = textOf(header.subarray(0, 100));
  const prefix = isUstar ? textOf(header.subarray(345, 500)) : "";
  const name = prefix === "" ? own : `${prefix}/${own}`;
  return {
    name,
    mode: octalOf(header.subarray(100, 108), name, "mode"),
    size: octalOf(header.subarray(124, 136), name, "size"),
    type: String.fromCharCode(header[156] ?? 0),
  };
}

function checkSum(header: Uint8Array): void {
  const expected = octalOf(header.subarray(148, 156), "", "checksum");
  let actual = 8 * 0x20;
  header.forEach((byte, index) => {
    if (index < 148 || index >= 156) actual += byte;
  });
  if (actual !== expected)
    throw badArchive("", "was altered or damaged: a header's checksum is wrong", { expected, actual });
}

/** Text up to the first NUL, after which there may be nothing. */
function textOf(field: Uint8Array): string {
  const end = field.indexOf(0);
  const text = end === -1 ? field : field.subarray(0, end);
  if (end !== -1 && !isEmpty(field.subarray(end))) throw badArchive(latin1(text), "has a NUL inside its name");
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(text);
  } catch (error) {
    throw badArchive(latin1(text), "has a name that is no UTF-8", { cause: error });
  }
}

/** Octal digits, ended by NUL or space. GNU's binary numbers are not taken: nothing here may be that large. */
function octalOf(field: Uint8Array, name: string, what: string): number {
  const text = latin1(field);
  const digits = /^ *([0-7]+)[ \0]*$/.exec(text)?.[1];
  if (digits === undefined)
    throw badArchive(name, `has a ${what} that is no octal number`, {
      expected: "octal digits",
      actual: JSON.stringify(text),
    });
  return Number.parseInt(digits, 8);
}

function block(bytes: Uint8Array, offset: number): Uint8Array {
  if (offset + BLOCK > bytes.length)
    throw badArchive("", "is cut off: its end is missing", {
      expected: `two empty blocks at ${offset}`,
      actual: `${bytes.length} bytes`,
    });
  return bytes.subarray(offset, offset + BLOCK);
}

function isEmpty(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}
