import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Host } from "../../src/host-api.ts";
import { AGENT, installed, makeHome, OPERATOR, type TestHome, toolLine } from "../support/home.ts";
import { needsNamespace } from "../support/namespace.ts";
import { addPlugin, eventsOf, failureOf, nextEvent, OPEN_CONFIG, resultOf } from "./support.ts";

needsNamespace();

const SECRET = "s3cr3t-value-of-the-vault-7731";
let home: TestHome;
let host: Host;

/** Keeps what it is told, and says it when asked. */
const WATCHER = `
const attempt = (run) => Promise.resolve().then(run).then(() => "done", (error) => error.code ?? error.message);
const told = [];
// What it really saw: on the way back to the test the host would take a secret out again.
const backwards = (value) => [...JSON.stringify(value)].reverse().join("");
const keep = async (event, ctx) => { told.push({ ...event, backwards: backwards(event), files: await attempt(() => ctx.files.write("\${data}/x", "1")) }); };
export default {
  hooks: { keep, keepFailed: keep, "tool.after_call": keep, fail() { throw new Error("it fails"); } },
  tools: { told: () => ({ told }) },
};`;
const DATA = `permissions: { filesystem: [{ path: "\${data}", mode: rw }] }`;

beforeAll(async () => {
  home = await makeHome(OPEN_CONFIG);
  host = await home.open();
  await host.secrets.set(OPERATOR, "TOKEN", SECRET, ["https://api.example.com"]);
  await addPlugin(home, host, "kit", {
    tools: [toolLine("echo"), toolLine("fails"), toolLine("other")],
    code: `export default { tools: { echo: (input) => input, fails: () => { throw new Error("no") }, other: () => 1 } };`,
  });
  await addPlugin(home, host, "watcher", {
    tools: [toolLine("told")],
    contributes: `  hooks:
    - { event: tool.after_call, handler: keep, tools: [kit__echo], payload: true }
    - { event: tool.after_call, handler: keepFailed, tools: [kit__fails] }
    - { event: tool.after_call, handler: fail, tools: [kit__fails] }
    - { event: plugin.lifecycle, handler: keep, tools: [kit__echo] }`,
    more: DATA,
    code: WATCHER,
  });
});
afterAll(() => home?.remove());

const told = async (id = "watcher") =>
  ((await resultOf(host, `${id}__told`, {})) as { told: readonly Record<string, unknown>[] }).told;

/** Resolves once a hook that watches has run for this call. */
function ran(id: string, event: string, outcome = "succeeded") {
  return nextEvent(
    host,
    (found) =>
      found.type === "hook.ran" &&
      found.plugin?.id === id &&
      found.data?.["event"] === event &&
      found.outcome === outcome,
  );
}

describe("a hook on tool.after_call [S1-3]", () => {
  it("hears what became of a call, with arguments and result as granted, and without known secrets", async () => {
    const heard = ran("watcher", "tool.after_call");
    const { callId } = await host.invoke(AGENT, { tool: "kit__echo", input: { text: `x ${SECRET}` } });
    const event = await heard;
    expect(event).toMatchObject({
      parent_call: callId,
      agent: "local",
      tool: "kit__echo",
      data: { handler: "keep", payload: true },
    });
    expect((await told()).at(-1)).toMatchObject({
      event: "tool.after_call",
      call: callId,
      tool: "kit__echo",
      plugin: "kit",
      agent: "local",
      effect: "read",
      outcome: "succeeded",
      input: { text: expect.not.stringContaining(SECRET) },
      result: { text: expect.not.stringContaining(SECRET) },
      backwards: expect.not.stringContaining(SECRET.split("").toReversed().join("")),
    });
  });

  it("may use log and kv only, whatever its plugin was granted", async () => {
    expect((await told()).at(-1)).toMatchObject({ files: "permission_denied" });
  });

  it("changes nothing by failing, and without payload sees neither arguments nor result", async () => {
    const heard = ran("watcher", "tool.after_call");
    const failed = ran("watcher", "tool.after_call", "failed");
    const answer = failureOf(await host.invoke(AGENT, { tool: "kit__fails", input: { text: "private" } }));
    expect(answer.code).toBe("tool_failed");
    expect(await failed).toMatchObject({ reason: "tool_failed", data: { handler: "fail" } });
    await heard;
    const last = (await told()).at(-1);
    expect(last).toMatchObject({ outcome: "failed", code: "tool_failed" });
    expect(JSON.stringify(last)).not.toContain("private");
  });

  it("hears nothing of calls that never reached a plugin, nor of tools that it does not watch", async () => {
    const before = (await told()).length;
    await host.invoke(AGENT, { tool: "kit__none", input: {} });
    await host.invoke(AGENT, { tool: "kit__other", input: {} });
    const heard = ran("watcher", "tool.after_call");
    await host.invoke(AGENT, { tool: "kit__echo", input: {} });
    await heard;
    expect((await told()).length).toBe(before + 1);
  });

  it("of a manifest of another system watches what the operator says, by the function of its event's name", async () => {
    const source = await home.plugin("foreign", {
      "plugin.yml": `id: foreign
name: Foreign
version: 1.0.0
description: A plugin of another system.
license: MIT
entry: plugin.js
capabilities: [provide-tools, provide-hooks]
tools: [{ name: told, description: What it heard., effect: read, input_schema: { type: object } }]
config_schema: {}
`,
      "plugin.js": WATCHER,
    });
    await installed(host, source, { scopes: ["hooks=tool.after_call:kit__other"] });
    const heard = ran("foreign", "tool.after_call");
    await host.invoke(AGENT, { tool: "kit__other", input: {} });
    await heard;
    expect((await told("foreign")).at(-1)).toMatchObject({ tool: "kit__other", outcome: "succeeded" });
  });

  it("with `background: true` may do what was granted, announced before", async () => {
    await addPlugin(home, host, "worker", {
      tools: [toolLine("told")],
      contributes: "  hooks: [{ event: tool.after_call, handler: keep, tools: [kit__other], background: true }]",
      more: DATA,
      code: WATCHER,
    });
    const heard = ran("worker", "tool.after_call");
    await host.invoke(AGENT, { tool: "kit__other", input: {} });
    const { call_id: call } = await heard;
    expect((await told("worker")).at(-1)).toMatchObject({ files: "done" });
    const events = await eventsOf(host, { call: call ?? "" });
    expect(events.map(({ type, phase }) => `${type} ${phase ?? ""}`)).toEqual([
      "hook.ran intent",
      "broker.action ",
      "hook.ran outcome",
    ]);
    const { permissions } = await host.plugins.info("worker");
    expect(permissions.find(({ capability }) => capability === "hooks")?.sentence).toContain(
      "WITHOUT ANY CALL OF AN AGENT",
    );
  });
});

describe("a hook on plugin.lifecycle [S1-3]", () => {
  it("hears of the states of the plugins that were named", async () => {
    const heard = ran("watcher", "plugin.lifecycle");
    await host.plugins.unload(OPERATOR, "kit");
    await heard;
    expect((await told()).at(-1)).toMatchObject({
      event: "plugin.lifecycle",
      plugin: "kit",
      version: "1.0.0",
      from: "running",
      to: "stopped",
    });
    const before = (await told()).length;
    await host.plugins.unload(OPERATOR, "worker");
    const again = ran("watcher", "plugin.lifecycle");
    await host.plugins.load(OPERATOR, "kit");
    await again;
    expect((await told()).slice(before).every(({ plugin }) => plugin === "kit")).toBe(true);
  });
});

describe("a hook whose function is not in the code", () => {
  it("keeps the plugin from loading", async () => {
    await expect(
      addPlugin(home, host, "lacking", {
        tools: [toolLine("none")],
        contributes: "  hooks: [{ event: tool.before_call, handler: missing }]",
        code: "export default { tools: { none: () => 1 } };",
      }),
    ).rejects.toMatchObject({ code: "load_failed", message: expect.stringContaining("missing") });
  });
});
