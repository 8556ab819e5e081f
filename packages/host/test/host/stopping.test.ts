import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { starterConfig } from "../../src/config/index.ts";
import type { Host, InvokeAnswer } from "../../src/host-api.ts";
import { lacking, lackingNote } from "../support/namespace.ts";
import { AGENT, installed, makeHome, manifestOf, OPERATOR, type TestHome, toolLine } from "../support/home.ts";

let home: TestHome;
let host: Host;
beforeEach(async () => {
  home = await makeHome();
  host = await home.open();
});
afterEach(() => home.remove());

/** `hold` says that it has begun and lasts until `release` was called, or for ever. */
const SOURCE = `let release; const released = new Promise((resolve) => (release = resolve));
export default { tools: {
  async hold(input, ctx) { ctx.progress(1); await released; return { held: true }; },
  async release() { release(); return {}; },
} };`;
const TOOLS = [toolLine("hold", "write"), toolLine("release")];

const install = async (concurrency: number): Promise<string> =>
  installed(
    host,
    await home.plugin("holder", {
      "plugin.yml": manifestOf("holder", TOOLS, `permissions: {}\nlimits: { concurrency: ${concurrency} }`),
      "plugin.js": SOURCE,
    }),
    { allowTools: ["hold"] },
  );

/** A call of `hold` that is in flight when this resolves. */
async function held(signal?: AbortSignal): Promise<{ answer: Promise<InvokeAnswer> }> {
  let begun = (): void => undefined;
  const inFlight = new Promise<void>((resolve) => (begun = resolve));
  const answer = host.invoke(AGENT, {
    tool: "holder__hold",
    input: {},
    onProgress: () => begun(),
    ...(signal && { signal }),
  });
  await Promise.race([inFlight, answer]);
  return { answer };
}

async function outcomeOf(answer: InvokeAnswer): Promise<string | undefined> {
  const events = await host.audit.query({ call: answer.callId, order: "asc" });
  return events.find(({ phase }) => phase === "outcome")?.outcome;
}

describe.skipIf(lacking !== undefined)(`calls of a plugin that stops${lackingNote}`, () => {
  it("end by themselves before an unload does, and succeed; new ones find no tool", async () => {
    await install(4);
    const { answer } = await held();
    const releasing = host.invoke(AGENT, { tool: "holder__release", input: {} });
    const unloaded = host.plugins.unload(OPERATOR, "holder");
    expect(await releasing).toMatchObject({ success: true });
    expect(await answer).toMatchObject({ success: true, result: { held: true } });
    expect(await unloaded).toMatchObject({ state: "stopped" });
    expect(await outcomeOf(await answer)).toBe("succeeded");
    expect(await host.invoke(AGENT, { tool: "holder__hold", input: {} })).toMatchObject({ code: "unknown_tool" });
  });

  it("are given up with --now, and nobody says that they succeeded", async () => {
    await install(4);
    const { answer } = await held();
    expect(await host.plugins.unload(OPERATOR, "holder", { now: true })).toMatchObject({ state: "stopped" });
    expect(await answer).toMatchObject({ success: false, code: "cancelled" });
    expect(await outcomeOf(await answer)).toBe("unknown");
  });

  it("are given up when their plugin is revoked, at once", async () => {
    await install(4);
    const { answer } = await held();
    expect(await host.plugins.revoke(OPERATOR, "holder")).toMatchObject({ state: "revoked" });
    expect(await answer).toMatchObject({ success: false, code: "cancelled" });
    expect(await outcomeOf(await answer)).toBe("unknown");
  });

  it("that waited for a place when they were cancelled, or the plugin stopped, never started", async () => {
    await install(1);
    const running = await held();
    const controller = new AbortController();
    const cancelled = host.invoke(AGENT, { tool: "holder__hold", input: { n: 2 }, signal: controller.signal });
    const waiting = host.invoke(AGENT, { tool: "holder__hold", input: { n: 3 } });
    controller.abort();
    expect(await cancelled).toMatchObject({ success: false, code: "cancelled" });
    expect(await outcomeOf(await cancelled)).toBe("not_started");
    const unloaded = host.plugins.unload(OPERATOR, "holder");
    expect(await waiting).toMatchObject({ success: false, code: "plugin_not_running" });
    expect(await outcomeOf(await waiting)).toBe("not_started");
    await host.plugins.unload(OPERATOR, "holder", { now: true });
    await unloaded;
    expect(await outcomeOf(await running.answer)).toBe("unknown");
  });

  it("end by themselves before the host does", async () => {
    await install(4);
    const { answer } = await held();
    const releasing = host.invoke(AGENT, { tool: "holder__release", input: {} });
    await host.close();
    expect(await releasing).toMatchObject({ success: true });
    expect(await answer).toMatchObject({ success: true });
    host = await home.open();
    expect(await outcomeOf(await answer)).toBe("succeeded");
  });
});

describe.skipIf(lacking !== undefined)(`a plugin of a real host${lackingNote}`, () => {
  it("sleeps when nobody calls it, stays listed, and wakes at a call", async () => {
    await install(1);
    await home.writeConfig(
      starterConfig({ pluginsEnabled: true }).replace("isolation:", "isolation:\n  idle_after_s: 0.1"),
    );
    await host.close();
    host = await home.open();
    expect(await host.invoke(AGENT, { tool: "holder__release", input: {} })).toMatchObject({ success: true });
    await expect.poll(async () => (await host.plugins.info("holder")).state, { timeout: 20_000 }).toBe("idle");
    expect((await host.tools.list(AGENT)).map(({ name }) => name)).toContain("holder__hold");
    expect(await host.invoke(AGENT, { tool: "holder__release", input: {} })).toMatchObject({ success: true });
  });

  it("has a process for each agent when the operator wants it, so that nothing of one reaches another", async () => {
    await home.writeConfig(
      starterConfig({ pluginsEnabled: true }).replace("isolation:", "isolation:\n  per_agent: true"),
    );
    await host.close();
    host = await home.open();
    await installed(
      host,
      await home.plugin("diary", {
        "plugin.yml": manifestOf("diary", [toolLine("write_down")]),
        "plugin.js": `const seen = []; export default { tools: { write_down(input) { seen.push(input.text); return { seen }; } } };`,
      }),
    );
    const say = async (agent: string, text: string) =>
      host.invoke({ kind: "agent", agent }, { tool: "diary__write_down", input: { text } });
    expect(await say("a", "of a")).toMatchObject({ result: { seen: ["of a"] } });
    expect(await say("b", "of b")).toMatchObject({ result: { seen: ["of b"] } });
    expect(await say("a", "again")).toMatchObject({ result: { seen: ["of a", "again"] } });
  });

  it("that does not start says why in its last error", async () => {
    const source = await home.plugin("broken", {
      "plugin.yml": manifestOf("broken", [toolLine("look")]),
      "plugin.js": `export default { initialize() { throw new Error("the moon is missing"); }, tools: { look: () => ({}) } };`,
    });
    await expect(installed(host, source)).rejects.toMatchObject({ code: "initialize_failed" });
    expect((await host.plugins.info("broken")).lastError).toContain("the moon is missing");
  });
});
