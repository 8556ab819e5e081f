import { type Kysely, sql } from "kysely";
import { SallyportError } from "../kernel/index.ts";
import { toWireStatement } from "./bind.ts";
import { GENESIS_HASH } from "./chain.ts";
import type { Schema } from "./schema.ts";
import type { ChainPage } from "./messages.ts";
import { type ChainReader, recompute } from "./recompute.ts";
import type { StoreThread } from "./thread-client.ts";
import type { Appended, ChainFilter, ChainHead, ChainRow, ChainStore } from "./types.ts";

const HASH_DIGITS = 64;

/** The event chain's port over the store's thread. */
export function createChainStore(db: Kysely<Schema>, thread: StoreThread): ChainStore {
  const read: ChainStore["read"] = (afterSeq, limit) =>
    rowsWithPrevious(db).where("e.seq", ">", afterSeq).orderBy("e.seq").limit(limit).execute();
  const reader: ChainReader = {
    head: async () => toHead(await thread.ask({ kind: "head" })),
    page: async (after, upTo, limit) => toPage(await thread.ask({ kind: "page", after, upTo, limit })),
    rows: read,
    async strays() {
      const query = db.selectFrom("audit_events").select((eb) => eb.fn.countAll<number>().as("count"));
      return (await query.where("seq", "<", 1).executeTakeFirstOrThrow()).count;
    },
  };
  return {
    async append(bodies, statements = []) {
      const wire = statements.map((statement) => toWireStatement(statement.query, statement.expect));
      return toAppended(await thread.ask({ kind: "append", text: bodies.join("\n"), statements: wire }));
    },
    async head() {
      const row = await db
        .selectFrom("audit_events")
        .select(["seq", "hash"])
        .orderBy("seq", "desc")
        .limit(1)
        .executeTakeFirst();
      return row ?? { seq: 0, hash: GENESIS_HASH };
    },
    read,
    async find(filter) {
      if (!needsIndex(filter)) return list(db, filter);
      await thread.ask({ kind: "index" });
      return find(db, filter);
    },
    recompute: () => recompute(reader),
    checkpoints: () => db.selectFrom("audit_checkpoints").selectAll().orderBy("seq").execute(),
    async addCheckpoint(checkpoint) {
      await db
        .insertInto("audit_checkpoints")
        .values({ ...checkpoint })
        .onConflict((conflict) => conflict.column("seq").doNothing())
        .execute();
    },
  };
}

function rowsWithPrevious(db: Kysely<Schema>) {
  return db
    .selectFrom("audit_events as e")
    .leftJoin("audit_events as p", (join) => join.on("p.seq", "=", sql<number>`e.seq - 1`))
    .select(["e.seq", "e.hash", "e.body"])
    .select((eb) => eb.fn.coalesce("p.hash", eb.val(GENESIS_HASH)).as("prevHash"));
}

function find(db: Kysely<Schema>, filter: ChainFilter): Promise<readonly ChainRow[]> {
  let query = rowsWithPrevious(db).innerJoin("audit_index as i", "i.seq", "e.seq");
  if (filter.callId !== undefined) query = query.where("i.call_id", "=", filter.callId);
  if (filter.pluginId !== undefined) query = query.where("i.plugin_id", "=", filter.pluginId);
  if (filter.tool !== undefined) query = query.where("i.tool", "=", filter.tool);
  if (filter.agent !== undefined) query = query.where("i.agent", "=", filter.agent);
  if (filter.type !== undefined) query = query.where("i.type", "=", filter.type);
  if (filter.outcome !== undefined) query = query.where("i.outcome", "=", filter.outcome);
  if (filter.since !== undefined) query = query.where("i.time", ">=", filter.since);
  if (filter.until !== undefined) query = query.where("i.time", "<=", filter.until);
  if (filter.afterSeq !== undefined) query = query.where("i.seq", ">", filter.afterSeq);
  return query.orderBy("i.seq", filter.order).limit(filter.limit).execute();
}

function needsIndex({ limit: _limit, order: _order, afterSeq: _afterSeq, ...conditions }: ChainFilter): boolean {
  return Object.values(conditions).some((condition) => condition !== undefined);
}

function list(db: Kysely<Schema>, filter: ChainFilter): Promise<readonly ChainRow[]> {
  return rowsWithPrevious(db)
    .where("e.seq", ">", filter.afterSeq ?? 0)
    .orderBy("e.seq", filter.order)
    .limit(filter.limit)
    .execute();
}

function toAppended(value: unknown): Appended {
  if (
    typeof value === "object" &&
    value !== null &&
    "firstSeq" in value &&
    "prevHash" in value &&
    "hashes" in value &&
    typeof value.hashes === "string"
  ) {
    const hashes: string[] = [];
    for (let at = 0; at < value.hashes.length; at += HASH_DIGITS) hashes.push(value.hashes.slice(at, at + HASH_DIGITS));
    return { firstSeq: Number(value.firstSeq), prevHash: String(value.prevHash), hashes };
  }
  throw outOfShape();
}

function toHead(value: unknown): ChainHead {
  if (typeof value === "object" && value !== null && "seq" in value && "hash" in value) {
    return { seq: Number(value.seq), hash: String(value.hash) };
  }
  throw outOfShape();
}

function toPage(value: unknown): ChainPage | null {
  if (value === null) return null;
  if (
    typeof value === "object" &&
    "bodies" in value &&
    value.bodies instanceof Uint8Array &&
    "count" in value &&
    "last" in value &&
    "hashes" in value
  ) {
    return { count: Number(value.count), last: Number(value.last), hashes: String(value.hashes), bodies: value.bodies };
  }
  throw outOfShape();
}

/** Our own thread's answer; the check is for a mix of program versions only. */
function outOfShape(): SallyportError {
  return new SallyportError("internal", "The store's thread answered out of shape.");
}
