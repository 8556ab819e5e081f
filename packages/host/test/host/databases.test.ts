import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Host } from "../../src/host-api.ts";
import { databaseFile } from "../broker/database-support.ts";
import {
  AGENT,
  AS_OPERATOR,
  installed,
  makeHome,
  manifestOf,
  OPERATOR,
  type TestHome,
  toolLine,
} from "../support/home.ts";
import { needsNamespace } from "../support/namespace.ts";

needsNamespace();

const ASKS = `export default { tools: {
  async ask({ connection, sql, params }, ctx) {
    const answer = await ctx.database(connection).query(sql, params ?? []);
    return { rows: answer.rows.map((row) => row.map(String)), changes: answer.changes, truncated: answer.truncated };
  },
  async people(_input, ctx) {
    const answer = await ctx.database("app").query("SELECT id, name, photo FROM people WHERE id = ?", [2n ** 53n + 1n]);
    const [one] = answer.records();
    return { id: String(one.id), name: one.name, photo: one.photo instanceof Uint8Array, prototype: Object.getPrototypeOf(one) === null };
  },
} };`;

describe("a plugin and its operator's databases", () => {
  let home: TestHome;
  let host: Host;
  const data = databaseFile(
    "CREATE TABLE people(id INTEGER PRIMARY KEY, name TEXT, photo BLOB); INSERT INTO people VALUES (1, 'Ada', NULL), (9007199254740993, 'Alan', x'00')",
  );
  const config = (connections: string): string =>
    `plugins: { enabled: true }\npolicy: { defaults: { read: allow, write: allow, external: allow, destructive: deny } }\ndatabases: ${connections}\n`;
  const configured = (): string =>
    config(`{ app: { sqlite: ${data.file}, mode: rw }, state: { sqlite: ${join(home.path, "state.db")}, mode: rw } }`);

  beforeAll(async () => {
    home = await makeHome();
    await home.writeConfig(configured());
    host = await home.open();
    await installed(host, await asking("reader", "[{ connection: app, mode: r }, { connection: state, mode: r }]"));
    await installed(host, await asking("writer", "[{ connection: app, mode: rw }]"));
  });
  afterAll(async () => {
    await home.remove();
    data.remove();
  });

  const asking = (id: string, database: string): Promise<string> =>
    home.plugin(id, {
      "plugin.yml": manifestOf(id, [toolLine("ask"), toolLine("people")], `permissions: { database: ${database} }`),
      "plugin.js": ASKS,
    });
  const ask = (id: string, sql: string, connection = "app", params: readonly unknown[] = []) =>
    host.invoke(AGENT, { tool: `${id}__ask`, input: { connection, sql, params } });

  it("is told in words where a connection leads, and reads it [S3-73]", async () => {
    const { permissions, tools } = await host.plugins.info("reader");
    expect(permissions.find(({ capability }) => capability === "database")).toMatchObject({
      capability: "database",
      risk: "medium",
      sentence: `may read the database connection app (the SQLite file ${data.file})`,
      granted: true,
      enforced: { by: expect.stringContaining("a process of its own") },
    });
    expect(tools.map(({ effect }) => effect)).toEqual(["read", "read"]);
    await expect(ask("reader", "SELECT name FROM people ORDER BY id")).resolves.toMatchObject({
      success: true,
      result: { rows: [["Ada"], ["Alan"]], truncated: false },
    });
    const people = await host.invoke(AGENT, { tool: "reader__people", input: {} });
    expect(people).toMatchObject({ result: { id: "9007199254740993", name: "Alan", photo: true, prototype: true } });
    await expect(ask("reader", "DELETE FROM people")).resolves.toMatchObject({ success: false, code: "tool_failed" });
  });

  it("changes it only under a grant that says so, and then counts as one that writes [S3-74]", async () => {
    const { permissions, tools } = await host.plugins.info("writer");
    expect(permissions.find(({ capability }) => capability === "database")).toMatchObject({
      risk: "high",
      sentence: expect.stringContaining("read and change data in"),
    });
    expect(tools.map(({ effect }) => effect)).toEqual(["write", "write"]);
    await expect(ask("writer", "INSERT INTO people VALUES (2, ?, NULL)", "app", ["Grace"])).resolves.toMatchObject({
      success: true,
      result: { changes: 1 },
    });
    expect(data.rows("SELECT name FROM people WHERE id = 2")).toEqual([{ name: "Grace" }]);
    const events = await host.audit.query({ plugin: "writer", order: "asc" });
    const done = events.filter(({ type }) => type === "plugin_tool.invoked" || type === "broker.action");
    expect(
      done.map(({ type, phase, capability, target, method }) => [type, phase, capability, target, method]),
    ).toEqual([
      ["plugin_tool.invoked", "intent", undefined, undefined, undefined],
      ["broker.action", undefined, "database", "app", "insert"],
      ["plugin_tool.invoked", "outcome", undefined, undefined, undefined],
    ]);
    expect(done[1]).toMatchObject({ call_id: done[0]?.call_id, data: { changes: 1, rows: 0 } });
    expect(JSON.stringify(done[1])).not.toContain("Grace");
  });

  it("reaches nothing of the host by SQL, nor by a connection that leads into the home", async () => {
    const state = join(home.path, "state.db");
    for (const sql of [
      `ATTACH '${state}' AS state`,
      "PRAGMA writable_schema = 1",
      `VACUUM INTO '${join(data.folder, "stolen.db")}'`,
      "SELECT load_extension('libc.so.6')",
      `SELECT 1; ATTACH '${state}' AS state`,
    ])
      await expect(ask("writer", sql), sql).resolves.toMatchObject({ success: false, code: "tool_failed" });
    await expect(ask("reader", "SELECT * FROM grants", "state")).resolves.toMatchObject({
      success: false,
      detail: expect.stringContaining("permission_denied"),
    });
    await expect(ask("writer", "SELECT 1", "state")).resolves.toMatchObject({ success: false });
    expect(await host.databases.check("state")).toMatchObject({ ok: false });
  });

  it("is listed, looked at and told by doctor", async () => {
    expect(host.databases.list()).toMatchObject([
      { name: "app", kind: "sqlite", mode: "rw", target: data.file, plugins: ["reader", "writer"] },
      { name: "state", plugins: ["reader"] },
    ]);
    expect(await host.databases.check("app")).toMatchObject({ name: "app", ok: true, problems: [] });
    await expect(host.databases.check("none")).rejects.toMatchObject({ code: "not_found" });
    const { checks } = await host.doctor();
    expect(checks.filter(({ name }) => name.startsWith("database "))).toMatchObject([
      { name: "database app", ok: true },
      { name: "database state", ok: false },
    ]);
  });

  it("does not start with a connection that config.yml does not name, or opens for less", async () => {
    const { plugin } = await host.plugins.install(OPERATOR, {
      source: await asking("stranger", "[{ connection: gone }]"),
    });
    const { permissions } = await host.plugins.info("stranger");
    expect(permissions.map(({ sentence }) => sentence).join()).toContain("config.yml does not name");
    await host.plugins.approve(OPERATOR, plugin.id, {});
    await expect(host.plugins.load(OPERATOR, plugin.id)).rejects.toMatchObject({
      code: "not_enforceable",
      fix: expect.stringContaining("databases.gone"),
    });
    await home.writeConfig(config(`{ app: { sqlite: ${data.file} } }`));
    await expect.poll(async () => (await host.plugins.info("writer")).state, { timeout: 10_000 }).toBe("stopped");
    await expect(host.invoke(AS_OPERATOR, { tool: "writer__ask", input: {} })).resolves.toMatchObject({
      success: false,
    });
  });
});
