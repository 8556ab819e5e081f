import { afterEach, describe, expect, it } from "vitest";
import { definePlugin, Plugin } from "../src/index.ts";
import { type RunningPlugin, type RunOptions, runPlugin } from "../src/testing/index.ts";

let running: RunningPlugin | undefined;
afterEach(async () => {
  await running?.close();
  running = undefined;
});

const run = async (plugin: unknown, options?: RunOptions): Promise<RunningPlugin> =>
  (running = await runPlugin(plugin, options));

const weather = definePlugin<{ forecast: { input: { city: string }; output: { celsius: number } } }>({
  tools: {
    async forecast({ city }, ctx) {
      ctx.log.info("asking", { city });
      const answer = await fetch(`https://api.example.com/data/weather?q=${encodeURIComponent(city)}`, {
        secrets: ["KEY"],
        signal: ctx.signal,
      });
      ctx.progress(1, 1);
      return { celsius: (await answer.json()).temp };
    },
  },
});

const TOOLS = { a: (): number => 1 };

describe("runPlugin", () => {
  it("runs a plugin that is defined with types, over a fake network, and records what it did", async () => {
    await run(weather, {
      secrets: ["KEY"],
      fetch: { "GET https://api.example.com/data/*": Response.json({ temp: 21 }) },
    });
    expect(await running?.call("forecast", { city: "Bern" })).toEqual({ celsius: 21 });
    expect(await running?.call("forecast", { city: "Bern" })).toEqual({ celsius: 21 });
    expect(running?.requests[0]).toMatchObject({
      method: "fetch",
      params: { call: "call_1", url: "https://api.example.com/data/weather?q=Bern", secrets: ["KEY"] },
    });
    expect(running?.logs[0]).toEqual({ call: "call_1", level: "info", message: "asking", fields: { city: "Bern" } });
    expect(running?.progress[0]).toEqual({ call: "call_1", progress: 1, total: 1 });
  });

  it.each([
    ["another path", { secrets: ["KEY"], fetch: { "https://api.example.com/other": Response.json({}) } }],
    ["another method", { secrets: ["KEY"], fetch: { "POST https://api.example.com/data/*": Response.json({}) } }],
    ["no network at all", { secrets: ["KEY"] }],
    ["no grant for the secret", { fetch: { "https://api.example.com/data/*": Response.json({ temp: 1 }) } }],
  ])("refuses what no fake grants: %s", async (_, fakes) => {
    await run(weather, fakes);
    await expect(running?.call("forecast", { city: "x" })).rejects.toMatchObject({
      code: "tool_failed",
      message: expect.stringContaining("no grant"),
    });
  });

  it("keeps files and values in memory, and refuses paths that no grant covers", async () => {
    const plugin = {
      tools: {
        async go(_: unknown, { files, kv, data }: Parameters<typeof weather.tools.forecast>[1]) {
          const tries = ["/in/secret", "/etc/passwd", "/in/../etc/passwd", `${data}/../x`].map((path) =>
            files.read(path).then(
              () => "read",
              (e: { code: string }) => e.code,
            ),
          );
          await files.write(`${data}/cache/a.txt`, "one");
          await kv.set("k", (await kv.get("start")) ?? null);
          const readOnly = await files.write("/in/a.csv", "x").catch((e: { code: string }) => e.code);
          return [
            await files.readText("/in/a.csv"),
            await files.list(`${data}/cache`),
            await Promise.all(tries),
            readOnly,
            await kv.list(),
            await files.stat(`${data}/cache`),
          ];
        },
      },
    };
    await run(plugin, {
      files: { "/in/a.csv": "a,b" },
      filesystem: [{ path: "${data}/cache", mode: "rw" }],
      kv: { start: 7 },
    });
    expect(await running?.call("go")).toEqual([
      "a,b",
      [{ name: "a.txt", kind: "file", size: 3, modified: 0 }],
      Array(4).fill("permission_denied"),
      "permission_denied",
      ["k", "start"],
      { kind: "directory", size: 0, modified: 0 },
    ]);
    expect(new TextDecoder().decode(running?.files.get("${data}/cache/a.txt"))).toBe("one");
    expect(running?.kv.get("k")).toBe(7);
  });

  it("streams large bodies both ways", async () => {
    const plugin = definePlugin({
      tools: {
        async go() {
          const answer = await fetch("https://a.example/", { method: "POST", body: new Uint8Array(3_000_000).fill(7) });
          return (await answer.arrayBuffer()).byteLength;
        },
      },
    });
    await run(plugin, { fetch: async (request) => new Response((await request.arrayBuffer()).slice(1)) });
    expect(await running?.call("go")).toBe(2_999_999);
    expect(running?.requests.map(({ method }) => method)).toContain("body.read");
  });

  it("treats failures as the host does", async () => {
    class Skill extends Plugin {
      override execute(action: string): unknown {
        if (action === "throws") throw new Error("boom");
        return action === "fails" ? { success: false, error: "no data" } : { success: true, result: action };
      }
    }
    await run(Skill, { declaredTools: ["throws", "fails", "works"] });
    await expect(running?.call("throws")).rejects.toMatchObject({ code: "tool_failed", message: "boom" });
    await expect(running?.call("fails")).rejects.toMatchObject({ code: "tool_failed", message: "no data" });
    expect(await running?.call("works")).toBe("works");
    await expect(running?.call("other")).rejects.toMatchObject({ code: "unknown_tool" });
  });

  it.each([
    ["initialize_failed", { initialize: () => false, tools: TOOLS }],
    ["initialize_failed", { initialize: () => Promise.reject(new Error("no token")), tools: TOOLS }],
    ["undeclared_tool", { tools: { ...TOOLS, b: () => 2 } }],
    ["missing_tool", { tools: {} }],
    ["load_failed", () => 1],
    ["load_failed", undefined],
    ["load_failed", { forecast: () => 1 }],
  ])("fails with %s, and leaves the global fetch alone", async (code, plugin) => {
    const before = globalThis.fetch;
    await expect(runPlugin(plugin, { declaredTools: ["a"] })).rejects.toMatchObject({ code });
    expect(globalThis.fetch).toBe(before);
  });

  it("gives ctx.signal and the agent, runs shutdown, and gives the global fetch back", async () => {
    const before = globalThis.fetch;
    let ended = false;
    const plugin = definePlugin({
      tools: {
        wait: (_, ctx) => new Promise((done) => ctx.signal.addEventListener("abort", () => done(ctx.call.agent))),
      },
      shutdown: () => void (ended = true),
    });
    await run(plugin);
    expect(globalThis.fetch).not.toBe(before);
    await expect(runPlugin(plugin)).rejects.toMatchObject({ code: "conflict" });
    const controller = new AbortController();
    const answer = running?.call("wait", {}, { agent: "claude", signal: controller.signal });
    controller.abort();
    expect(await answer).toBe("claude");
    await expect(fetch("https://a.example/")).rejects.toMatchObject({ code: "permission_denied" });
    await running?.close();
    running = undefined;
    expect([globalThis.fetch === before, ended]).toEqual([true, true]);
  });
});
