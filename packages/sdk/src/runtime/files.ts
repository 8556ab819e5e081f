import type { CallId } from "../protocol/v1/index.ts";
import type { Files } from "../plugin/index.ts";
import { fromBase64, toBase64 } from "./base64.ts";
import { joined } from "./bytes.ts";
import type { HostPort } from "./port.ts";

const PIECE_BYTES = 1024 * 1024;

export function createFiles(port: HostPort, call: CallId): Files {
  const read: Files["read"] = async (path, { offset = 0, length = Infinity } = {}) => {
    const pieces: Uint8Array[] = [];
    let total = 0;
    while (total < length) {
      const answer = await port.request("files.read", {
        call,
        path,
        offset: offset + total,
        length: Math.min(PIECE_BYTES, length - total),
      });
      const piece = fromBase64(answer.data);
      pieces.push(piece);
      total += piece.length;
      if (answer.done || piece.length === 0) break;
    }
    return pieces.length === 1 && pieces[0] ? pieces[0] : joined(pieces, total);
  };

  return {
    read,
    async readText(path) {
      return new TextDecoder().decode(await read(path));
    },
    async write(path, data, options) {
      const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
      const base = options?.offset ?? null;
      let written = 0;
      do {
        const offset = base === null && written === 0 ? null : (base ?? 0) + written;
        const piece = bytes.subarray(written, written + PIECE_BYTES);
        await port.request("files.write", { call, path, data: toBase64(piece), offset });
        written += piece.length;
      } while (written < bytes.length);
      return written;
    },
    async list(path) {
      const { entries } = await port.request("files.list", { call, path });
      return entries.map(({ name, kind, size, modified_ms }) => ({ name, kind, size, modified: modified_ms }));
    },
    async stat(path) {
      const found = await port.request("files.stat", { call, path });
      return found === null ? undefined : { kind: found.kind, size: found.size, modified: found.modified_ms };
    },
    async remove(path) {
      await port.request("files.remove", { call, path });
    },
    async mkdir(path) {
      await port.request("files.mkdir", { call, path });
    },
  };
}
