const PROGRAM_INTERPRETER = 3;

/**
 * The dynamic loader that a 64-bit little-endian ELF file names (`/lib64/ld-linux-x86-64.so.2`).
 * @param head the file's first bytes; 64 KiB are plenty.
 * @returns null when it is another kind of file or names none.
 */
export function elfInterpreter(head: Buffer): string | null {
  if (head.length < 64 || head.readUInt32BE(0) !== 0x7f454c46 || head[4] !== 2 || head[5] !== 1) return null;
  const table = Number(head.readBigUInt64LE(32));
  const entrySize = head.readUInt16LE(54);
  const count = head.readUInt16LE(56);
  for (let index = 0; index < count; index++) {
    const at = table + index * entrySize;
    if (at + 56 > head.length) return null;
    if (head.readUInt32LE(at) !== PROGRAM_INTERPRETER) continue;
    const start = Number(head.readBigUInt64LE(at + 8));
    const size = Number(head.readBigUInt64LE(at + 32));
    if (size < 2 || start + size > head.length) return null;
    return head.toString("latin1", start, start + size - 1);
  }
  return null;
}
