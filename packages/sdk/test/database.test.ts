import { afterEach, describe, expect, it } from "vitest";
import type { DatabaseParameter, DatabaseResult, ToolContext } from "../src/index.ts";
import { type RunningPlugin, runPlugin } from "../src/testing/index.ts";

let running: RunningPlugin | undefined;
afterEach(() => running?.close());

/** What `use` gives when it runs as a tool, with a database that gives back its parameters as one row. */
async function asTool(use: (ctx: ToolContext) => Promise<unknown>): Promise<unknown> {
  let seen: unknown;
  const plugin = {
    tools: {
      async look(_input: unknown, ctx: ToolContext) {
        seen = await use(ctx).catch((error: unknown) => error);
        return null;
      },
    },
  };
  await running?.close();
  running = await runPlugin(plugin, {
    databases: {
      echo: (sql, params) => ({ columns: sql.split(","), rows: [params], changes: 1, truncated: true }),
    },
  });
  await running.call("look", {});
  return seen;
}

describe("ctx.database", () => {
  it("carries values of every kind there and back without loss", async () => {
    const params: readonly DatabaseParameter[] = [
      null,
      true,
      1.5,
      2n ** 63n - 1n,
      Infinity,
      Number.NaN,
      "text",
      new Uint8Array([0, 255]),
      new Date(0),
    ];
    const result = await asTool((ctx) => ctx.database("echo").query("a", params));
    expect(result).toMatchObject({
      rows: [[...params.slice(0, -1), "1970-01-01T00:00:00.000Z"]],
      changes: 1,
      truncated: true,
    });
    expect(running?.requests[0]).toMatchObject({
      method: "database.query",
      params: {
        connection: "echo",
        sql: "a",
        params: [
          null,
          true,
          1.5,
          { integer: "9223372036854775807" },
          { real: "Infinity" },
          { real: "NaN" },
          "text",
          { base64: "AP8=" },
          "1970-01-01T00:00:00.000Z",
        ],
      },
    });
  });

  it("gives rows by name, whatever the names are, and refuses two of the same", async () => {
    const records = await asTool(async (ctx) => (await ctx.database("echo").query("id,__proto__", [1, "x"])).records());
    expect(records).toHaveLength(1);
    const [one] = Array.isArray(records) ? records : [];
    expect(Object.getPrototypeOf(one)).toBeNull();
    expect(Object.entries(one)).toEqual([
      ["id", 1],
      ["__proto__", "x"],
    ]);
    const twice = await asTool(async (ctx) => {
      const result: DatabaseResult = await ctx.database("echo").query("id,id", [1, 2]);
      return result.records();
    });
    expect(twice).toMatchObject({ code: "usage" });
  });

  it("is refused for a connection that a test does not grant", async () => {
    expect(await asTool((ctx) => ctx.database("toString").query("a"))).toMatchObject({ code: "permission_denied" });
  });
});
