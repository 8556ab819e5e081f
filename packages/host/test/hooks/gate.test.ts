import { describe, expect, it } from "vitest";
import type { AuditEvent } from "../../src/audit/index.ts";
import type { HooksScope } from "../../src/capability/index.ts";
import type { Delivery } from "../../src/host/deliveries.ts";
import { createHookGate } from "../../src/host/hook-gate.ts";
import { createObservers } from "../../src/host/observers.ts";
import type { Watcher } from "../../src/host/watchers.ts";
import type { StoredPlugin } from "../../src/store/index.ts";
import { AGENT } from "../support/home.ts";

const NOW = 5_000;
const CLOCK = { now: () => NOW, monotonic: () => NOW };

function watcher(id: string, more: Partial<HooksScope> = {}, expiresAt?: number): Watcher {
  return {
    plugin: { id, version: "1.0.0", digest: `sha256:${id}` },
    handler: "look",
    scope: { capability: "hooks", event: "tool.before_call", tools: ["kit__echo"], ...more },
    expiresAt,
  };
}

/** Asks these watchers, of whom each answers with its `answers`. */
function gateOf(answers: Readonly<Record<string, unknown>>, before: readonly Watcher[]) {
  const events: AuditEvent[] = [];
  const asked: string[] = [];
  const gate = createHookGate({
    tell: ({ to }) => {
      asked.push(to.id);
      return Promise.resolve({ output: answers[to.id], bytes: 0 });
    },
    audit: { note: (event) => void events.push(event) },
    clock: CLOCK,
    settings: () => ({ timeoutMs: 1000, onFailure: "deny" }),
    redact: (value) => value,
    redactText: (text) => text,
  });
  const plugin = { id: "kit", version: "1.0.0", digest: "sha256:kit" };
  const run = (input: unknown) =>
    gate({
      callId: "call_1",
      caller: AGENT,
      route: { name: "kit__echo", plugin, effect: "read", watchers: { before, after: [] } },
      input,
      signal: new AbortController().signal,
    });
  return { run, events, asked };
}

const ALLOW = { decision: "allow" };
const MARK = { decision: "allow", mark: true };

describe("hooks that are asked of one call", () => {
  it("are not asked once their grant is over", async () => {
    const { run, asked } = gateOf({ old: { decision: "deny" }, now: ALLOW }, [
      watcher("old", {}, NOW),
      watcher("now", {}, NOW + 1),
    ]);
    const input = { a: 1 };
    expect(await run(input)).toBe(input);
    expect(asked).toEqual(["now"]);
  });

  it("write their marks beside each other, and never in the same place or one inside the other", async () => {
    const at = (id: string, pointer: string) => watcher(id, { mark: { pointer, value: id } });
    const both = gateOf({ a: MARK, b: MARK }, [at("a", "/m/a"), at("b", "/m/b")]);
    expect(await both.run({ x: 1 })).toEqual({ x: 1, m: { a: "a", b: "b" } });
    for (const [one, other] of [
      ["/m", "/m"],
      ["/m", "/m/b"],
      ["/m/a", "/m"],
    ] as const) {
      const clash = gateOf({ a: MARK, b: MARK }, [at("a", one), at("b", other)]);
      await expect(clash.run({})).rejects.toMatchObject({ code: "hook_failed" });
    }
  });

  it("say no in the order of their names, whatever order they answer in", async () => {
    const no = { decision: "deny" };
    const { run, events } = gateOf(
      { a: ALLOW, b: no, c: no },
      ["a", "b", "c"].map((id) => watcher(id)),
    );
    await expect(run({})).rejects.toMatchObject({ code: "hook_denied", message: expect.stringContaining("plugin b ") });
    expect(events.map(({ decision }) => decision)).toEqual(["allow", "deny", "deny"]);
  });
});

describe("hooks on the states of plugins", () => {
  it("wake nobody for a plugin that watches states itself: two would wake each other for ever", () => {
    const sent: Delivery[] = [];
    const lifecycle = watcher("one", { event: "plugin.lifecycle" });
    const observers = createObservers({
      watchers: { ofPlugin: () => [lifecycle], watchesPlugins: (id) => id === "two" || id === "one" },
      deliveries: { send: (delivery) => void sent.push(delivery) },
      redact: (value) => value,
    });
    const moves = (id: string, from: string, to: string): void => {
      const at = (state: string) => ({ ref: { id, version: "1.0.0", digest: "d" }, state }) as StoredPlugin;
      observers.moved(at(from), at(to));
    };
    moves("kit", "idle", "starting");
    moves("two", "idle", "starting");
    moves("one", "idle", "starting");
    moves("kit", "running", "running");
    expect(sent.map(({ wake }) => wake)).toEqual([true, false, false]);
  });
});
