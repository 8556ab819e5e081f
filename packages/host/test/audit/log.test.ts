import { sql } from "kysely";
import { describe, expect, it } from "vitest";
import type { StoredAuditEvent } from "../../src/audit/index.ts";
import { createSettings, deleteSetting, saveSetting } from "../../src/store/index.ts";
import { event, fill, temporaryLogs } from "./log-home.ts";

const logs = temporaryLogs();
const plugin = (id: string) => ({ id, version: "1.0.0", digest: "sha256:d" });

describe("recording", () => {
  it("keeps the order of everything that was said, recorded or noted", async () => {
    const { audit } = await logs.fresh();
    const ids = Array.from({ length: 300 }, (_, index) => `e${index}`);
    const recorded: Promise<void>[] = [];
    for (const [index, id] of ids.entries()) {
      if (index % 3 === 0) recorded.push(audit.record(event({ id })));
      else audit.note(event({ id }));
    }
    await Promise.all(recorded);
    await audit.flush();
    const found = await audit.query({ limit: 1000, order: "asc" });
    expect(found.map(({ id }) => id)).toEqual(ids);
    expect(found.map(({ seq }) => seq)).toEqual(ids.map((_, index) => index + 1));
    expect(found.slice(1).map(({ prev_hash }) => prev_hash)).toEqual(found.slice(0, -1).map(({ hash }) => hash));
    expect(found[0]?.prev_hash).toBe("0".repeat(64));
  });

  it("goes on with the chain after a restart", async () => {
    const first = await logs.fresh();
    await first.audit.record(event());
    await first.audit.close();
    await first.database.close();
    const { audit } = await logs.open(first.directory);
    await audit.record(event());
    expect(await audit.verify()).toMatchObject({ ok: true, events: 2 });
    expect(await audit.head()).toMatchObject({ seq: 2 });
  });

  it("keeps an event as it was stated, with and without every member", async () => {
    const { audit } = await logs.fresh();
    const stated = event({
      plugin: { id: "p", version: "1.0.0", digest: "sha256:d" },
      input: { "10": 1, "9": [null, "\u{1F600}\u0000"] },
      contained: false,
      scope: "read network:a:443",
    });
    await audit.record(stated);
    const [stored] = await audit.query({});
    expect(stored).toEqual({ ...stated, seq: 1, prev_hash: expect.any(String), hash: expect.any(String) });
  });

  it("tells readers of each event once it is durable, in order, until they stop", async () => {
    const { audit } = await logs.fresh();
    const seen: StoredAuditEvent[] = [];
    const stopFailing = audit.subscribe(() => {
      throw new Error("a reader's defect");
    });
    const stop = audit.subscribe((stored) => seen.push(stored));
    await fill(audit, 20, (index) => ({ id: `e${index}` }));
    await audit.commit([], [event({ id: "e20" })]);
    stop();
    stopFailing();
    await audit.record(event({ id: "e21" }));
    expect(seen).toEqual((await audit.query({ limit: 21, order: "asc" })).slice(0, 21));
  });
});

describe("a change of state with its events", () => {
  it("is one transaction, behind what was said before", async () => {
    const { audit, database } = await logs.fresh();
    audit.note(event({ id: "before" }));
    const committed = audit.commit([saveSetting("a", "1")], [event({ id: "one" }), event({ id: "two" })]);
    audit.note(event({ id: "after" }));
    await committed;
    await audit.flush();
    expect((await audit.query({ order: "asc" })).map(({ id }) => id)).toEqual(["before", "one", "two", "after"]);
    expect(await createSettings(database).get("a")).toBe("1");
  });

  it("leaves neither state nor event when the state is not as expected, and the log goes on", async () => {
    const { audit, database } = await logs.fresh();
    await audit.record(event());
    const unit = [saveSetting("a", "1"), { ...deleteSetting("missing"), expect: 1 }];
    await expect(audit.commit(unit, [event()])).rejects.toMatchObject({ code: "conflict" });
    expect(await createSettings(database).get("a")).toBeNull();
    expect(audit.healthy).toBe(true);
    await audit.record(event());
    expect(await audit.verify()).toMatchObject({ ok: true, events: 2 });
  });

  it("never happens without an event", async () => {
    const { audit, database } = await logs.fresh();
    await expect(audit.commit([saveSetting("a", "1")], [])).rejects.toMatchObject({ code: "internal" });
    expect(await createSettings(database).get("a")).toBeNull();
  });
});

describe("queries", () => {
  it("filter by every field, and by any of them together", async () => {
    const { audit } = await logs.fresh();
    await audit.commit(
      [],
      [
        event({ id: "a", time: 10, plugin: plugin("p"), agent: "x", tool: "p__t", call_id: "c1", outcome: "failed" }),
        event({
          id: "b",
          time: 20,
          plugin: plugin("p"),
          agent: "y",
          tool: "p__u",
          call_id: "c2",
          outcome: "succeeded",
        }),
        event({
          id: "c",
          time: 30,
          plugin: plugin("q"),
          agent: "x",
          tool: "q__t",
          call_id: "c2",
          type: "broker.action",
        }),
        event({ id: "d", time: 15, type: "host.stopped" }),
      ],
    );
    const ids = async (filter: Parameters<typeof audit.query>[0]) =>
      (await audit.query(filter)).map(({ id }) => id).join("");
    expect(await ids({})).toBe("dcba");
    expect(await ids({ order: "asc" })).toBe("abcd");
    expect(await ids({ plugin: "p" })).toBe("ba");
    expect(await ids({ agent: "x" })).toBe("ca");
    expect(await ids({ tool: "p__t" })).toBe("a");
    expect(await ids({ call: "c2" })).toBe("cb");
    expect(await ids({ outcome: "failed" })).toBe("a");
    expect(await ids({ type: "host.stopped" })).toBe("d");
    expect(await ids({ since: 15, until: 20 })).toBe("db");
    expect(await ids({ afterSeq: 2, order: "asc", limit: 1 })).toBe("c");
    expect(await ids({ plugin: "p", agent: "x", since: 11 })).toBe("");
  });

  it.each([0, 1001, 1.5, Number.NaN])("refuse a limit of %s", async (limit) => {
    const { audit } = await logs.fresh();
    await expect(audit.query({ limit })).rejects.toMatchObject({ code: "usage" });
  });
});

describe("a store that cannot be written", () => {
  it("refuses every later event, and keeps what was acknowledged", async () => {
    const { audit, database, directory } = await logs.fresh();
    await audit.record(event());
    const { rows } = await sql<{ page_count: number }>`PRAGMA page_count`.execute(database.query);
    await sql`PRAGMA max_page_count = ${sql.lit((rows[0]?.page_count ?? 0) + 2)}`.execute(database.query);
    let acknowledged = 1;
    const failure = await (async () => {
      for (;;) {
        await audit.record(event({ data: { a: "x".repeat(5000) } }));
        acknowledged += 1;
      }
    })().catch((error: unknown) => error);
    expect(failure).toMatchObject({
      code: "audit_unavailable",
      detail: expect.stringContaining("full"),
      fix: expect.any(String),
    });
    expect(audit.healthy).toBe(false);

    // Room alone does not bring it back: nothing may be acknowledged behind a hole.
    await sql`PRAGMA max_page_count = 1000000`.execute(database.query);
    await expect(audit.record(event())).rejects.toMatchObject({ code: "audit_unavailable" });
    await expect(audit.commit([saveSetting("a", "1")], [event()])).rejects.toMatchObject({ code: "audit_unavailable" });
    await expect(database.chain.append(["{}"])).rejects.toMatchObject({ code: "audit_unavailable" });
    await expect(audit.flush()).rejects.toMatchObject({ code: "audit_unavailable" });
    expect(await createSettings(database).get("a")).toBeNull();
    expect(await audit.verify()).toMatchObject({ ok: true, events: acknowledged });

    await database.close();
    const again = await logs.open(directory);
    await again.audit.record(event());
    expect(await again.audit.verify()).toMatchObject({ ok: true, events: acknowledged + 1 });
  });

  it("makes the log unhealthy through a note that nobody waits for", async () => {
    const { audit, database } = await logs.fresh();
    await database.close();
    audit.note(event());
    await expect(audit.flush()).rejects.toMatchObject({ code: "audit_unavailable" });
    expect(audit.healthy).toBe(false);
    await expect(audit.record(event())).rejects.toMatchObject({ code: "audit_unavailable" });
    await expect(audit.close()).rejects.toMatchObject({ code: "audit_unavailable" });
  });

  it("counts a full queue as a failure: nothing is dropped in silence", async () => {
    const { audit } = await logs.fresh({ queue: { maxWaiting: 10, maxBatch: 4, maxBatchBytes: 100_000 } });
    for (let index = 0; index < 11; index++) audit.note(event());
    await new Promise((turn) => setImmediate(turn));
    expect(audit.healthy).toBe(false);
    await expect(audit.record(event())).rejects.toMatchObject({ code: "audit_unavailable" });
  });
});
