import { SallyportError } from "../../kernel/index.ts";
import { chainHash, GENESIS_HASH } from "../chain.ts";
import type { AppendAnswer, WireStatement } from "../messages.ts";
import type { ChainHead } from "../types.ts";
import type { Connection } from "./connection.ts";
import { fromDriver } from "./errors.ts";

const INSERT = "INSERT INTO audit_events (seq, hash, body) VALUES (?, ?, ?)";

/** Holds the head of the chain; nobody else computes a sequence number or a hash. */
export interface ChainWriter {
  readonly head: ChainHead;
  /** One transaction: the statements, then one event a line of `text`. */
  append(text: string, statements: readonly WireStatement[]): AppendAnswer;
}

export function openChain(db: Connection): ChainWriter {
  let head = readHead(db);
  let broken = false;
  const insert = db.prepare(INSERT);
  return {
    get head() {
      return head;
    },
    append(text, statements) {
      if (broken) throw unavailable(null);
      const bodies = text.split("\n");
      const hashes: string[] = [];
      let { seq, hash } = head;
      const firstSeq = seq + 1;
      const prevHash = hash;
      let refusable = true;
      try {
        db.transaction(() => {
          for (const statement of statements) db.run(statement);
          refusable = false;
          for (const body of bodies) {
            seq += 1;
            hash = chainHash(seq, hash, body);
            hashes.push(hash);
            insert([seq, hash, body]);
          }
        });
      } catch (error) {
        // A refused state change leaves the chain as it was. Anything else may be a disk that lies: no further event
        // is taken, so that nothing is acknowledged behind a hole.
        if (refusable && error instanceof SallyportError && error.code === "conflict") throw error;
        broken = true;
        throw unavailable(fromDriver(error));
      }
      head = { seq, hash };
      return { firstSeq, prevHash, hashes: hashes.join("") };
    },
  };
}

function readHead(db: Connection): ChainHead {
  const [row] = db.rows("SELECT seq, hash FROM audit_events ORDER BY seq DESC LIMIT 1", []);
  return row ? { seq: Number(row[0]), hash: String(row[1]) } : { seq: 0, hash: GENESIS_HASH };
}

function unavailable(cause: unknown): SallyportError {
  return new SallyportError("audit_unavailable", "The audit cannot be written.", {
    detail:
      cause instanceof SallyportError
        ? (cause.detail ?? cause.message)
        : "It could not be written earlier, and takes nothing more until a restart.",
    fix: "Free disk space or mend the store, then start again.",
    cause,
  });
}
