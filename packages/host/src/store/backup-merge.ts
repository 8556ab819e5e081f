import { sql } from "kysely";
import type { ChainHead, Database } from "./types.ts";

/** Rows that one statement carries. */
const PAGE = 500;

/** How the audit of a backup and the one of the home that it goes into belong together. */
export interface ChainRelation {
  /** Whose chain is kept: the longer one, and of two that went apart the home's own. */
  readonly kept: "backup" | "home";
  /** The last event that both have; set when each has events that the other lacks. */
  readonly forkedAfter?: number;
}

/**
 * Brings what a home knows now into a copy of an older one, wherever an older word must not win: what was revoked, withdrawn,
 * answered or used up stays so, the audit is never cut, and nobody gets an old passphrase or an old index of a registry back.
 */
export async function mergeNewer(
  restored: Database,
  home: Database,
  keptSettings: readonly string[],
): Promise<ChainRelation> {
  await mergeRevocations(restored, home);
  await mergeGrants(restored, home);
  await mergeApprovals(restored, home);
  await mergeRegistries(restored, home);
  await mergeKeys(restored, home);
  await mergeSettings(restored, home, keptSettings);
  await replaceTokens(restored, home);
  await mergeAgents(restored, home);
  await replaceOverrides(restored, home);
  const relation = await relate(restored, home);
  if (relation.kept === "home") await replaceChain(restored, home);
  return relation;
}

async function mergeRevocations(restored: Database, home: Database): Promise<void> {
  for (const row of await home.query.selectFrom("revocations").selectAll().execute()) {
    // Of two the home's: it is the one that its audit tells of.
    await restored.query
      .insertInto("revocations")
      .values(row)
      .onConflict((conflict) => conflict.columns(["kind", "value"]).doUpdateSet({ ...row }))
      .execute();
  }
}

async function mergeGrants(restored: Database, home: Database): Promise<void> {
  const withdrawn = await home.query.selectFrom("grants").selectAll().where("withdrawn_at", "is not", null).execute();
  for (const { id, withdrawn_at, withdrawn_by } of withdrawn) {
    await restored.query
      .updateTable("grants")
      .set({ withdrawn_at, withdrawn_by, seal: null })
      .where("id", "=", id)
      .execute();
  }
}

async function mergeApprovals(restored: Database, home: Database): Promise<void> {
  const closed = ["denied", "expired", "cancelled", "consumed", "withdrawn"];
  for (const row of await home.query.selectFrom("approvals").selectAll().execute()) {
    const before = await restored.query
      .selectFrom("approvals")
      .select(["state", "uses_left"])
      .where("id", "=", row.id)
      .executeTakeFirst();
    if (before === undefined) {
      // One that is still open was given for what the home was; it has to be given again.
      if (closed.includes(row.state)) await restored.query.insertInto("approvals").values(row).execute();
    } else if (!closed.includes(before.state)) {
      await restored.query.updateTable("approvals").set(row).where("id", "=", row.id).execute();
    }
  }
}

async function mergeRegistries(restored: Database, home: Database): Promise<void> {
  for (const row of await home.query.selectFrom("registries").selectAll().execute()) {
    await restored.query
      .updateTable("registries")
      .set(row)
      .where("name", "=", row.name)
      .where(sql<boolean>`place IS ${row.place} AND public_key IS ${row.public_key}`)
      .where(sql<boolean>`coalesce(counter, -1) < ${row.counter ?? -1}`)
      .execute();
  }
}

/* Of a key that both know the home's word holds; one that was untrusted since is not trusted again by an old backup. */
async function mergeKeys(restored: Database, home: Database): Promise<void> {
  for (const row of await home.query.selectFrom("trusted_keys").selectAll().execute()) {
    await restored.query.updateTable("trusted_keys").set(row).where("id", "=", row.id).execute();
  }
  // Not by the index, which is filled behind the log.
  const events = await home.query
    .selectFrom("audit_events")
    .select([
      sql<string>`json_extract(body, '$.type')`.as("type"),
      sql<string | null>`json_extract(body, '$.data.key')`.as("key"),
    ])
    .where(sql<boolean>`json_extract(body, '$.type') IN ('key.trusted', 'key.untrusted')`)
    .orderBy("seq")
    .execute();
  const trusted = new Map<string, boolean>();
  for (const { type, key } of events) if (key !== null) trusted.set(key, type === "key.trusted");
  const untrusted = [...trusted].filter(([, isTrusted]) => !isTrusted).map(([key]) => key);
  if (untrusted.length > 0) await restored.query.deleteFrom("trusted_keys").where("id", "in", untrusted).execute();
}

async function mergeSettings(restored: Database, home: Database, keys: readonly string[]): Promise<void> {
  for (const row of await home.query.selectFrom("settings").selectAll().where("key", "in", keys).execute()) {
    await restored.query
      .insertInto("settings")
      .values(row)
      .onConflict((conflict) => conflict.column("key").doUpdateSet({ value: row.value }))
      .execute();
  }
}

/* A token that was made or revoked since is what the home says; one that only the backup knows opens nothing. */
async function replaceTokens(restored: Database, home: Database): Promise<void> {
  await restored.query.deleteFrom("tokens").execute();
  for (const row of await home.query.selectFrom("tokens").selectAll().execute()) {
    await restored.query.insertInto("tokens").values(row).execute();
  }
}

/* What the home says of an agent holds, and a tool that was disabled since stays so. */
async function mergeAgents(restored: Database, home: Database): Promise<void> {
  for (const row of await home.query.selectFrom("agents").selectAll().execute()) {
    await restored.query
      .insertInto("agents")
      .values(row)
      .onConflict((conflict) => conflict.column("name").doUpdateSet(row))
      .execute();
  }
  const events = await home.query
    .selectFrom("audit_events")
    .select([
      sql<string | null>`json_extract(body, '$.tool')`.as("tool"),
      sql<string | null>`json_extract(body, '$.data.change')`.as("change"),
    ])
    .where(sql<boolean>`json_extract(body, '$.type') = 'policy.changed'`)
    .where(sql<boolean>`json_extract(body, '$.data.list') = 'agents.enabled_tools'`)
    .orderBy("seq")
    .execute();
  const changes = new Map(events.flatMap(({ tool, change }) => (tool === null ? [] : [[tool, change] as const])));
  const enabled = new Set(
    (await home.query.selectFrom("enabled_tools").select("tool").execute()).map(({ tool }) => tool),
  );
  const disabled = [...changes].flatMap(([tool, change]) => (change === "removed" && !enabled.has(tool) ? [tool] : []));
  if (disabled.length > 0) await restored.query.deleteFrom("enabled_tools").where("tool", "in", disabled).execute();
}

/* What was added for a time, or taken back before its time, since the backup was made. */
async function replaceOverrides(restored: Database, home: Database): Promise<void> {
  await restored.query.deleteFrom("policy_overrides").execute();
  for (const row of await home.query.selectFrom("policy_overrides").selectAll().execute()) {
    await restored.query.insertInto("policy_overrides").values(row).execute();
  }
}

async function relate(restored: Database, home: Database): Promise<ChainRelation> {
  const [theirs, ours] = await Promise.all([restored.chain.head(), home.chain.head()]);
  const shared = Math.min(theirs.seq, ours.seq);
  const agree = async (seq: number): Promise<boolean> =>
    seq === 0 || (await hashAt(restored, seq)) === (await hashAt(home, seq));
  if (await agree(shared)) return { kept: theirs.seq > ours.seq ? "backup" : "home" };
  let [same, different] = [0, shared];
  while (different - same > 1) {
    const middle = (same + different) >> 1;
    if (await agree(middle)) same = middle;
    else different = middle;
  }
  return { kept: "home", forkedAfter: same };
}

async function hashAt(db: Database, seq: number): Promise<ChainHead["hash"] | undefined> {
  const row = await db.query.selectFrom("audit_events").select("hash").where("seq", "=", seq).executeTakeFirst();
  return row?.hash;
}

async function replaceChain(restored: Database, home: Database): Promise<void> {
  await restored.query.deleteFrom("audit_index").execute();
  await restored.query.deleteFrom("audit_checkpoints").execute();
  await restored.query.deleteFrom("audit_events").execute();
  for (let after = 0; ;) {
    const rows = await home.query
      .selectFrom("audit_events")
      .selectAll()
      .where("seq", ">", after)
      .orderBy("seq")
      .limit(PAGE)
      .execute();
    const last = rows.at(-1);
    if (last === undefined) break;
    await restored.query.insertInto("audit_events").values(rows).execute();
    after = last.seq;
  }
  for (const row of await home.query.selectFrom("audit_checkpoints").selectAll().execute()) {
    await restored.query.insertInto("audit_checkpoints").values(row).execute();
  }
}

/** For a home whose audit key did not come along: nobody can check what it signed. */
export async function forgetCheckpoints(db: Database): Promise<void> {
  await db.query.deleteFrom("audit_checkpoints").execute();
}
