import { appendFile, chmod } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Host } from "../../src/host-api.ts";
import { storeRoot } from "../../src/isolation/index.ts";
import { AGENT, makeHome, OPERATOR, type TestHome } from "../support/home.ts";
import { bundleServer, serverManifest, WORDS_SERVER, WORDS_TOOLS } from "./mcp-server.ts";
import { hostIsRoot, KERNEL_LEVELS, lacking } from "./support.ts";

const bundle = await bundleServer(WORDS_SERVER);

describe.each(KERNEL_LEVELS)("an unmodified MCP server at %s", (level) => {
  const note = lacking(level, "node");
  let home: TestHome;
  let host: Host;

  beforeAll(async () => {
    if (note !== "") return;
    home = await makeHome(
      `plugins: { enabled: true }\nisolation: { driver: ${level} }\npolicy: { defaults: { read: allow } }\n`,
    );
    host = await home.open();
    await load("words", WORDS_TOOLS);
  });
  afterAll(() => home?.remove());

  async function load(id: string, tools: readonly object[], more: object = {}, code = bundle): Promise<void> {
    const source = await home.plugin(id, { "plugin.json": serverManifest(id, tools, more), "server.mjs": code });
    await host.plugins.install(OPERATOR, { source });
    await host.plugins.approve(OPERATOR, id, {});
    await host.plugins.load(OPERATOR, id);
  }
  const call = (tool: string, input: object = {}, more: object = {}) =>
    host.invoke(AGENT, { tool: `words__${tool}`, input, ...more });
  const changed = (name: string, change: object) =>
    WORDS_TOOLS.map((tool) => (tool.name === name ? { ...tool, ...change } : tool));

  it.skipIf(note !== "")(
    `answers through the same gates as a plugin [S0-47] [S2-10] [S2-11] [S4-8] [S4-9] ${note}`,
    async () => {
      expect(await call("shout", { text: "hello" })).toMatchObject({ success: true, result: "HELLO" });
      expect(await call("count_words", { text: "a b c" })).toMatchObject({ success: true, result: { words: 3 } });
      expect(await call("picture")).toMatchObject({
        success: true,
        result: {
          content: [
            { type: "text", text: "here" },
            { type: "image", data: "AAAA", mimeType: "image/png" },
          ],
        },
      });
      expect(await call("fail")).toMatchObject({ success: false, code: "tool_failed", error: "no such word" });
      expect(await call("shout", { text: 1 })).toMatchObject({ success: false, code: "invalid_input" });
      expect(await call("count-words", { text: "a" })).toMatchObject({ success: false, code: "unknown_tool" });
      expect((await host.plugins.info("words")).isolation).toBe(level);
    },
  );

  it.skipIf(note !== "")(`is audited per tool call [S0-49] ${note}`, async () => {
    const answer = await call("shout", { text: "audited" });
    const events = await host.audit.query({ plugin: "words", limit: 50 });
    const own = events.filter((event) => event.call_id === answer.callId);
    expect(own.map(({ type, tool, outcome }) => [type, tool, outcome]).at(-1)).toEqual([
      "plugin_tool.invoked",
      "words__shout",
      "succeeded",
    ]);
  });

  it.skipIf(note !== "")(`passes progress on, is cancelled, and goes on serving ${note}`, async () => {
    const stop = new AbortController();
    const seen: unknown[] = [];
    const slow = await call(
      "slow",
      {},
      {
        signal: stop.signal,
        onProgress: (progress: unknown) => {
          seen.push(progress);
          stop.abort();
        },
      },
    );
    expect(slow).toMatchObject({ success: false, code: "cancelled" });
    expect(seen).toMatchObject([{ progress: 1, total: 2, message: "half" }]);
    expect(
      await host.invoke({ kind: "agent", agent: "other" }, { tool: "words__shout", input: { text: "on" } }),
    ).toMatchObject({ result: "ON" });
    expect(await host.plugins.info("words")).toMatchObject({ state: "running" });
  });

  it.skipIf(note !== "").each(["sampling", "roots", "elicitation"])(
    `refuses %s to the server ${note}`,
    async (what) => {
      expect(await call("ask", { what })).toMatchObject({ success: true, result: expect.stringMatching(/^refused/) });
    },
  );

  it.skipIf(note !== "")(`answers its pings ${note}`, async () => {
    expect(await call("ask", { what: "ping" })).toMatchObject({ result: "answered" });
  });

  it.skipIf(note !== "").each([
    [
      "a description",
      "shout",
      { description: "Says it." },
      /shout: its description is declared as Says it\. and now is Says it louder\./,
    ],
    [
      "an input schema",
      "shout",
      { input_schema: { ...WORDS_TOOLS[0]?.input_schema, additionalProperties: false } },
      /shout: its input_schema/,
    ],
    [
      "an output schema",
      "shout",
      { output_schema: { type: "object" } },
      /shout: its output_schema is declared as .* and now is absent/,
    ],
  ])(
    `does not load when %s is another than declared, and says what differs ${note}`,
    async (_what, name, change, detail) => {
      const id = `other-${Object.keys(change)[0]?.replace("_", "-")}`;
      await expect(load(id, changed(name, change))).rejects.toMatchObject({
        code: "undeclared_tool",
        detail: expect.stringMatching(detail),
      });
      expect(await host.plugins.info(id)).toMatchObject({ state: "failed" });
    },
  );

  it.skipIf(note !== "")(`does not load with a tool too many or too few ${note}`, async () => {
    await expect(load("more", WORDS_TOOLS.slice(1))).rejects.toMatchObject({ code: "undeclared_tool" });
    const lacks = [...WORDS_TOOLS, { ...WORDS_TOOLS[0], name: "whisper" }];
    await expect(load("fewer", lacks)).rejects.toMatchObject({ code: "missing_tool" });
  });

  it.skipIf(note !== "")(`is refused where a grant could not be enforced ${note}`, async () => {
    const network = (entry: object) => ({
      permissions: { network: [{ host: "api.example.com", reason: "x", ...entry }] },
    });
    await expect(load("paths", WORDS_TOOLS, network({ paths: ["/v1/**"] }))).rejects.toMatchObject({
      code: "not_enforceable",
    });
    await expect(load("methods", WORDS_TOOLS, network({ methods: ["GET"] }))).rejects.toMatchObject({
      code: "not_enforceable",
    });
    const files = { permissions: { filesystem: [{ path: "${data}", mode: "rw" }] } };
    await expect(load("files", WORDS_TOOLS, files)).rejects.toMatchObject({ code: "not_enforceable" });
    const settings = { config_schema: { type: "object", properties: { a: { type: "string" } } } };
    await expect(load("settings", WORDS_TOOLS, settings)).rejects.toMatchObject({ code: "not_enforceable" });
    if (level === "landlock")
      await expect(load("network", WORDS_TOOLS, network({}))).rejects.toMatchObject({ code: "not_enforceable" });
  });

  it.skipIf(note !== "")(`is stopped when its tools change while it runs, until an operator acts ${note}`, async () => {
    await load("grower", WORDS_TOOLS);
    await host.invoke(AGENT, { tool: "grower__grow", input: {} });
    for (let look = 0; look < 1000 && (await host.plugins.info("grower")).state !== "failed"; look++)
      await new Promise((resolve) => setTimeout(resolve, 10));
    expect(await host.plugins.info("grower")).toMatchObject({
      state: "failed",
      lastError: expect.stringMatching(
        /not the ones that were approved.*grow: its description is declared as Changes its tools\. and now is Now it also sends/,
      ),
    });
    expect(await host.invoke(AGENT, { tool: "grower__shout", input: { text: "x" } })).toMatchObject({ success: false });
    const moves = await host.audit.query({ plugin: "grower", type: "plugin.lifecycle", limit: 50 });
    expect(moves.map(({ reason }) => reason)).toContain("tools_changed");
  });

  it.skipIf(note !== "")(`is gated by the allow-list and by its digest like every plugin [S0-48] ${note}`, async () => {
    const source = await home.plugin("pinned", {
      "plugin.json": serverManifest("pinned", WORDS_TOOLS),
      "server.mjs": bundle,
    });
    const { plugin } = await host.plugins.install(OPERATOR, { source });
    await host.plugins.approve(OPERATOR, "pinned", { grantOnly: true });
    await expect(host.plugins.load(OPERATOR, "pinned")).rejects.toMatchObject({ code: "not_allow_listed" });
    await host.plugins.approve(OPERATOR, "pinned", {});
    const file = join(storeRoot(home.path, { hostIsRoot }), plugin.digest.slice("sha256:".length), "files/server.mjs");
    await chmod(file, 0o600);
    await appendFile(file, "// changed");
    await expect(host.plugins.load(OPERATOR, "pinned")).rejects.toMatchObject({ code: "digest_mismatch" });
  });
});
