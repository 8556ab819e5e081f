import type { ChainHead } from "../types.ts";
import type { Connection } from "./connection.ts";

const FILL = `INSERT INTO audit_index (seq, time, type, plugin_id, agent, tool, call_id, outcome)
  SELECT seq, json_extract(body, '$.time'), json_extract(body, '$.type'), json_extract(body, '$.plugin.id'),
    json_extract(body, '$.agent'), json_extract(body, '$.tool'), json_extract(body, '$.call_id'), json_extract(body, '$.outcome')
  FROM audit_events WHERE seq > ? AND seq <= ?`;

const IDLE_MS = 200;
/**
 * Events a step, at most; some 15 ms, then other requests are served. Call ids are random, so that a small step writes
 * a page an event and a large one a page for several: 400 a step cost twice as much an event.
 */
const STEP = 2000;
/** Over this backlog each append pays for some indexing too, so that a query waits for a second at most. */
const BACKLOG = 100_000;

export interface EventIndexer {
  /** To be called after each append: indexes when idle, or at once when far behind. */
  afterAppend(): void;
  /** To be called when a long reading goes on: idle work waits. */
  postpone(): void;
  /** Indexes up to the head of now, in steps. */
  catchUp(): Promise<void>;
  stop(): void;
}

/** Fills the query index behind the log, so that an append writes one row and no index. */
export function createIndexer(db: Connection, head: () => ChainHead): EventIndexer {
  let indexed = Number(db.rows("SELECT coalesce(max(seq), 0) FROM audit_index", [])[0]?.[0] ?? 0);
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  const step = (upTo: number): void => {
    const end = Math.min(indexed + STEP, upTo);
    if (end <= indexed) return;
    db.transaction(() => db.run({ sql: FILL, params: [indexed, end], expect: null }));
    indexed = end;
  };
  const whenIdle = (): void => {
    timer = undefined;
    if (stopped || indexed >= head().seq) return;
    try {
      step(head().seq);
    } catch {
      return; // A query will meet the same error and report it.
    }
    timer = setTimeout(whenIdle, 0);
  };
  const postpone = (): void => {
    clearTimeout(timer);
    timer = setTimeout(whenIdle, IDLE_MS);
  };
  return {
    afterAppend() {
      if (head().seq - indexed > BACKLOG) step(head().seq);
      postpone();
    },
    postpone,
    async catchUp() {
      const target = head().seq;
      for (;;) {
        if (stopped || indexed >= target) return;
        step(target);
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
