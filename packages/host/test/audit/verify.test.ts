import { sql } from "kysely";
import { describe, expect, it } from "vitest";
import { type OwnedAuditLog, verifyExport } from "../../src/audit/index.ts";
import { chainHash, type Database } from "../../src/store/index.ts";
import { fill, parse, temporaryLogs } from "./log-home.ts";

const logs = temporaryLogs();

/** A log of ten events, signed at its end, whose rows someone then changes behind its back. Answers the log as it opens afterwards. */
async function tampered(
  change: (db: Database) => Promise<void>,
  options: { readonly signed?: boolean } = {},
): Promise<OwnedAuditLog> {
  const { audit, database, directory } = await logs.fresh();
  await fill(audit, 10);
  if (options.signed ?? true) await audit.close();
  await change(database);
  await database.close();
  return (await logs.open(directory)).audit;
}

const run =
  (...statements: readonly string[]) =>
  async (db: Database) => {
    for (const statement of statements) await sql.raw(statement).execute(db.query);
  };
const setHash = (db: Database, seq: number, hash: string) =>
  db.query.updateTable("audit_events").set({ hash }).where("seq", "=", seq).execute();
const hashAt = async (db: Database, seq: number) => (await db.chain.read(seq - 1, 1))[0]?.hash ?? "";

/** Writes every hash from `seq` on anew, as someone without the signing key can. */
async function rehash(db: Database, from: number): Promise<void> {
  let previous = await hashAt(db, from - 1);
  for (const { seq, body } of await db.chain.read(from - 1, 1000)) {
    previous = chainHash(seq, previous, body);
    await setHash(db, seq, previous);
  }
}

const problemsOf = async (audit: OwnedAuditLog, head?: { seq: number; hash: string }) => {
  const verification = await audit.verify(head);
  expect(verification.ok).toBe(verification.problems.length === 0);
  return verification.problems.map(({ seq, problem }) => `${seq}: ${problem}`);
};

describe("verification", () => {
  it("accepts a log as it was written, empty or not", async () => {
    const empty = await logs.fresh();
    expect(await empty.audit.verify()).toEqual({ ok: true, events: 0, head: null, problems: [] });
    const audit = await tampered(async () => undefined);
    const verification = await audit.verify();
    expect(verification).toEqual({ ok: true, events: 10, head: await audit.head(), problems: [] });
    expect(await problemsOf(audit, await audit.head())).toEqual([]);
  });

  it("finds an edited event", async () => {
    const audit = await tampered(
      run(`UPDATE audit_events SET body = replace(body, 'agent:local', 'agent:other') WHERE seq = 4`),
    );
    expect(await problemsOf(audit)).toEqual([expect.stringMatching(/^4: the event's content/)]);
  });

  it("finds an edited hash", async () => {
    const audit = await tampered(run(`UPDATE audit_events SET hash = '${"a".repeat(64)}' WHERE seq = 4`));
    expect(await problemsOf(audit)).toEqual([expect.stringMatching(/^4: /), expect.stringMatching(/^5: /)]);
  });

  it("finds that one edit was repaired with a new hash", async () => {
    const audit = await tampered(async (db) => {
      await run("UPDATE audit_events SET body = '{}' WHERE seq = 4")(db);
      await setHash(db, 4, chainHash(4, await hashAt(db, 3), "{}"));
    });
    expect(await problemsOf(audit)).toEqual([expect.stringMatching(/^5: /)]);
  });

  it("finds deleted events", async () => {
    expect(await problemsOf(await tampered(run("DELETE FROM audit_events WHERE seq IN (4, 5)")))).toEqual([
      "4: events 4 to 5 are missing",
    ]);
  });

  it("finds a cut head", async () => {
    expect(await problemsOf(await tampered(run("DELETE FROM audit_events WHERE seq <= 3")))).toEqual([
      "1: events 1 to 3 are missing",
    ]);
  });

  it("finds that a deletion was closed up and numbered anew", async () => {
    const audit = await tampered(
      run("DELETE FROM audit_events WHERE seq = 4", "UPDATE audit_events SET seq = seq - 1 WHERE seq > 4"),
    );
    expect((await problemsOf(audit))[0]).toMatch(/^4: the event's content/);
  });

  it("finds swapped events", async () => {
    const audit = await tampered(
      run(
        "UPDATE audit_events SET seq = -1 WHERE seq = 4",
        "UPDATE audit_events SET seq = 4 WHERE seq = 5",
        "UPDATE audit_events SET seq = 5 WHERE seq = -1",
      ),
    );
    expect((await problemsOf(audit)).map((problem) => problem.slice(0, 2))).toEqual(["4:", "5:", "6:"]);
  });

  it("finds an inserted event", async () => {
    const audit = await tampered(async (db) => {
      await run(
        "UPDATE audit_events SET seq = seq + 100 WHERE seq > 4",
        "UPDATE audit_events SET seq = seq - 99 WHERE seq > 100",
      )(db);
      await run(`INSERT INTO audit_events VALUES (5, '${chainHash(5, await hashAt(db, 4), "{}")}', '{}')`)(db);
    });
    expect((await problemsOf(audit))[0]).toMatch(/^6: /);
  });

  it("finds an event before the first and one that hangs after a gap", async () => {
    const audit = await tampered(
      run(`INSERT INTO audit_events VALUES (0, '${"0".repeat(64)}', '{}'), (50, '${"0".repeat(64)}', '{}')`),
    );
    expect(await problemsOf(audit)).toEqual([expect.stringMatching(/^0: /), "11: events 11 to 49 are missing"]);
  });

  it("finds a cut end by the signed checkpoint", async () => {
    const audit = await tampered(run("DELETE FROM audit_events WHERE seq > 7"));
    expect(await problemsOf(audit)).toEqual([
      "10: events up to 10 were vouched for, but the log ends at 7; its end was cut",
    ]);
  });

  it("finds a rewritten log, every hash made anew, by the signed checkpoint", async () => {
    const audit = await tampered(async (db) => {
      await run("UPDATE audit_events SET body = '{}' WHERE seq = 4")(db);
      await rehash(db, 4);
    });
    expect(await problemsOf(audit)).toEqual([expect.stringMatching(/^10: event 10 has another hash/)]);
  });

  it("finds a checkpoint that this home did not sign", async () => {
    const audit = await tampered(async (db) => {
      await run("UPDATE audit_events SET body = '{}' WHERE seq = 4")(db);
      await rehash(db, 4);
      await run("UPDATE audit_checkpoints SET hash = (SELECT hash FROM audit_events WHERE seq = 10)")(db);
    });
    expect(await problemsOf(audit)).toEqual(["10: the checkpoint's signature is not by this home's key"]);
  });

  it("finds a cut end and a fork, without any checkpoint, by a head that was kept elsewhere", async () => {
    const whole = await tampered(async () => undefined, { signed: false });
    const { hash } = await whole.head();
    const cut = await tampered(run("DELETE FROM audit_events WHERE seq > 7"), { signed: false });
    expect(await problemsOf(cut)).toEqual([]);
    expect(await problemsOf(cut, { seq: 10, hash })).toEqual([
      expect.stringContaining("expected head: events up to 10"),
    ]);
    expect(await problemsOf(cut, { seq: 7, hash })).toEqual([expect.stringContaining("rewritten or forked")]);
  });

  it("finds what is changed while the log is open", async () => {
    const { audit, database } = await logs.fresh();
    await fill(audit, 10);
    await database.query.deleteFrom("audit_events").where("seq", ">", 8).execute();
    expect(await problemsOf(audit)).toEqual([expect.stringMatching(/^10: the newest event/)]);
  });

  it("lists at most a hundred problems and still counts every event", async () => {
    const { audit, database } = await logs.fresh();
    await fill(audit, 2500);
    await database.query.updateTable("audit_events").set({ body: "{}" }).where("seq", ">", 500).execute();
    const verification = await audit.verify();
    expect(verification).toMatchObject({ ok: false, events: 2500 });
    expect(verification.problems).toHaveLength(100);
    expect(verification.problems[0]).toMatchObject({ seq: 501 });
  });

  it("lets events in while it runs", async () => {
    const { audit } = await logs.fresh();
    await fill(audit, 3000);
    const order: string[] = [];
    const verified = audit.verify().then((verification) => {
      order.push("verified");
      return verification;
    });
    await audit
      .record({ v: 1, id: "x", time: 1, type: "host.started", actor: "host" })
      .then(() => order.push("recorded"));
    expect(await verified).toMatchObject({ ok: true });
    expect(order).toEqual(["recorded", "verified"]);
  });
});

describe("checkpoints", () => {
  it("are signed every so many events, and at the end", async () => {
    const { audit, database } = await logs.fresh({ checkpointEvery: 10 });
    for (let index = 0; index < 25; index++) await fill(audit, 1);
    await audit.close();
    expect((await database.chain.checkpoints()).map(({ seq }) => seq)).toEqual([10, 20, 25]);
    expect(await audit.verify()).toMatchObject({ ok: true });
  });
});

async function exported() {
  const { audit } = await logs.fresh();
  await fill(audit, 1200, (index) => ({ input: { index } }));
  const lines: string[] = [];
  for await (const line of audit.export()) lines.push(line);
  return { audit, lines };
}
const problems = async (lines: string[], key?: string) =>
  (await verifyExport(lines, key)).problems.map(({ seq, problem }) => `${seq}: ${problem}`);
const keyIn = (lines: string[]): string => String(parse(lines.at(-1))["public_key"]);

describe("an export", () => {
  it("verifies by itself and against the key", async () => {
    const { audit, lines } = await exported();
    expect(await verifyExport(lines, keyIn(lines))).toEqual({
      ok: true,
      events: 1200,
      head: await audit.head(),
      problems: [],
    });
  });

  it("shows every edit, deletion, swap, insertion, cut head and cut end", async () => {
    const { lines } = await exported();
    const changed = (change: (copy: string[]) => void): string[] => {
      const copy = [...lines];
      change(copy);
      return copy;
    };
    expect(await problems(changed((copy) => (copy[3] = (copy[3] ?? "").replace('"index":3', '"index":4'))))).toEqual([
      expect.stringMatching(/^4: the event's/),
    ]);
    expect(await problems(changed((copy) => copy.splice(3, 1)))).toEqual(["4: events 4 to 4 are missing"]);
    expect(await problems(changed((copy) => copy.splice(0, 2)))).toEqual(["1: events 1 to 2 are missing"]);
    expect((await problems(changed((copy) => copy.splice(3, 2, copy[4] ?? "", copy[3] ?? ""))))[0]).toMatch(/^4: /);
    expect((await problems(changed((copy) => copy.splice(3, 0, copy[2] ?? ""))))[0]).toMatch(/^4: /);
    expect(await problems(changed((copy) => copy.splice(1190, 10)))).toEqual([
      expect.stringContaining("the end was cut"),
    ]);
    expect(await problems(changed((copy) => copy.splice(1190)))).toEqual([
      expect.stringContaining("the signed head is missing"),
    ]);
    expect(await problems(changed((copy) => copy.push(copy[0] ?? "")))).toEqual([
      expect.stringContaining("after the signed head"),
    ]);
    expect(await problems(changed((copy) => copy.splice(3, 0, "nonsense")))).toEqual([
      expect.stringContaining("no event"),
    ]);
    expect(await problems([])).toEqual([expect.stringContaining("missing")]);
  });

  it("shows a head that someone else signed", async () => {
    const [mine, other] = [await exported(), await exported()];
    expect(await problems(other.lines, keyIn(mine.lines))).toEqual([
      expect.stringContaining("another key"),
      expect.stringContaining("signature is wrong"),
    ]);
    const forged = [...mine.lines.slice(0, -1), (mine.lines.at(-1) ?? "").replace(/"at":\d+/, '"at":1')];
    expect(await problems(forged)).toEqual([expect.stringContaining("signature is wrong")]);
  });
});
