import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Host, InvokeAnswer } from "../../src/host-api.ts";
import type { Caller } from "../../src/kernel/index.ts";
import { AS_OPERATOR, OPERATOR } from "../support/home.ts";
import { needsNamespace } from "../support/namespace.ts";
import { ALLOWING, configure, type Ledger, openLedger } from "./world.ts";

needsNamespace();

const BOT: Caller = { kind: "agent", agent: "bot" };

let ledger: Ledger;
let host: Host;
beforeAll(async () => {
  ledger = await openLedger();
  ({ host } = ledger);
});
afterAll(() => ledger?.home.remove());
afterEach(async () => {
  for (const { name, from } of await host.agents.list())
    if (from.includes("store")) await host.agents.remove(OPERATOR, name);
});

const call = (tool: string, caller: Caller = BOT): Promise<InvokeAnswer> =>
  host.invoke(caller, { tool: `ledger__${tool}`, input: {} });
const names = async (caller: Caller = BOT): Promise<string[]> =>
  (await host.tools.list(caller)).flatMap(({ plugin, tool }) => (plugin === "ledger" ? [tool] : []));
/** An answer but for what differs from call to call. */
const told = (answer: object, name: string): string =>
  JSON.stringify({ ...answer, callId: "" }).replaceAll(name, "NAME");

describe("a tool that is hidden from an agent", () => {
  it("is answered as one that does not exist, wherever it is asked for [S2-28, S2-31]", async () => {
    await host.agents.set(OPERATOR, "bot", { deny: ["ledger__look"] });
    expect(await names()).not.toContain("look");
    expect(await names({ kind: "agent", agent: "other" })).toContain("look");
    expect(told(await call("look"), "ledger__look")).toBe(told(await call("nothing"), "ledger__nothing"));
    const info = async (tool: string) => host.tools.info(BOT, tool).catch((error: object) => told({ ...error }, tool));
    expect(await info("ledger__look")).toBe(await info("ledger__nothing"));

    const run = async (name: string) => told(await host.commands.run(BOT, { name, words: ["a", "b", "c"] }), name);
    expect(await run("ledger__look")).toBe(await run("ledger__nothing"));
    expect(await run("look")).toBe(await run("nothing"));
    const route = async (path: string, query = {}) =>
      told(
        await host.routes.call(BOT, { plugin: "ledger", method: "GET", path, query, body: { same: 1 } }),
        "not in it",
      );
    expect(await route("/look", { same: "1" })).toBe(await route("/nothing"));
    expect((await host.commands.list(BOT)).map(({ command }) => command)).toEqual(["save", "send", "wipe"]);
    expect(await ledger.seen()).toEqual([]);
  });

  it("is refused to an operator, also one who acts as that agent, who is told why", async () => {
    await host.agents.set(OPERATOR, "bot", { tools: [] });
    await host.agents.set(OPERATOR, "cli", { deny: ["ledger__look"] });
    expect(await call("look", { kind: "agent", agent: "bot", operator: "ada" })).toMatchObject({
      code: "policy_denied",
      detail: expect.stringContaining("agent bot: tools"),
    });
    expect(await call("look", AS_OPERATOR)).toMatchObject({
      code: "policy_denied",
      detail: expect.stringContaining("agent cli: deny"),
    });
  });

  it("is hidden, and there again, at once; listeners are told [S4-25]", async () => {
    let changes = 0;
    const stop = host.onToolsChanged(() => changes++);
    await host.agents.set(OPERATOR, "bot", { strongestEffect: "read" });
    expect([changes, await names()]).toEqual([1, ["hold", "look", "seen"]]);
    await host.agents.remove(OPERATOR, "bot");
    expect([changes, await names()]).toEqual([2, ["hold", "look", "save", "seen", "send", "wipe"]]);
    stop();
    const audited = await host.audit.query({ type: "agent.changed", agent: "bot", order: "desc", limit: 2 });
    expect(audited.map(({ actor, data }) => [actor, data?.["change"]])).toEqual([
      ["operator:tester", "removed"],
      ["operator:tester", "set"],
    ]);
  });
});

describe("a tool above read", () => {
  it("is there for nobody once it is not enabled, until it is again, for all or for one agent [S2-29, S4-26, S4-27, S4-28]", async () => {
    for (const tool of ["save", "send", "wipe"]) await host.agents.enableTool(OPERATOR, `ledger__${tool}`, false);
    expect(await names()).toEqual(["hold", "look", "seen"]);
    expect(await call("save")).toMatchObject({ code: "unknown_tool" });
    await host.agents.set(OPERATOR, "bot", { enabledTools: ["ledger__save"] });
    expect(await names()).toEqual(["hold", "look", "save", "seen"]);
    expect(await names({ kind: "agent", agent: "other" })).toEqual(["hold", "look", "seen"]);
    for (const tool of ["save", "send", "wipe"]) await host.agents.enableTool(OPERATOR, `ledger__${tool}`, true);
    expect(await names({ kind: "agent", agent: "other" })).toEqual(["hold", "look", "save", "seen", "send", "wipe"]);
    expect(await host.agents.enabledTools()).toEqual(expect.arrayContaining(["ledger__save"]));
    await expect(host.agents.enableTool(OPERATOR, "ledger__none", true)).rejects.toMatchObject({ code: "not_found" });
  });
});

describe("a tool above read that is enabled", () => {
  it("still asks as policy says, and still runs behind the walls [S4-30, S4-31]", async () => {
    const asking = ALLOWING.replace("write: allow", "write: require_approval");
    await configure(ledger, asking);
    const asked = await call("save");
    expect(asked).toMatchObject({ success: false, code: "approval_required" });
    expect(await ledger.seen()).toEqual([]);
    await host.approvals.approve(OPERATOR, asked.success ? "" : (asked.approval?.id ?? ""));
    const answer = await call("save");
    expect(answer).toMatchObject({ success: true });
    const events = await host.audit.query({ call: answer.callId, type: "plugin_tool.invoked" });
    expect(events.length).toBeGreaterThan(0);
    for (const event of events) expect(event).toMatchObject({ contained: true, isolation: "namespace" });
    expect((await ledger.seen()).map(({ tool }) => tool)).toEqual(["save"]);
    await configure(ledger, ALLOWING);
  });
});

describe("limits on calls", () => {
  it("refuse one too many before any work, count host-wide, and free a place on every path", async () => {
    await host.agents.set(OPERATOR, "bot", { callsInFlight: 1 });
    const signal = new AbortController();
    const first = host.invoke(BOT, { tool: "ledger__hold", input: {}, signal: signal.signal });
    const refused = await call("look");
    expect(refused).toMatchObject({ success: false, code: "busy", retryAfterMs: 1000 });
    expect(await call("nothing", { kind: "agent", agent: "other" })).toMatchObject({ code: "unknown_tool" });
    const [view] = (await host.agents.list()).filter(({ name }) => name === "bot");
    expect(view).toMatchObject({ callsInFlight: 1, limited: expect.any(Number) });
    signal.abort();
    expect(await first).toMatchObject({ code: "cancelled" });
    // Each ends in another way; none keeps the place.
    expect(await call("nothing")).toMatchObject({ code: "unknown_tool" });
    expect(await host.invoke(BOT, { tool: "ledger__look", input: 7 })).toMatchObject({ code: "invalid_input" });
    expect(await call("look")).toMatchObject({ success: true });
    const events = await host.audit.query({ call: refused.callId });
    expect(events).toMatchObject([{ decision: "deny", outcome: "not_started", reason: "busy" }]);
    await ledger.seen();
  });

  it("a minute are the same for what is there and what is not", async () => {
    await host.agents.set(OPERATOR, "slow", { callsPerMinute: 1 });
    const slow: Caller = { kind: "agent", agent: "slow" };
    expect(await call("nothing", slow)).toMatchObject({ code: "unknown_tool" });
    for (const tool of ["look", "nothing"]) {
      const answer = await call(tool, slow);
      expect(answer).toMatchObject({ code: "limit_exceeded" });
      expect(answer.success ? 0 : answer.retryAfterMs).toBeGreaterThan(1000);
    }
    expect(await ledger.seen()).toEqual([]);
    expect(await host.agents.list()).toContainEqual(expect.objectContaining({ name: "slow", callsLastMinute: 1 }));
  });
});

describe("a profile", () => {
  it("is refused when it is none, and so is a name that is none", async () => {
    const wrong = { tools: ["A B"] };
    await expect(host.agents.set(OPERATOR, "bot", wrong)).rejects.toMatchObject({ code: "usage" });
    await expect(host.agents.set(OPERATOR, "../bot", {})).rejects.toMatchObject({ code: "usage" });
    await expect(host.agents.remove(OPERATOR, "nobody")).rejects.toMatchObject({ code: "not_found" });
  });
});
