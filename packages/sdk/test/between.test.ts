import { afterEach, describe, expect, it } from "vitest";
import { type AfterCall, type BeforeCall, definePlugin, type Verdict } from "../src/index.ts";
import { type RunningPlugin, runPlugin } from "../src/testing/index.ts";

let running: RunningPlugin;
afterEach(() => running?.close());

const plugin = definePlugin({
  async initialize(_config, ctx) {
    await ctx.events.subscribe("orders.*", async ({ topic, payload, publisher }, inner) => {
      await inner.kv.set(topic, { payload, from: publisher.id });
    });
    return true;
  },
  hooks: {
    look({ input }: BeforeCall): Verdict {
      return input === "no" ? { decision: "deny", reason: "no" } : { decision: "allow" };
    },
    count: ({ call, outcome }: AfterCall, ctx) => ctx.kv.set(call, outcome),
  },
  tools: {
    async trip({ city }, ctx) {
      const weather = await ctx.agent.callTool("weather__forecast", { city: String(city) });
      await ctx.events.publish("trips.planned", { city: String(city) });
      await ctx.agent.notify(`A trip to ${String(city)}.`);
      return weather;
    },
  },
});

const FAKES = {
  agentTools: { weather__forecast: () => ({ celsius: 21 }) },
  notify: true,
  publish: ["trips.*"],
  consume: ["orders.*"],
};

const asked: BeforeCall = {
  event: "tool.before_call",
  call: "call_1",
  tool: "mail__send",
  plugin: "mail",
  effect: "external",
  agent: "local",
};

describe("runPlugin, for what passes between plugins", () => {
  it("answers for other tools, and keeps what was published and noted", async () => {
    running = await runPlugin(plugin, FAKES);
    expect(await running.call("trip", { city: "Bern" })).toEqual({ celsius: 21 });
    expect(running.published).toEqual([{ topic: "trips.planned", payload: { city: "Bern" } }]);
    expect(running.notes).toEqual(["A trip to Bern."]);
  });

  it("tells a plugin of events and of calls", async () => {
    running = await runPlugin(plugin, FAKES);
    expect(await running.emit("orders.created", { id: 7 })).toBe(true);
    expect(running.kv.get("orders.created")).toEqual({ payload: { id: 7 }, from: "other" });
    expect(await running.emit("billing.paid")).toBe(false);
    expect(await running.hook("look", { ...asked, input: "no" })).toEqual({ decision: "deny", reason: "no" });
    expect(await running.hook("look", asked)).toEqual({ decision: "allow" });
    await running.hook("count", { ...asked, event: "tool.after_call", outcome: "failed", duration_ms: 1 });
    expect(running.kv.get("call_1")).toBe("failed");
    await expect(running.hook("none", asked)).rejects.toMatchObject({ code: "not_found" });
  });

  it.each([
    ["a tool", { agentTools: {} }],
    ["an event", { publish: [] }],
    ["a note", { notify: false }],
  ])("refuses %s that was not granted", async (_what, lacking) => {
    running = await runPlugin(plugin, { ...FAKES, ...lacking });
    await expect(running.call("trip", { city: "Bern" })).rejects.toMatchObject({
      code: "tool_failed",
      cause: { code: "permission_denied" },
    });
  });
});
