import { randomFillSync } from "node:crypto";

const POOL = Buffer.allocUnsafe(16 * 256);
let offset = POOL.length;

/** A fresh unguessable id: prefix, underscore, 128 random bits as hex (`call_9f…`). Random bytes are drawn in blocks. */
export function newId(prefix: string): string {
  if (offset === POOL.length) {
    randomFillSync(POOL);
    offset = 0;
  }
  offset += 16;
  return `${prefix}_${POOL.toString("hex", offset - 16, offset)}`;
}
