import { gzipSync } from "node:zlib";

export interface TarEntry {
  readonly name: string | Uint8Array;
  readonly body?: string | Uint8Array;
  /** One character; "0" is a file. */
  readonly type?: string;
  readonly mode?: number;
  /** What the header says, when it is not the body's length. Text is written as it is. */
  readonly size?: number | string;
  readonly link?: string;
  readonly prefix?: string;
  readonly magic?: string;
  /** A wrong checksum. */
  readonly damaged?: boolean;
}

/** Bytes of one entry, as a hostile or a careless tar would write them. Nothing is checked. */
export function entry({ name, body = "", type = "0", mode = 0o644, size, link = "", ...more }: TarEntry): Buffer {
  const content = Buffer.from(body);
  const header = Buffer.alloc(512);
  header.set(Buffer.from(name).subarray(0, 100));
  header.write(`${octal(mode, 7)}\0${octal(0, 7)}\0${octal(0, 7)}\0`, 100, "latin1");
  header.write(typeof size === "string" ? size : `${octal(size ?? content.length, 11)}\0`, 124, "latin1");
  header.write(`${octal(0, 11)}\0`, 136, "latin1");
  header.write("        ", 148, "latin1");
  header.write(type, 156, "latin1");
  header.write(link, 157, "latin1");
  header.write(more.magic ?? "ustar\x0000", 257, "latin1");
  header.write(more.prefix ?? "", 345, "latin1");
  const sum = header.reduce((total, byte) => total + byte, 0) + (more.damaged === true ? 1 : 0);
  header.write(`${octal(sum, 6)}\0 `, 148, "latin1");
  return Buffer.concat([header, content, Buffer.alloc((512 - (content.length % 512)) % 512)]);
}

export const END = Buffer.alloc(1024);

export function tar(entries: readonly (TarEntry | Buffer)[]): Buffer {
  return Buffer.concat([...entries.map((item) => (Buffer.isBuffer(item) ? item : entry(item))), END]);
}

export function tgz(entries: readonly (TarEntry | Buffer)[]): Buffer {
  return gzipSync(tar(entries));
}

/** A record of a pax extension, with its own length in front. */
export function pax(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length++;
  return `${length}${rest}`;
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, "0");
}
