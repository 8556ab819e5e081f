import { describe, expect, it } from "vitest";
import type { Grant } from "../../src/capability/index.ts";
import type { PluginState } from "../../src/kernel/index.ts";
import { createLoadedTools } from "../../src/host/loaded-tools.ts";
import { toolName } from "../../src/host/route.ts";
import type { StoredPlugin } from "../../src/store/index.ts";

function plugin(id: string, tools: readonly string[], state: PluginState = "idle", version = "1.0.0"): StoredPlugin {
  return {
    ref: { id, version, digest: `sha256:${id}${version}` },
    manifest: { tools: tools.map((name) => ({ name })) },
    state,
    active: true,
  } satisfies Partial<Record<keyof StoredPlugin, unknown>> as unknown as StoredPlugin;
}

function bench(...initial: StoredPlugin[]) {
  let records = initial;
  const grants = new Map<string, Grant>();
  const grantOf = ({ ref }: StoredPlugin): Grant => {
    const known = grants.get(ref.digest) ?? ({ id: ref.id, scopes: [] } as unknown as Grant);
    grants.set(ref.digest, known);
    return known;
  };
  const waiting = new Set<string>();
  const tools = createLoadedTools({
    catalog: { all: () => records, versions: (id) => records.filter(({ ref }) => ref.id === id) },
    grantOf,
    presence: ({ id }) => (waiting.has(id) ? "waiting" : "listed"),
  });
  return {
    tools,
    grants,
    waiting,
    names: (after = "") => [...tools.behind(after)].map((own) => toolName(own.plugin.id, own.tool.name)),
    move(record: StoredPlugin, changes: Partial<StoredPlugin>) {
      const now = { ...record, ...changes };
      records = records.map((own) => (own === record ? now : own));
      return { now, changed: tools.changed(record, now) };
    },
    add(record: StoredPlugin) {
      records = [...records, record];
      return tools.changed(undefined, record);
    },
  };
}

describe("the tools of loaded plugins", () => {
  it("are in the order of their names, whatever the order of ids is, and go on behind any name", () => {
    const { names } = bench(plugin("a-b", ["x"]), plugin("a", ["z", "y"]), plugin("acme/a", ["x"]), plugin("b", ["x"]));
    const all = ["a-b__x", "a__y", "a__z", "acme_a__x", "b__x"];
    expect(names()).toEqual(all);
    expect(all).toEqual(all.toSorted());
    const places = ["", "a", "a-b", "a-b__w", "a__", "a__xx", "acme", "acme_a__", "b", "b__y", "zz", ...all];
    for (const after of places) expect([after, names(after)]).toEqual([after, all.filter((name) => name > after)]);
  });

  it("are found by name, of the active version and no other, and not by a name that nobody declares", () => {
    const old = { ...plugin("acme/a", ["gone"], "idle", "0.9.0"), active: false };
    const { tools } = bench(old, plugin("acme/a", ["x"]), plugin("b", ["x"], "stopped"));
    expect(tools.find("acme_a__x")?.plugin.version).toBe("1.0.0");
    for (const name of ["acme_a__gone", "acme_a__", "acme/a__x", "acme_a", "__x", "", "b__x"])
      expect([name, tools.find(name)]).toEqual([name, undefined]);
  });

  it("are as they were when a plugin falls asleep and wakes, and change when it stops", () => {
    let now = plugin("a", ["x"], "running");
    const own = bench(now);
    for (const state of ["idle", "starting", "running", "unhealthy", "running"] as const) {
      const moved = own.move(now, { state });
      expect([state, moved.changed]).toEqual([state, false]);
      now = moved.now;
    }
    expect(own.move(now, { state: "stopped" }).changed).toBe(true);
  });

  it("change when a crashed plugin waits for its restart, and when it is back", () => {
    const start = plugin("a", ["x"], "running");
    const own = bench(start);
    own.waiting.add("a");
    const down = own.move(start, { state: "unhealthy" });
    expect(down.changed).toBe(true);
    expect(own.move(down.now, { state: "starting" }).changed).toBe(false);
    expect(own.move({ ...down.now, state: "starting" }, { state: "running" }).changed).toBe(true);
  });

  it("change with a grant, and with which version is active", () => {
    const start = plugin("a", ["x"]);
    const own = bench(start);
    expect(own.move(start, { lastError: "x" }).changed).toBe(false);
    own.grants.clear();
    expect(own.move(start, { lastError: "y" }).changed).toBe(true);
    const next = { ...plugin("a", ["x"], "approved", "2.0.0"), active: false };
    expect(own.add(next)).toBe(false);
    expect(own.move(start, { active: false }).changed).toBe(true);
    expect(own.move(next, { active: true, state: "running" }).changed).toBe(true);
  });
});
