import { SallyportError } from "../../kernel/index.ts";
import type { ChainPage } from "../messages.ts";
import type { Connection } from "./connection.ts";

/** One row for many events: the driver's cost is by the value, not by the byte. */
const PAGE = `SELECT count(*), max(seq), group_concat(hash, ''), CAST(group_concat(body, char(10)) AS BLOB)
  FROM (SELECT seq, hash, body FROM audit_events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?)`;

/** The next events after `after` up to `upTo`; `null` when there are none. */
export function readPage(db: Connection, after: number, upTo: number, limit: number): ChainPage | null {
  const [row] = db.rows(PAGE, [after, upTo, limit]);
  const [count, last, hashes, bodies] = row ?? [];
  if (count === 0) return null;
  if (typeof count !== "number" || typeof last !== "number" || !(bodies instanceof Uint8Array)) {
    throw new SallyportError("store_unavailable", "The events cannot be read.", {
      detail: "A row of the audit is not text.",
    });
  }
  return { count, last, hashes: String(hashes), bodies };
}
