import { describe, expect, it } from "vitest";
import { KV_LIMITS } from "../../src/broker/index.ts";
import type { CallContext, Progress } from "../../src/supervisor/index.ts";
import { bench, codeOf, memoryKv } from "./support.ts";

describe("kv", () => {
  it("keeps JSON under a key, in and outside a call, and reports each action", async () => {
    const { ask, session, actions } = bench({});
    await ask("kv.set", { key: "a/1", value: { n: [1, null, "x"] } });
    await ask("kv.set", { key: "b", value: null });
    expect(await ask("kv.get", { key: "a/1" })).toEqual({ value: { n: [1, null, "x"] }, found: true });
    expect(await ask("kv.get", { key: "b" })).toEqual({ value: null, found: true });
    expect(await ask("kv.get", { key: "c" })).toEqual({ value: null, found: false });
    expect(await ask("kv.list", { prefix: "a/" })).toEqual({ keys: ["a/1"] });
    const signal = new AbortController().signal;
    expect(await session.handle("kv.delete", { call: null, key: "b" }, null, signal)).toEqual({ deleted: true });
    expect(await ask("kv.delete", { key: "b" })).toEqual({ deleted: false });
    expect(actions[0]).toMatchObject({
      capability: "kv",
      method: "kv.set",
      target: "a/1",
      outcome: "succeeded",
      callId: "call_1",
      bytes: 18,
    });
  });

  it("is the plugin's own: another plugin's keys are not there", async () => {
    const kv = memoryKv();
    await kv.set("other", "a", '"theirs"', 1_000);
    const { ask } = bench({ kv });
    expect(await ask("kv.get", { key: "a" })).toEqual({ value: null, found: false });
    expect(await ask("kv.list", { prefix: "" })).toEqual({ keys: [] });
  });

  it("bounds keys, values, depth and all together [S1-13]", async () => {
    const { ask } = bench({});
    const set = (key: string, value: unknown) => codeOf(ask("kv.set", { key, value }));
    expect(await set("k".repeat(KV_LIMITS.keyBytes + 1), 1)).toBe("usage");
    expect(await set("", 1)).toBe("usage");
    expect(await set("a\0b", 1)).toBe("usage");
    expect(await set("v", "x".repeat(KV_LIMITS.valueBytes))).toBe("limit_exceeded");
    let deep: unknown = 1;
    for (let level = 0; level < 100; level++) deep = [deep];
    expect(await set("d", deep)).toBe("limit_exceeded");
    expect(await set("p", JSON.parse('{"__proto__":1}'))).toBe("usage");
    expect(await set("u", undefined)).toBe("usage");
    const room = Math.floor(KV_LIMITS.quotaBytes / KV_LIMITS.valueBytes);
    for (let index = 0; index < room; index++) await set(`full${index}`, "x".repeat(KV_LIMITS.valueBytes - 20));
    expect(await set("last", "x".repeat(KV_LIMITS.valueBytes - 20))).toBe("quota_exceeded");
  });
});

const line = (message: string, extra = {}) => ({ call: null, level: "info", message, ...extra });

describe("log and progress", () => {
  it("hands lines on, redacted and escaped", () => {
    const { session, lines } = bench({ vault: { KEY: { value: "hunter22", origins: [] } } });
    session.notify(
      "log",
      line("key is hunter22 \u001b[31m\u202e", { fields: { "a\u0007": "hunter22", n: [1, { x: "\u0000" }] } }),
      null,
    );
    expect(lines).toEqual([
      {
        plugin: expect.anything(),
        time: 0,
        level: "info",
        message: "key is [secret KEY] \\u{1b}[31m\\u{202e}",
        fields: { "a\\u{7}": "[secret KEY]", n: [1, { x: "\\u{0}" }] },
        callId: null,
      },
    ]);
  });

  it("finds a secret of digits in numbers as well", () => {
    const { session, lines } = bench({ vault: { PIN: { value: "47110815", origins: [] } } });
    session.notify("log", line("here", { fields: { pin: 47110815, list: [47110815, 7] } }), null);
    expect(lines[0]?.fields).toEqual({ pin: "[secret PIN]", list: ["[secret PIN]", 7] });
  });

  it("drops a flood and says how much, and drops what is malformed [S1-13]", () => {
    let now = 0;
    const { session, lines } = bench({ clock: { now: () => 0, monotonic: () => now } });
    for (let index = 0; index < 5_000; index++) session.notify("log", line(String(index)), null);
    for (const bad of [
      null,
      1,
      [],
      {},
      line("x", { level: "fatal" }),
      line("x", { extra: 1 }),
      line("x", { call: "call_9" }),
    ])
      session.notify("log", bad, null);
    expect(lines).toHaveLength(500);
    now = 1_000;
    session.notify("log", line("after"), null);
    expect(lines.slice(500).map(({ level, message }) => [level, message])).toEqual([
      ["warn", "4507 lines of this plugin were dropped: too many at once, or malformed."],
      ["info", "after"],
    ]);
    session.notify("unknown", {}, null);
  });

  it("cuts a long message and long fields", () => {
    const { session, lines } = bench({});
    session.notify("log", line("x".repeat(1_000_000), { fields: { a: "y".repeat(1_000_000) } }), null);
    expect(JSON.stringify(lines).length).toBeLessThan(20_000);
  });

  it("hands progress to the call that it belongs to, at a bounded rate", () => {
    const { session, context } = bench({
      clock: { now: () => 0, monotonic: () => 0 },
      vault: { KEY: { value: "hunter22", origins: [] } },
    });
    const seen: Progress[] = [];
    const call: CallContext = { ...context, progress: (progress) => seen.push(progress) };
    session.notify("progress", { call: "call_1", progress: 1, total: 3, message: "hunter22\u0007" }, call);
    session.notify("progress", { call: "call_2", progress: 1 }, call);
    session.notify("progress", { call: "call_1", progress: "1" }, call);
    session.notify("progress", { call: null, progress: 1 }, null);
    for (let index = 0; index < 1_000; index++) session.notify("progress", { call: "call_1", progress: index }, call);
    expect(seen[0]).toEqual({ progress: 1, total: 3, message: "[secret KEY]\\u{7}" });
    expect(seen.length).toBeLessThanOrEqual(40);
  });
});
