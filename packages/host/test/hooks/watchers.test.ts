import { describe, expect, it } from "vitest";
import type { Grant, Scope } from "../../src/capability/index.ts";
import { withMark } from "../../src/host/marks.ts";
import { createOutboxes } from "../../src/host/outbox.ts";
import { createWatchers } from "../../src/host/watchers.ts";
import { PLUGIN_STATES, type PluginState } from "../../src/kernel/index.ts";
import { readManifest } from "../../src/manifest/index.ts";
import type { StoredPlugin } from "../../src/store/index.ts";

const text = (hooks: string): string => `id: guard
name: Guard
version: 1.0.0
description: A plugin of a test.
entry: plugin.js
contributes: { hooks: ${hooks} }
permissions: { events: [{ direction: consume, topic: "orders.*" }] }
config_schema: {}
`;
const OTHER = { id: "kit", version: "1.0.0", digest: "sha256:kit" };

/** Who hears of `kit__echo` when the guard is in this state, with this grant and ceiling. */
function watchersOf(options: {
  readonly hooks: string;
  readonly granted: readonly Scope[];
  readonly state?: PluginState;
  readonly ceiling?: readonly Scope[];
}) {
  const { manifest } = readManifest({ name: "plugin.yml", bytes: Buffer.from(text(options.hooks)) });
  const ref = { id: "guard", version: "1.0.0", digest: "sha256:guard" };
  const record = { ref, manifest, active: true, state: options.state ?? "running" } as unknown as StoredPlugin;
  return createWatchers({
    catalog: { versions: () => [record] },
    hearing: () => ["guard"],
    grantOf: () => ({ scopes: options.granted }) as unknown as Grant,
    ceilingOf: () => options.ceiling,
  });
}

const before = (tools: readonly string[], more: object = {}): Scope => ({
  capability: "hooks",
  event: "tool.before_call",
  tools,
  ...more,
});
const MANIFEST = "[{ event: tool.before_call, handler: look, tools: [kit__echo, kit__other], payload: true }]";

describe("who watches a tool", () => {
  it("is whoever was granted to, as narrow as that was", () => {
    const one = watchersOf({ hooks: MANIFEST, granted: [before(["kit__echo"])] });
    expect(one.ofTool(OTHER, "kit__echo")?.before).toMatchObject([
      { handler: "look", scope: { tools: ["kit__echo"] } },
    ]);
    expect(one.ofTool(OTHER, "kit__echo")?.before[0]?.scope.payload).toBeUndefined();
    expect(one.ofTool(OTHER, "kit__other")).toBeUndefined();
    expect(watchersOf({ hooks: MANIFEST, granted: [] }).ofTool(OTHER, "kit__echo")).toBeUndefined();
  });

  it("is never wider than the manifest, the grant or the ceiling", () => {
    const wide = before(["kit__echo", "kit__more"], { payload: true, mark: { pointer: "/a", value: 1 } });
    expect(watchersOf({ hooks: MANIFEST, granted: [wide] }).ofTool(OTHER, "kit__echo")).toBeUndefined();
    const granted = [before(["kit__echo", "kit__other"], { payload: true })];
    expect(watchersOf({ hooks: MANIFEST, granted }).ofTool(OTHER, "kit__echo")?.before).toHaveLength(1);
    expect(watchersOf({ hooks: MANIFEST, granted, ceiling: [] }).ofTool(OTHER, "kit__echo")).toBeUndefined();
    expect(
      watchersOf({ hooks: MANIFEST, granted, ceiling: [before(["kit__echo"])] }).ofTool(OTHER, "kit__echo"),
    ).toBeUndefined();
  });

  it("guards also while it is stopped or has failed, so that nobody gets it out of the way by a crash", () => {
    const guarding = PLUGIN_STATES.filter(
      (state) =>
        watchersOf({ hooks: MANIFEST, granted: [before(["kit__echo"])], state }).ofTool(OTHER, "kit__echo") !==
        undefined,
    );
    expect(guarding).toEqual(["approved", "starting", "running", "idle", "unhealthy", "failed", "stopped"]);
    const watching = "[{ event: tool.after_call, handler: look, tools: [kit__echo] }]";
    const after: Scope = { capability: "hooks", event: "tool.after_call", tools: ["kit__echo"] };
    const hearing = PLUGIN_STATES.filter(
      (state) => watchersOf({ hooks: watching, granted: [after], state }).ofTool(OTHER, "kit__echo") !== undefined,
    );
    expect(hearing).toEqual(["starting", "running", "idle", "unhealthy"]);
  });

  it("without tools is the plugin itself", () => {
    const own = watchersOf({ hooks: "[{ event: tool.before_call, handler: look }]", granted: [before([])] });
    expect(own.ofTool(OTHER, "kit__echo")).toBeUndefined();
    expect(own.ofTool({ ...OTHER, id: "guard" }, "guard__own")?.before).toHaveLength(1);
  });

  it("hears of a plugin's states when it named a tool of it, and of topics as granted", () => {
    const lifecycle: Scope = { capability: "hooks", event: "plugin.lifecycle", tools: ["kit__echo"] };
    const topic = (name: string): Scope => ({ capability: "events", direction: "consume", topic: name });
    const hooks = "[{ event: plugin.lifecycle, handler: look, tools: [kit__echo] }]";
    const found = watchersOf({ hooks, granted: [lifecycle, topic("orders.paid"), topic("billing.*")] });
    expect(found.ofPlugin("kit")).toHaveLength(1);
    expect(found.ofPlugin("ki")).toHaveLength(0);
    expect(found.ofPlugin("guard")).toHaveLength(0);
    expect(found.consumersOf("orders.paid")).toHaveLength(1);
    expect(found.consumersOf("orders.created")).toHaveLength(0);
    // Granted, but never asked for.
    expect(found.consumersOf("billing.x")).toHaveLength(0);
  });
});

describe("a mark", () => {
  it.each([
    [{ a: 1 }, "/m", { a: 1, m: true }],
    [{ m: "x" }, "/m", { m: true }],
    [{}, "/a/b", { a: { b: true } }],
    [{ a: { c: 1 } }, "/a/b", { a: { c: 1, b: true } }],
    [{ a: [1] }, "/a/0", null],
    [{ a: "x" }, "/a/b", null],
    [{ m: { keep: 1 } }, "/m", null],
    [[1], "/m", null],
    [{}, "/__proto__/polluted", null],
    [{}, "", null],
  ])("in %j at %s gives %j", (input, pointer, wanted) => {
    const copy = structuredClone(input);
    expect(withMark(input, { pointer, value: true })).toEqual(wanted);
    expect(input).toEqual(copy);
  });
});

describe("what waits to be told", () => {
  it("is told in order, one at a time; what has no room is counted, at the first and at the end", async () => {
    const told: number[] = [];
    const dropped: number[] = [];
    const outboxes = createOutboxes({ items: 3, bytes: 100, onDropped: (_, count) => void dropped.push(count) });
    let go = (): void => undefined;
    const gate = new Promise<void>((resolve) => (go = resolve));
    const offer = (n: number, bytes = 1) =>
      outboxes.offer("p", bytes, async () => {
        await gate;
        told.push(n);
        if (n === 2) throw new Error("its own matter");
      });
    expect([1, 2, 3, 4, 5, 6].map((n) => offer(n))).toEqual([true, true, true, false, false, false]);
    expect(dropped).toEqual([1]);
    // Another plugin's queue is its own.
    expect(outboxes.offer("q", 101, () => Promise.resolve())).toBe(false);
    go();
    await outboxes.settled();
    expect(told).toEqual([1, 2, 3]);
    expect(dropped).toEqual([1, 1, 2]);
    expect(offer(7)).toBe(true);
    await outboxes.settled();
  });
});
