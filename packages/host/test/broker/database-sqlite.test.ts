import { describe, expect, it } from "vitest";
import { COUNT_FOREVER, sqliteWorld } from "./database-support.ts";
import { lackingNote, needsNamespace } from "../support/namespace.ts";

describe(`SQLite${lackingNote}`, () => {
  needsNamespace();
  const { made, connection, asPlugin } = sqliteWorld();

  it("gives rows in a form that JSON carries without loss, whatever the columns are called", async () => {
    const { query } = asPlugin(made().file, "r");
    await expect(query("app", "SELECT * FROM people ORDER BY id")).resolves.toEqual({
      columns: ["id", "name", "photo", "height"],
      rows: [
        [1, "Ada", { base64: "AP8Q" }, 1.68],
        [{ integer: "9007199254740993" }, "Alan", null, { real: "Infinity" }],
      ],
      changes: 0,
      truncated: false,
    });
    const odd = await query("app", 'SELECT 1 AS a, 2 AS a, 3 AS "__proto__", 4 AS "\u202ex"');
    expect(odd).toMatchObject({ columns: ["a", "a", "__proto__", "\u202ex"], rows: [[1, 2, 3, 4]] });
    await expect(query("app", "SELECT 1 WHERE 0")).resolves.toMatchObject({ columns: ["1"], rows: [] });
  });

  it("binds parameters of every kind, and never reads them as SQL", async () => {
    const { query } = asPlugin(made().file, "rw");
    const params = [
      { integer: "-9223372036854775808" },
      "x'); DROP TABLE people; --",
      { base64: "AP8=" },
      { real: "-Infinity" },
    ];
    await query("app", "INSERT INTO people VALUES (?, ?, ?, ?)", params);
    const back = await query("app", "SELECT * FROM people WHERE name = ?", [params[1]]);
    expect(back.rows).toEqual([params]);
    await expect(query("app", "SELECT ?, ?, ?", [true, false, null])).resolves.toMatchObject({ rows: [[1, 0, null]] });
    await expect(query("app", "SELECT ?", [{ integer: "9223372036854775808" }])).rejects.toMatchObject({
      code: "usage",
    });
    await expect(query("app", "SELECT 1", ["one too many"])).rejects.toMatchObject({ code: "database_failed" });
  });

  it("changes rows under a grant of mode rw, as one transaction, and leaves nothing half done [S3-74]", async () => {
    const file = made();
    const { query, actions } = asPlugin(file.file, "rw");
    const inserted = await query(
      "app",
      "INSERT INTO people(id, name) VALUES (2, 'Grace'), (3, 'Mary') RETURNING id, name",
    );
    expect(inserted).toMatchObject({
      columns: ["id", "name"],
      rows: [
        [2, "Grace"],
        [3, "Mary"],
      ],
      changes: 2,
    });
    await expect(query("app", "UPDATE people SET height = 2")).resolves.toMatchObject({ rows: [], changes: 4 });
    await expect(query("app", "INSERT INTO people(name) VALUES ('Hedy'), ('Ada')")).rejects.toMatchObject({
      code: "database_failed",
      message: expect.stringContaining("UNIQUE"),
    });
    expect(file.rows("SELECT name FROM people WHERE name = 'Hedy'")).toEqual([]);
    expect(actions.map(({ method, outcome }) => [method, outcome])).toEqual([
      ["insert", "succeeded"],
      ["update", "succeeded"],
      ["insert", "failed"],
    ]);
  });

  it("refuses every change under a grant of mode r [S3-73]", async () => {
    const file = made();
    const before = file.rows("SELECT * FROM people");
    const { query, actions } = asPlugin(file.file, "r");
    const changes = [
      "INSERT INTO people(name) VALUES ('x')",
      "UPDATE people SET name = 'x'",
      "DELETE FROM people",
      "REPLACE INTO people(id, name) VALUES (1, 'x')",
      "WITH new(n) AS (SELECT 'x') INSERT INTO people(name) SELECT n FROM new RETURNING id",
      "/* SELECT */ -- SELECT\n INSERT INTO people(name) VALUES ('x')",
    ];
    for (const sql of changes) await expect(query("app", sql)).rejects.toMatchObject({ code: "permission_denied" });
    expect(file.rows("SELECT * FROM people")).toEqual(before);
    expect(actions).toHaveLength(changes.length);
    expect(new Set(actions.map(({ target, outcome }) => `${target} ${outcome}`))).toEqual(new Set(["app denied"]));
  });

  it("gives no more than the connection has, whatever was granted", async () => {
    const file = made();
    const { query } = asPlugin(file.file, "rw", { connections: [connection(file.file, "r")] });
    await expect(query("app", "DELETE FROM people")).rejects.toMatchObject({ code: "permission_denied" });
    await expect(query("app", "SELECT count(*) FROM people")).resolves.toMatchObject({ rows: [[2]] });
  });

  it("serves statements on rows and nothing else, even under a grant of mode rw", async () => {
    const file = made();
    const { query } = asPlugin(file.file, "rw");
    for (const sql of [
      "ATTACH '/etc/passwd' AS p",
      "DETACH main",
      "PRAGMA writable_schema = 1",
      "VACUUM INTO '/tmp/stolen.db'",
      "CREATE TABLE t(a)",
      "CREATE TEMP TABLE t(a)",
      "DROP TABLE people",
      "ALTER TABLE people ADD COLUMN x",
      "REINDEX",
      "ANALYZE",
      "BEGIN",
      "COMMIT",
      "SAVEPOINT s",
      "EXPLAIN SELECT 1",
      "\u017fELECT 1",
      "\u00a0PRAGMA user_version",
      "  -- nothing",
      "SELECT * FROM pragma_journal_mode",
      "SELECT load_extension('/tmp/x.so')",
      "SELECT fts3_tokenizer('simple')",
    ])
      await expect(query("app", sql), sql).rejects.toMatchObject({ code: "permission_denied" });
    await expect(query("app", "DELETE FROM sqlite_schema")).rejects.toMatchObject({ code: "database_failed" });
    expect(file.rows("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') ORDER BY name")).toEqual([
      { name: "names" },
      { name: "people" },
    ]);
  });

  it("takes one statement, and what hides a second one is refused", async () => {
    const { query } = asPlugin(made().file, "rw");
    await expect(query("app", "SELECT 1;  -- the end\n ;")).resolves.toMatchObject({ rows: [[1]] });
    for (const sql of [
      "SELECT 1; DELETE FROM people",
      "SELECT 1;/* */ DELETE FROM people",
      "SELECT 1; -- \n DELETE FROM people",
      "SELECT 1\0; DELETE FROM people",
      "SELECT ';' ; SELECT 2",
    ])
      await expect(query("app", sql)).rejects.toMatchObject({ code: "usage" });
    // What a reader of rows is wrapped into cannot be left by what is inside.
    await expect(query("app", "SELECT 1) SELECT sallyport_collect(1) FROM (SELECT 2")).rejects.toMatchObject({
      code: "database_failed",
    });
    await expect(query("app", "SELECT sallyport_collect(1)")).rejects.toMatchObject({ code: "database_failed" });
    await expect(query("app", "SELECT count(*) FROM people")).resolves.toMatchObject({ rows: [[2]] });
  });

  it("searches and changes tables for full-text search, and not what lies behind them", async () => {
    const { query } = asPlugin(made("CREATE VIRTUAL TABLE notes USING fts5(text)").file, "rw");
    await expect(query("app", "INSERT INTO notes VALUES ('hello there'), ('good bye')")).resolves.toMatchObject({
      changes: 2,
    });
    await expect(query("app", "SELECT text FROM notes WHERE notes MATCH ?", ["hello"])).resolves.toMatchObject({
      rows: [["hello there"]],
    });
    await expect(query("app", "UPDATE notes_data SET block = x'00'")).rejects.toMatchObject({
      code: "database_failed",
    });
  });

  it("tells how tables are made, to whoever asks by a table", async () => {
    const { query } = asPlugin(made().file, "r");
    const { rows } = await query("app", "SELECT name FROM pragma_table_info('people')");
    expect(rows.flat()).toEqual(["id", "name", "photo", "height"]);
    await expect(query("app", "SELECT count(*) FROM sqlite_schema")).resolves.toMatchObject({ rows: [[3]] });
  });

  it("cuts an answer at its caps and says so, without making the rest", async () => {
    const limits = { rows: 100, answerBytes: 10_000 };
    const { query } = asPlugin(made().file, "rw", { limits });
    const endless = await query("app", `${COUNT_FOREVER} SELECT x FROM n`);
    expect(endless).toMatchObject({ truncated: true });
    expect(endless.rows).toHaveLength(100);
    const wide = await query("app", `${COUNT_FOREVER} SELECT printf('%.*c', 1000, 'x') FROM n`);
    expect(wide.rows).toHaveLength(9);
    await expect(query("app", "SELECT zeroblob(10000000)")).resolves.toMatchObject({ rows: [], truncated: true });
    await expect(query("app", "SELECT length(zeroblob(1000000000))")).rejects.toMatchObject({
      code: "database_failed",
    });
    const returned = await query(
      "app",
      `INSERT INTO people(name) ${COUNT_FOREVER} SELECT x FROM n LIMIT 200 RETURNING id`,
    );
    expect(returned).toMatchObject({ truncated: true, changes: 200 });
    expect(returned.rows).toHaveLength(100);
  });

  it("tells a failure in the middle from the end", async () => {
    const { query } = asPlugin(made().file, "r");
    await expect(
      query("app", "SELECT abs(CASE id WHEN 1 THEN 1 ELSE -9223372036854775808 END) FROM people ORDER BY id"),
    ).rejects.toMatchObject({ code: "database_failed", message: expect.stringContaining("overflow") });
  });

  it("ends a statement that takes too long, and the next one works", async () => {
    const { query } = asPlugin(made().file, "rw", { limits: { queryMs: 700 } });
    await expect(query("app", `${COUNT_FOREVER} SELECT count(*) FROM n`)).rejects.toMatchObject({
      code: "deadline_exceeded",
    });
    await expect(query("app", "SELECT 1")).resolves.toMatchObject({ rows: [[1]] });
  });

  it("bounds the memory of a statement", async () => {
    const { query } = asPlugin(made().file, "r", { limits: { heapBytes: 1_000_000 } });
    await expect(query("app", `${COUNT_FOREVER} SELECT x FROM n ORDER BY -x`)).rejects.toMatchObject({
      code: "database_failed",
      message: expect.stringContaining("memory"),
    });
    await expect(query("app", "SELECT 1")).resolves.toMatchObject({ rows: [[1]] });
  });

  it("is refused without a grant, for a name that nobody gave, and where no kernel's walls are", async () => {
    const { query, actions } = asPlugin(made().file, "r");
    await expect(query("other", "SELECT 1")).rejects.toMatchObject({ code: "permission_denied" });
    const unknown = asPlugin(made().file, "r", { granted: [{ connection: "gone", mode: "r" }] });
    await expect(unknown.query("gone", "SELECT 1")).rejects.toMatchObject({ code: "not_found" });
    const open = asPlugin(made().file, "r", { level: "runtime" });
    await expect(open.query("app", "SELECT 1")).rejects.toMatchObject({ code: "isolation_unavailable" });
    expect(actions).toMatchObject([{ target: "other", outcome: "denied", reason: "permission_denied" }]);
  });

  it("keeps values out of the audit: name, kind, sizes and the digest of the statement", async () => {
    const { query, actions } = asPlugin(made().file, "r");
    await query("app", "SELECT name FROM people WHERE name = ? OR name = 'Alan Turing'", ["Ada Lovelace"]);
    expect(actions).toMatchObject([
      {
        capability: "database",
        target: "app",
        method: "select",
        outcome: "succeeded",
        callId: "call_1",
        data: { rows: 0, changes: 0, statement: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) },
      },
    ]);
    expect(JSON.stringify(actions)).not.toMatch(/Ada|Alan/);
  });

  it("gives no digest to try secrets against", async () => {
    const vault = { KEY: { value: "a secret in a statement", origins: [] } };
    const { query, actions } = asPlugin(made().file, "r", { vault });
    await query("app", "SELECT 'a secret in a statement'");
    await query("app", "SELECT '[secret KEY]'");
    expect(actions[0]?.data?.["statement"]).toBe(actions[1]?.data?.["statement"]);
  });

  it("bounds statements, parameters and the queue", async () => {
    const { query } = asPlugin(made().file, "r", { limits: { sqlBytes: 100, params: 2, paramBytes: 50, waiting: 1 } });
    await expect(query("app", `SELECT '${"x".repeat(100)}'`)).rejects.toMatchObject({ code: "limit_exceeded" });
    await expect(query("app", "SELECT 1", [1, 2, 3])).rejects.toMatchObject({ code: "limit_exceeded" });
    await expect(query("app", "SELECT ?", ["x".repeat(51)])).rejects.toMatchObject({ code: "limit_exceeded" });
    const both = await Promise.allSettled([query("app", "SELECT 1"), query("app", "SELECT 2")]);
    expect(both.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
  });
});
