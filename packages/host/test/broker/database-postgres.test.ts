import { createServer, type Socket } from "node:net";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { askStatement } from "../../src/broker/database-postgres-query.ts";
import { DATABASE_LIMITS, type PostgresConnection } from "../../src/broker/database-types.ts";
import { plugin, type Setting } from "./database-support.ts";
import { type PostgresServer, startPostgres } from "./postgres-server.ts";

const CA = fileURLToPath(new URL("./fixtures/ca.pem", import.meta.url));
/** PostgreSQL needs no walls of this machine. */
const NO_MACHINE: Setting["machine"] = {
  engine: { deno: "", runner: "", jail: "" },
  tools: { bwrap: null },
  available: [],
  hostIsRoot: false,
  forbiddenPaths: [],
};
const HUGE = "SELECT repeat('x', 20000000)";
const TABLES = `CREATE TABLE people(id bigint PRIMARY KEY, name text UNIQUE, photo bytea, height float8, born date, facts jsonb, worth numeric(12,2));
  INSERT INTO people VALUES (1, 'Ada', '\\x00ff10', 1.68, '1815-12-10', '{"a": 1}', 10.5), (9007199254740993, 'Alan', NULL, 'Infinity', NULL, NULL, NULL)`;
const ROLES = `CREATE ROLE reader LOGIN PASSWORD 'password of reader'; GRANT SELECT ON people TO reader;
  CREATE ROLE writer LOGIN PASSWORD 'password of writer'; GRANT SELECT, INSERT, UPDATE, DELETE ON people TO writer`;

describe("PostgreSQL", () => {
  let server: PostgresServer;
  const sessions: { close(): void }[] = [];
  beforeAll(async () => {
    server = await startPostgres();
    await server.admin(`${TABLES}; ${ROLES}`);
  }, 60_000);
  afterAll(() => server.stop());
  afterEach(() => {
    for (const session of sessions.splice(0)) session.close();
  });

  const to = (user: string, mode: "r" | "rw", more: Partial<PostgresConnection> = {}): PostgresConnection => ({
    kind: "postgres",
    name: "crm",
    host: "127.0.0.1",
    port: server.port,
    database: "postgres",
    user,
    passwordSecret: "CRM_PASSWORD",
    mode,
    ...more,
  });
  const asPlugin = (connection: PostgresConnection, mode: "r" | "rw" = "rw", more: Partial<Setting> = {}) => {
    const value = `password of ${connection.user}`;
    const asked = plugin({
      machine: NO_MACHINE,
      connections: [connection],
      granted: [{ connection: "crm", mode }],
      vault: { CRM_PASSWORD: { value, origins: [`postgres://127.0.0.1:${server.port}`] } },
      ...more,
    });
    sessions.push(asked.session);
    return asked;
  };
  const reader = (more: Partial<Setting> = {}) => asPlugin(to("reader", "r"), "r", more);
  const writer = (more: Partial<Setting> = {}) => asPlugin(to("writer", "rw"), "rw", more);

  it("gives rows in a form that JSON carries without loss, and binds parameters of every kind", async () => {
    const { query } = reader();
    await expect(query("crm", "SELECT * FROM people ORDER BY id")).resolves.toEqual({
      columns: ["id", "name", "photo", "height", "born", "facts", "worth"],
      rows: [
        [1, "Ada", { base64: "AP8Q" }, 1.68, "1815-12-10", '{"a": 1}', "10.50"],
        [{ integer: "9007199254740993" }, "Alan", null, { real: "Infinity" }, null, null, null],
      ],
      changes: 0,
      truncated: false,
    });
    const params = [true, { integer: "9007199254740993" }, { base64: "AAEC" }, null, "x'); --", { real: "NaN" }];
    const sql = "SELECT $1::bool, $2::bigint, $3::bytea, $4::int, $5::text, $6::float8";
    await expect(query("crm", sql, params)).resolves.toMatchObject({ rows: [params] });
    await expect(query("crm", 'SELECT 1 a, 2 a, 3 "__proto__"')).resolves.toMatchObject({
      columns: ["a", "a", "__proto__"],
    });
    await expect(query("crm", "SELECT $1::int", [1, 2])).rejects.toMatchObject({ code: "database_failed" });
  });

  it("changes rows under a grant of mode rw, and nothing under one of mode r [S3-73] [S3-74]", async () => {
    const { query } = writer();
    const inserted = await query("crm", "INSERT INTO people(id, name) VALUES ($1, $2) RETURNING name", [2, "Grace"]);
    expect(inserted).toMatchObject({ rows: [["Grace"]], changes: 1 });
    await expect(query("crm", "INSERT INTO people(id, name) VALUES (3, 'Mary'), (4, 'Ada')")).rejects.toMatchObject({
      code: "database_failed",
    });
    await expect(query("crm", "DELETE FROM people WHERE id IN (2, 3)")).resolves.toMatchObject({
      rows: [],
      changes: 1,
    });
    const reading = reader();
    for (const sql of [
      "INSERT INTO people(id) VALUES (9)",
      "WITH new AS (INSERT INTO people(id) VALUES (9) RETURNING id) SELECT id FROM new",
      "UPDATE people SET name = 'x'",
      "DELETE FROM people",
      "MERGE INTO people p USING (VALUES (1)) v(id) ON p.id = v.id WHEN MATCHED THEN DELETE",
      "SELECT id INTO stolen FROM people",
      "SELECT * FROM people FOR UPDATE",
      "SELECT lo_create(0)",
    ])
      await expect(reading.query("crm", sql), sql).rejects.toMatchObject({ code: "permission_denied" });
    const { rows } = await server.admin("SELECT count(*)::int AS n FROM people");
    expect(rows).toEqual([{ n: 2 }]);
  });

  it("lets no transaction being read-only stand for a right: the role itself has none", async () => {
    const { rows } = await server.admin(
      "SELECT has_table_privilege('reader', 'people', 'INSERT, UPDATE, DELETE, TRUNCATE') AS may",
    );
    expect(rows).toEqual([{ may: false }]);
    // A role with the right is not used to read, however read-only the transaction would be.
    const { query } = asPlugin(to("writer", "r"), "r");
    await expect(query("crm", "SELECT 1")).rejects.toMatchObject({
      code: "permission_denied",
      detail: expect.stringContaining("may change tables: public.people"),
    });
  });

  it("does not serve what is not about rows, and finds no way around", async () => {
    const { query } = writer();
    for (const sql of [
      "COPY people TO PROGRAM 'id'",
      "COPY people TO STDOUT",
      "BEGIN",
      "COMMIT",
      "SET ROLE postgres",
      "SET SESSION AUTHORIZATION postgres",
      "RESET ROLE",
      "DO $$ BEGIN END $$",
      "CALL x()",
      "LISTEN x",
      "LOCK people",
      "PREPARE x AS SELECT 1",
      "EXECUTE x",
      "DECLARE c CURSOR FOR SELECT 1",
      "EXPLAIN ANALYZE DELETE FROM people",
      "CREATE TABLE t()",
      "VACUUM",
      "DISCARD ALL",
      "SELECT pg_read_file('/etc/passwd')",
      "SELECT pg_ls_dir('/')",
      "SELECT lo_export(1, '/tmp/stolen')",
      "SELECT lo_import('/etc/passwd')",
      "SELECT set_config('role', 'postgres', false)",
    ])
      await expect(query("crm", sql), sql).rejects.toMatchObject({ code: "permission_denied" });
    for (const sql of [
      "SELECT 1; DELETE FROM people",
      "SELECT set_config('session_authorization', 'postgres', false)",
      "SELECT dblink('host=127.0.0.1', 'SELECT 1')",
      "/* /* */ DELETE FROM people */ SELECT 1",
    ])
      await expect(query("crm", sql), sql).rejects.toMatchObject({
        code: expect.stringMatching(/^(database_failed|permission_denied|usage)$/),
      });
    await expect(query("crm", "(SELECT 1) UNION (SELECT 2) ORDER BY 1")).resolves.toMatchObject({ rows: [[1], [2]] });
    await expect(query("crm", "SELECT count(*) FROM people")).resolves.toMatchObject({ rows: [[2]] });
  });

  it("makes and removes no tables for a role that may, however the statement is written", async () => {
    await server.admin(`CREATE ROLE owning LOGIN PASSWORD 'password of owning'; CREATE SCHEMA owned AUTHORIZATION owning;
      CREATE TABLE owned.kept(id int); ALTER TABLE owned.kept OWNER TO owning`);
    const { query } = asPlugin(to("owning", "rw"));
    for (const [sql, code] of [
      // Read in two ways: here comments nest, and end at a carriage return.
      ["/*/*/ SELECT 1 */ */ DROP TABLE owned.kept", "usage"],
      ["--\rDROP TABLE IF EXISTS --\ninsert, owned.kept", "usage"],
      ["--\rCREATE TABLE owned.made AS --\nSELECT 1", "usage"],
      ["SELECT 1 AS id INTO owned.made", "permission_denied"],
      ["SELECT 1 AS id INTO TEMP made", "permission_denied"],
      ["WITH one AS (SELECT 1 AS id) SELECT id INTO owned.made FROM one", "permission_denied"],
    ] as const)
      await expect(query("crm", sql), sql).rejects.toMatchObject({ code });
    const client = new pg.Client({ ...to("owning", "rw"), password: "password of owning" });
    await client.connect();
    for (const sql of [
      "DROP TABLE owned.kept",
      "CREATE TABLE owned.made AS SELECT 1",
      "COPY owned.kept TO STDOUT",
      "LISTEN x",
    ]) {
      await client.query("BEGIN");
      await expect(askStatement(client, { sql, params: [] }, DATABASE_LIMITS), sql).rejects.toMatchObject({
        code: "permission_denied",
      });
      await client.query("ROLLBACK");
    }
    await client.end();
    await expect(query("crm", "SELECT FROM owned.kept")).resolves.toMatchObject({ columns: [], rows: [] });
    const { rows } = await server.admin("SELECT relname FROM pg_class WHERE relnamespace = 'owned'::regnamespace");
    expect(rows).toEqual([{ relname: "kept" }]);
  });

  it("leaves nothing of a session behind: locks, settings, prepared statements", async () => {
    const { query } = writer();
    const { rows: first } = await query("crm", "SELECT pg_backend_pid()");
    await query("crm", "SELECT pg_advisory_lock(n) FROM generate_series(1, 100) n");
    await query(
      "crm",
      "SELECT set_config('search_path', 'nowhere', false), set_config('statement_timeout', '0', false)",
    );
    const { rows: left } = await query(
      "crm",
      `SELECT pg_backend_pid(), current_setting('search_path'), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'),
        (SELECT count(*) FROM pg_prepared_statements)`,
    );
    expect(left).toEqual([[first[0]?.[0], '"$user", public', 0, 0]]);
  });

  it("cuts an answer at its caps and says so, and does not take in the rest", async () => {
    const limits = { rows: 100, answerBytes: 10_000 };
    const { query } = reader({ limits });
    const endless = await query("crm", "SELECT generate_series(1, 1000000000)");
    expect(endless).toMatchObject({ truncated: true });
    expect(endless.rows).toHaveLength(100);
    const wide = await query("crm", "SELECT repeat('x', 1000) FROM generate_series(1, 1000)");
    expect(wide).toMatchObject({ truncated: true });
    expect(wide.rows).toHaveLength(9);
    // One row that is larger than all that may be under way: nobody waits for its end.
    const { rows: session } = await query("crm", "SELECT pg_backend_pid()");
    await expect(query("crm", HUGE)).resolves.toMatchObject({ rows: [], truncated: true });
    await expect(query("crm", "SELECT pg_backend_pid()")).resolves.not.toMatchObject({ rows: session });
    const writing = writer({ limits });
    const flood = `WITH gone AS (DELETE FROM people RETURNING id) ${HUGE} FROM gone`;
    await expect(writing.query("crm", flood)).rejects.toMatchObject({ code: "limit_exceeded" });
    await expect(writing.query("crm", "SELECT count(*) FROM people")).resolves.toMatchObject({ rows: [[2]] });
  });

  it("ends a statement that takes too long or whose call is over, here and at the server", async () => {
    const { query } = reader({ limits: { queryMs: 1_000 } });
    await expect(query("crm", "SELECT pg_sleep(60)")).rejects.toMatchObject({ code: "deadline_exceeded" });
    await expect(query("crm", "SELECT 1")).resolves.toMatchObject({ rows: [[1]] });
    await expect.poll(sleepers, { timeout: 10_000 }).toEqual([]);
    const ending = new AbortController();
    const { session, context } = writer();
    const sql = "WITH gone AS (DELETE FROM people RETURNING id) SELECT pg_sleep(60) FROM gone";
    const asked = session.handle(
      "database.query",
      { call: "call_1", connection: "crm", sql, params: [] },
      context,
      ending.signal,
    );
    const refused = expect(asked).rejects.toMatchObject({ code: "cancelled" });
    await expect.poll(sleepers, { timeout: 10_000 }).toHaveLength(1);
    ending.abort();
    await refused;
    await expect.poll(sleepers, { timeout: 10_000 }).toEqual([]);
    await expect(query("crm", "SELECT count(*) FROM people")).resolves.toMatchObject({ rows: [[2]] });
  });

  it("runs nothing more on a connection that was closed, neither what runs nor what waits", async () => {
    const { databases, query } = writer();
    const link = databases.open(to("writer", "rw"), "rw");
    const asked = ["SELECT pg_sleep(60)", "DELETE FROM people"].map((sql) =>
      link.query({ sql, params: [] }, new AbortController().signal),
    );
    const over = Promise.allSettled(asked);
    await expect.poll(sleepers).toHaveLength(1);
    link.close();
    expect(await over).toMatchObject(asked.map(() => ({ reason: { code: "cancelled" } })));
    await expect.poll(sleepers, { timeout: 10_000 }).toEqual([]);
    await expect(query("crm", "SELECT count(*) FROM people")).resolves.toMatchObject({ rows: [[2]] });
  });

  const sleepers = async () =>
    (
      await server.admin(
        "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()",
      )
    ).rows;

  it.each([
    ["without TLS", undefined],
    ["over TLS", { caFile: CA }],
  ])("ends at the server also a statement that took the server's timeouts away, %s", async (_how, tls) => {
    const off = ["statement_timeout", "client_connection_check_interval"].map(
      (name) => `set_config('${name}', '0', false)`,
    );
    // What is set holds from the next page of rows on.
    const sql = `SELECT CASE WHEN n = 1 THEN ${off.join(" || ")} WHEN n = 401 THEN pg_sleep(60)::text END FROM generate_series(1, 500) n`;
    const { query } = asPlugin(to("reader", "r", { ...(tls && { tls }) }), "r", { limits: { queryMs: 500 } });
    await expect(query("crm", sql)).rejects.toMatchObject({ code: "deadline_exceeded" });
    await expect.poll(sleepers, { timeout: 10_000 }).toEqual([]);
  });

  it("goes on after its session was ended by the server, and gives up as busy on a lock", async () => {
    const { query } = writer({ limits: { busyMs: 100 } });
    await expect(query("crm", "SELECT pg_terminate_backend(pg_backend_pid())")).rejects.toMatchObject({
      code: "database_failed",
    });
    await expect(query("crm", "SELECT 1")).resolves.toMatchObject({ rows: [[1]] });
    await server.admin("BEGIN; LOCK people IN ACCESS EXCLUSIVE MODE");
    await expect(query("crm", "SELECT count(*) FROM people")).rejects.toMatchObject({ code: "busy" });
    await server.admin("COMMIT");
  });

  it("looks at what the role may do before it is used, again when it gained a right since", async () => {
    await server.admin(`CREATE ROLE growing LOGIN PASSWORD 'password of growing'; GRANT SELECT ON people TO growing`);
    const connection = to("growing", "r");
    const { databases, query, session } = asPlugin(connection, "r");
    await expect(databases.check(connection)).resolves.toMatchObject({ ok: true, problems: [] });
    await expect(query("crm", "SELECT 1")).resolves.toMatchObject({ rows: [[1]] });
    session.close();
    const gains: readonly (readonly [string, string, RegExp])[] = [
      [
        "GRANT UPDATE (name) ON people TO growing",
        "REVOKE UPDATE (name) ON people FROM growing",
        /change tables: public\.people/,
      ],
      ["GRANT INSERT ON people TO PUBLIC", "REVOKE INSERT ON people FROM PUBLIC", /change tables: public\.people/],
      ["GRANT writer TO growing WITH INHERIT FALSE", "REVOKE writer FROM growing", /change tables: public\.people/],
      ["GRANT CREATE ON SCHEMA public TO growing", "REVOKE CREATE ON SCHEMA public FROM growing", /schemas: public/],
      [
        "GRANT CREATE ON DATABASE postgres TO growing",
        "REVOKE CREATE ON DATABASE postgres FROM growing",
        /schemas in the database/,
      ],
      ["CREATE SEQUENCE s; GRANT USAGE ON SEQUENCE s TO growing", "DROP SEQUENCE s", /sequences: public\.s/],
      ["GRANT pg_write_all_data TO growing", "REVOKE pg_write_all_data FROM growing", /change tables/],
      [
        "GRANT pg_read_server_files TO growing",
        "REVOKE pg_read_server_files FROM growing",
        /beyond rows: pg_read_server_files/,
      ],
      [
        "GRANT EXECUTE ON FUNCTION pg_read_file(text) TO growing",
        "REVOKE EXECUTE ON FUNCTION pg_read_file(text) FROM growing",
        /pg_read_file/,
      ],
      ["ALTER ROLE growing CREATEROLE", "ALTER ROLE growing NOCREATEROLE", /rights over the server/],
      ["ALTER ROLE growing SUPERUSER", "ALTER ROLE growing NOSUPERUSER", /rights over the server/],
      ["CREATE EXTENSION dblink", "DROP EXTENSION dblink", /leave the database.*dblink/],
      [
        `CREATE EXTENSION dblink; ALTER FUNCTION dblink(text) SET SCHEMA pg_catalog;
          REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC`,
        "DROP EXTENSION dblink",
        /leave the database.*dblink/,
      ],
      [
        "CREATE FUNCTION wipe() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'DELETE FROM people'",
        "DROP FUNCTION wipe()",
        /owner's rights.*wipe\(\)/,
      ],
    ];
    await server.admin("GRANT DELETE ON people TO growing");
    const later = asPlugin(connection, "r");
    await expect(later.query("crm", "SELECT 1")).rejects.toMatchObject({ code: "permission_denied" });
    await server.admin("REVOKE DELETE ON people FROM growing");
    for (const [gain, loss, expected] of gains) {
      await server.admin(gain);
      const { ok, problems } = await databases.check(connection);
      expect([ok, problems.map(({ problem }) => problem).join(" ")], gain).toEqual([
        false,
        expect.stringMatching(expected),
      ]);
      await server.admin(loss);
    }
    await expect(databases.check(connection)).resolves.toMatchObject({ ok: true });
  });

  it("is fooled by no function, operator or table that is called like the server's own", async () => {
    await server.admin(`CREATE SCHEMA trap; GRANT USAGE ON SCHEMA trap TO writer;
      CREATE FUNCTION trap.has_table_privilege(oid, oid, text) RETURNS boolean LANGUAGE sql AS 'SELECT false';
      CREATE FUNCTION trap.never(name, name) RETURNS boolean LANGUAGE sql AS 'SELECT false';
      CREATE OPERATOR trap.<> (FUNCTION = trap.never, LEFTARG = name, RIGHTARG = name);
      CREATE TABLE trap.pg_class(x int); ALTER ROLE writer SET search_path = trap, pg_catalog, public`);
    const { query } = asPlugin(to("writer", "r"), "r");
    await expect(query("crm", "SELECT 1")).rejects.toMatchObject({ code: "permission_denied" });
    await server.admin("ALTER ROLE writer RESET search_path; DROP SCHEMA trap CASCADE");
  });

  it("logs in with the password of the vault, which is bound to this server, and tells nobody", async () => {
    const { query, actions } = reader();
    await query("crm", "SELECT 1");
    expect(actions).toMatchObject([{ secrets: ["CRM_PASSWORD"], outcome: "succeeded" }]);
    expect(JSON.stringify(actions)).not.toContain("password of");
    const elsewhere = { value: "password of reader", origins: ["postgres://db.example.com:5432"] };
    const bound = reader({ vault: { CRM_PASSWORD: elsewhere } });
    await expect(bound.query("crm", "SELECT 1")).rejects.toMatchObject({ code: "secret_misuse" });
    await expect(reader({ vault: {} }).query("crm", "SELECT 1")).rejects.toMatchObject({ code: "secret_missing" });
    const origins = [`postgres://127.0.0.1:${server.port}`];
    const wrong = reader({ vault: { CRM_PASSWORD: { value: "wrong password", origins } } });
    await expect(wrong.query("crm", "SELECT 1")).rejects.toMatchObject({ code: "database_failed" });
  });

  it("verifies the server by TLS, with the operator's authority and no other", async () => {
    const tls = { caFile: CA };
    const { query, databases } = asPlugin(to("reader", "r", { tls }), "r");
    await expect(query("crm", "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")).resolves.toMatchObject({
      rows: [[true]],
    });
    expect((await databases.check(to("reader", "r", { tls }))).facts).toContainEqual(expect.stringContaining("TLS"));
    const plain = asPlugin(to("reader", "r", { tls: {} }), "r");
    await expect(plain.query("crm", "SELECT 1")).rejects.toMatchObject({ code: "database_failed" });
    // By another name the server is another one.
    const vault = { CRM_PASSWORD: { value: "password of reader", origins: [`postgres://localhost:${server.port}`] } };
    const renamed = asPlugin(to("reader", "r", { tls, host: "localhost" }), "r", { vault });
    await expect(renamed.query("crm", "SELECT 1")).rejects.toMatchObject({ code: "database_failed" });
  });

  it("says that a server is gone, or silent, in time and without its address", async () => {
    const silent = createServer((socket: Socket) => void socket.on("error", () => undefined).resume()).listen(
      0,
      "127.0.0.1",
    );
    await once(silent, "listening");
    const address = silent.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const origins = [`postgres://127.0.0.1:${port}`];
    const more = { vault: { CRM_PASSWORD: { value: "password", origins } }, limits: { connectMs: 200 } };
    const quiet = asPlugin(to("reader", "r", { port }), "r", more);
    await expect(quiet.query("crm", "SELECT 1")).rejects.toMatchObject({ code: "database_failed" });
    silent.close();
    await once(silent, "close");
    const gone = await quiet.query("crm", "SELECT 1").catch((error: unknown) => error);
    expect(gone).toMatchObject({ code: "database_failed" });
    expect(JSON.stringify([gone instanceof Error && gone.message])).not.toMatch(/127\.0\.0\.1|ECONN/);
  });

  it("opens no more connections than there are to be", async () => {
    const { query } = reader({ limits: { connections: 1 } });
    await query("crm", "SELECT 1");
    const { databases } = reader({ limits: { connections: 0 } });
    await expect(databases.check(to("reader", "r"))).resolves.toMatchObject({
      ok: false,
      problems: [{ problem: expect.stringContaining("Too many") }],
    });
  });
});
