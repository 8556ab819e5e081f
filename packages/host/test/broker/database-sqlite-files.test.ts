import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { ensureFile } from "../../src/broker/database-place.ts";
import { planSqlite, spawnSandboxed } from "../../src/isolation/index.ts";
import { COUNT_FOREVER, SCHEMA, sqliteWorld } from "./database-support.ts";
import { lackingNote, needsNamespace } from "../support/namespace.ts";

const NOBODY = 65_534;
const CHILD = fileURLToPath(new URL("../../dist/runner/database-child.mjs", import.meta.url));
const LIMITS = { busyMs: 100, valueBytes: 1_000_000, heapBytes: 10_000_000 };
/** Runs in the place of what opens the database, and says what it could do. */
const ATTEMPTS = `
  const others = [];
  const attempt = (name, act) => { try { act(); others.push(name); return true; } catch { return false; } };
  attempt("read a file of the host", () => Deno.readTextFileSync("/etc/passwd"));
  attempt("read a neighbour", () => Deno.readTextFileSync("/db/neighbour.db"));
  attempt("make a file", () => Deno.writeTextFileSync("/db/new", ""));
  attempt("make a scratch file", () => Deno.writeTextFileSync("/tmp/new", ""));
  attempt("remove the database", () => Deno.removeSync("/db/main"));
  attempt("open a socket", () => Deno.listen({ hostname: "127.0.0.1", port: 0 }));
  attempt("start a program", () => new Deno.Command("/rt/deno", { args: ["--version"] }).outputSync());
  attempt("see processes", () => [...Deno.readDirSync("/proc/1")]);
  let changed = true;
  try { Deno.openSync("/db/main", { write: true }).close(); } catch { changed = false; }
  const there = [...Deno.readDirSync("/db")].map(({ name }) => name).join();
  console.log(JSON.stringify({ "what is there": there, "change the database": changed, others }));
`;

describe(`the files of SQLite${lackingNote}`, () => {
  needsNamespace();
  const { made, connection, asPlugin, machine } = sqliteWorld();

  it("ends a statement whose call is over, and undoes what it did", async () => {
    const file = made();
    const ending = new AbortController();
    const { session, context } = asPlugin(file.file, "rw");
    const asked = session.handle(
      "database.query",
      {
        call: "call_1",
        connection: "app",
        sql: `INSERT INTO people(name) ${COUNT_FOREVER} SELECT x FROM n`,
        params: [],
      },
      context,
      ending.signal,
    );
    setTimeout(() => ending.abort(), 50);
    await expect(asked).rejects.toMatchObject({ code: "cancelled" });
    // Whoever opens it next finds the journal of the statement that was killed, and rolls it back.
    const { query } = asPlugin(file.file, "rw");
    await expect(query("app", "SELECT count(*) FROM people")).resolves.toMatchObject({ rows: [[2]] });
    await expect(query("app", "INSERT INTO people(name) VALUES ('after') RETURNING name")).resolves.toMatchObject({
      rows: [["after"]],
    });
  });

  it("runs nothing more on a connection that was closed, neither what runs nor what waits", async () => {
    const file = made();
    const { databases } = asPlugin(file.file, "rw");
    const link = databases.open(connection(file.file), "rw");
    const { signal } = new AbortController();
    const asked = [
      `${COUNT_FOREVER} SELECT count(*) FROM n`,
      "UPDATE people SET name = 'late'",
      "DELETE FROM people",
    ].map((sql) => link.query({ sql, params: [] }, signal));
    link.close();
    expect(await Promise.allSettled(asked)).toMatchObject(asked.map(() => ({ reason: { code: "cancelled" } })));
    expect(file.rows("SELECT count(*) AS n FROM people WHERE name <> 'late'")).toEqual([{ n: 2 }]);
  });

  it("runs nothing that waited on a connection that means another file now", async () => {
    const file = made();
    const connections = [connection(file.file)];
    const { query } = asPlugin(file.file, "rw", { connections });
    const asked = ["SELECT 1", "DELETE FROM people"].map((sql) => query("app", sql));
    const over = Promise.allSettled(asked);
    await new Promise((resolve) => setImmediate(resolve));
    connections[0] = connection(made().file);
    expect(await over).toMatchObject(asked.map(() => ({ reason: { code: "busy" } })));
    expect(file.rows("SELECT count(*) AS n FROM people")).toEqual([{ n: 2 }]);
    await expect(query("app", "DELETE FROM people")).resolves.toMatchObject({ changes: 2 });
  });

  it("makes a file beside the database in the folder that was looked at, and over no link that came since", async () => {
    const { folder } = made();
    const [elsewhere, link] = [join(folder, "elsewhere"), join(folder, "link")];
    mkdirSync(elsewhere);
    symlinkSync(elsewhere, link);
    const owner = { uid: NOBODY, gid: NOBODY };
    await expect(ensureFile(join(link, "data.db-wal"), 0o600, owner)).rejects.toThrow();
    await expect(ensureFile(join(link, "..", "link", "data.db-wal"), 0o600, owner)).rejects.toThrow();
    expect(readdirSync(elsewhere)).toEqual([]);
    writeFileSync(join(elsewhere, "secret"), "kept");
    symlinkSync(join(elsewhere, "secret"), join(folder, "data.db-wal"));
    await ensureFile(join(folder, "data.db-wal"), 0o666, owner);
    expect(statSync(join(elsewhere, "secret")).uid).toBe(process.getuid?.());
  });

  it("goes on with a new process when one is killed in the middle", async () => {
    const file = made();
    const { query } = asPlugin(file.file, "r");
    await query("app", "SELECT 1");
    const asked = query("app", `${COUNT_FOREVER} SELECT count(*) FROM n`);
    const killing = setInterval(() => killChild(file.file), 20);
    await expect(asked.finally(() => clearInterval(killing))).rejects.toMatchObject({ code: "database_failed" });
    await expect(query("app", "SELECT 1")).resolves.toMatchObject({ rows: [[1]] });
  });

  it("waits for the locks of others, and gives up as busy", async () => {
    const file = made();
    const holder = spawn(
      process.execPath,
      [
        "-e",
        `const db = new (require(process.argv[1]))(process.argv[2]);
        db.exec("BEGIN EXCLUSIVE"); console.log("held");
        process.stdin.on("data", () => { db.exec("COMMIT"); db.close(); process.exit(); });`,
        createRequire(import.meta.url).resolve("libsql"),
        file.file,
      ],
      { stdio: ["pipe", "pipe", "inherit"] },
    );
    const ended = once(holder, "exit");
    try {
      await once(holder.stdout, "data");
      const { query } = asPlugin(file.file, "rw", { limits: { busyMs: 100 } });
      await expect(query("app", "UPDATE people SET name = 'x' WHERE id = 1")).rejects.toMatchObject({ code: "busy" });
      await expect(query("app", "SELECT 1 FROM people")).rejects.toMatchObject({ code: "busy" });
      holder.stdin.write("go on\n");
      await ended;
      await expect(query("app", "UPDATE people SET name = 'x' WHERE id = 1")).resolves.toMatchObject({ changes: 1 });
    } finally {
      holder.kill();
    }
  });

  it("shares a database with its own program: with a rollback journal, and with a write-ahead log", async () => {
    for (const mode of ["delete", "wal"]) {
      const file = made(`PRAGMA journal_mode = ${mode}; ${SCHEMA}`);
      const writer = asPlugin(file.file, "rw");
      const reader = asPlugin(file.file, "r");
      for (let round = 0; round < 2; round++) {
        // Its own program opens and closes it, and with that takes journal or log away.
        file.sql(`INSERT INTO people(name) VALUES ('own ${round}')`);
        await writer.query("app", "INSERT INTO people(name) VALUES (?)", [`plugin ${round}`]);
        await expect(reader.query("app", "SELECT count(*) FROM people")).resolves.toMatchObject({
          rows: [[4 + 2 * round]],
        });
        await expect(writer.query("app", "SELECT count(*) FROM people")).resolves.toMatchObject({
          rows: [[4 + 2 * round]],
        });
      }
      expect(file.rows("PRAGMA integrity_check")).toEqual([{ integrity_check: "ok" }]);
      expect(file.rows("PRAGMA journal_mode")).toEqual([{ journal_mode: mode }]);
    }
  });

  it("reads nothing that a program left half done, until somebody who may write has undone it", async () => {
    const file = made();
    const program = `const db = new (require(process.argv[1]))(process.argv[2]);
      db.exec("PRAGMA cache_size = 1; BEGIN; UPDATE people SET name = name || '?'; CREATE TABLE filler AS ${COUNT_FOREVER} SELECT x, printf('%.500c', 'x') FROM n LIMIT 500");
      process.kill(process.pid, "SIGKILL");`;
    spawnSync(process.execPath, ["-e", program, createRequire(import.meta.url).resolve("libsql"), file.file]);
    const reader = asPlugin(file.file, "r");
    await expect(reader.query("app", "SELECT name FROM people")).rejects.toMatchObject({ code: "database_failed" });
    const writer = asPlugin(file.file, "rw");
    await expect(writer.query("app", "SELECT name FROM people ORDER BY name DESC")).resolves.toMatchObject({
      rows: [["Alan"], ["Ada"]],
    });
    await expect(reader.query("app", "SELECT count(*) FROM sqlite_schema")).resolves.toMatchObject({ rows: [[3]] });
  });

  it("reads what a program committed to its log before it was killed", async () => {
    const file = made(`PRAGMA journal_mode = wal; ${SCHEMA}`);
    const program = `const db = new (require(process.argv[1]))(process.argv[2]);
      db.exec("INSERT INTO people(name) VALUES ('Grace')"); db.exec("BEGIN; INSERT INTO people(name) VALUES ('Mary')");
      process.kill(process.pid, "SIGKILL");`;
    spawnSync(process.execPath, ["-e", program, createRequire(import.meta.url).resolve("libsql"), file.file]);
    const reader = asPlugin(file.file, "r");
    await expect(reader.query("app", "SELECT name FROM people ORDER BY name")).resolves.toMatchObject({
      rows: [["Ada"], ["Alan"], ["Grace"]],
    });
  });

  it("sees another file that took the place of the database, and no link that did", async () => {
    const file = made();
    const { query } = asPlugin(file.file, "r");
    await query("app", "SELECT 1");
    const other = made("CREATE TABLE people(name); INSERT INTO people VALUES ('from the other file')");
    renameSync(other.file, file.file);
    await expect(query("app", "SELECT name FROM people")).resolves.toMatchObject({ rows: [["from the other file"]] });
    const secret = made("CREATE TABLE people(name); INSERT INTO people VALUES ('secret')");
    unlinkSync(file.file);
    symlinkSync(secret.file, file.file);
    await expect(query("app", "SELECT name FROM people")).rejects.toMatchObject({
      code: "database_failed",
      detail: "It is a link.",
    });
    unlinkSync(file.file);
    await expect(query("app", "SELECT name FROM people")).rejects.toMatchObject({ code: "database_failed" });
    expect(readdirSync(file.folder)).not.toContain("data.db");
  });

  it("never opens a file of the host's own, by whatever way the operator's path leads there", async () => {
    const state = made();
    const folder = made();
    const setting = { machine: { ...machine(), forbiddenPaths: [state.folder] } };
    const { query } = asPlugin(state.file, "r", setting);
    await expect(query("app", "SELECT 1")).rejects.toMatchObject({ code: "permission_denied" });
    symlinkSync(state.folder, join(folder.folder, "link"));
    const byLink = asPlugin(join(folder.folder, "link", "data.db"), "r", setting);
    await expect(byLink.query("app", "SELECT 1")).rejects.toMatchObject({ code: "permission_denied" });
  });

  it("says that a file is damaged, and goes on", async () => {
    const file = made();
    writeFileSync(file.file, Buffer.alloc(8192, "no database at all "));
    const { query } = asPlugin(file.file, "r");
    await expect(query("app", "SELECT * FROM people")).rejects.toMatchObject({
      code: "database_failed",
      detail: expect.stringContaining("damaged"),
    });
    const cut = made(
      `${SCHEMA} INSERT INTO people(name) ${COUNT_FOREVER} SELECT printf('%.100c', 'x') || x FROM n LIMIT 500;`,
    );
    truncateSync(cut.file, 8192);
    const torn = asPlugin(cut.file, "rw");
    await expect(torn.query("app", "SELECT count(*), max(name) FROM people")).rejects.toMatchObject({
      code: "database_failed",
    });
  });

  const jailed = async (file: string, write: boolean, module: string, companions: readonly string[] = []) => {
    const { engine, tools, hostIsRoot } = machine();
    return planSqlite({
      level: "namespace",
      engine,
      tools,
      module,
      argument: (paths) =>
        JSON.stringify({ ...LIMITS, path: paths.database, companions: paths.companions, write, wal: false }),
      database: file,
      companions,
      write,
      owner: hostIsRoot ? { uid: 0, gid: 0 } : undefined,
      memoryMb: 64,
    });
  };

  it("has nothing within reach but the database's own files, whatever the runtime allows", async () => {
    for (const write of [false, true]) {
      const file = made();
      writeFileSync(join(file.folder, "neighbour.db"), "secret");
      const plan = await jailed(file.file, write, ATTEMPTS);
      expect(plan.env).toEqual({});
      const open = plan.args
        .filter((arg) => !/^--(allow|deny)-/.test(arg))
        .flatMap((arg) => (arg === "run" ? [arg, "--allow-all"] : [arg]));
      const child = await spawnSandboxed({ ...plan, args: open });
      let said = "";
      child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
      await child.gone;
      expect(JSON.parse(said)).toEqual({ "what is there": "main", "change the database": write, others: [] });
      expect(readdirSync(file.folder).toSorted()).toEqual(["data.db", "neighbour.db"]);
    }
  });

  it("sees under the lock that a journal is not the one that others see", async () => {
    const file = made();
    const journal = `${file.file}-journal`;
    writeFileSync(journal, "");
    const child = await spawnSandboxed(await jailed(file.file, true, readFileSync(CHILD, "utf8"), [journal]));
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const ask = async (): Promise<unknown> => {
      child.stdin.write(
        `${JSON.stringify({ sql: "UPDATE people SET height = 1", params: [], rows: 10, bytes: 1000 })}\n`,
      );
      return JSON.parse((await lines.next()).value ?? "null");
    };
    try {
      await lines.next();
      expect(await ask()).toMatchObject({ changes: 2 });
      unlinkSync(journal);
      writeFileSync(journal, "");
      expect(await ask()).toEqual({ error: "stale" });
    } finally {
      child.kill();
      await child.gone;
    }
  });

  it("looks at a connection for the operator", async () => {
    const file = made(`PRAGMA journal_mode = wal; ${SCHEMA}`);
    const { databases } = asPlugin(file.file, "r");
    const good = await databases.check(connection(file.file, "r"));
    expect(good).toMatchObject({ ok: true, problems: [] });
    expect(good.facts.join("\n")).toMatch(/data\.db.*\n1 tables, with a write-ahead log\n.*read-only/);
    const bad = await databases.check(connection(join(file.folder, "none.db")));
    expect(bad).toMatchObject({
      ok: false,
      problems: [{ problem: expect.stringContaining("not there"), fix: expect.stringContaining("databases.app") }],
    });
  });

  it("opens a file at landlock too, for the user whom it belongs to", async (context) => {
    context.skip(!machine().available.includes("landlock"), "this machine has no Landlock");
    const file = made();
    const asRoot = asPlugin(file.file, "rw", { level: "landlock" });
    if (machine().hostIsRoot) {
      await expect(asRoot.query("app", "SELECT 1")).rejects.toMatchObject({ code: "isolation_unavailable" });
      chmodSync(file.folder, 0o711);
      chownSync(file.file, NOBODY, NOBODY);
      unlinkSync(`${file.file}-journal`);
    }
    const { query } = asPlugin(file.file, "rw", { level: "landlock" });
    await expect(query("app", "UPDATE people SET height = 1")).resolves.toMatchObject({ changes: 2 });
    await expect(query("app", "SELECT name FROM people WHERE id = 1")).resolves.toMatchObject({ rows: [["Ada"]] });
    const reader = asPlugin(file.file, "r", { level: "landlock" });
    await expect(reader.query("app", "UPDATE people SET height = 2")).rejects.toMatchObject({
      code: "permission_denied",
    });
  });
});

/** Ends the process of this one that has a file mounted. */
function killChild(file: string): void {
  for (const pid of readFileSync(`/proc/self/task/${process.pid}/children`, "utf8").trim().split(" ")) {
    try {
      if (readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(file)) process.kill(Number(pid), "SIGKILL");
    } catch {
      // It ended meanwhile.
    }
  }
}
