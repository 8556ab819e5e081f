import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EVENT_LIMITS } from "../../src/broker/events.ts";
import { createEvents, EVENT_DEPTH } from "../../src/host/events.ts";
import type { Flight } from "../../src/host/flights.ts";
import type { Host } from "../../src/host-api.ts";
import { systemClock } from "../../src/kernel/index.ts";
import { AGENT, makeHome, OPERATOR, type TestHome, toolLine } from "../support/home.ts";
import { needsNamespace } from "../support/namespace.ts";
import { addPlugin, eventsOf, nextEvent, OPEN_CONFIG, resultOf } from "../hooks/support.ts";

needsNamespace();

const SECRET = "s3cr3t-value-of-the-vault-5520";
const CONSUMED = { capability: "events", direction: "consume", topic: "orders.*" } as const;
let home: TestHome;
let host: Host;

const PUBLISHER = `
const attempt = (run) => Promise.resolve().then(run).then(() => "done", (error) => error.code ?? error.message);
let early;
export default {
  async initialize(_, ctx) { early = await attempt(() => ctx.events.publish("orders.created", 1)); return true; },
  tools: {
    publish: ({ topic, payload }, ctx) => attempt(() => ctx.events.publish(topic, payload)),
    placeholder: (_, ctx) => attempt(() => ctx.events.publish("orders.token", ctx.secrets.get("TOKEN"))),
    big: (_, ctx) => attempt(() => ctx.events.publish("orders.big", "x".repeat(${EVENT_LIMITS.payloadBytes + 1}))),
    async flood({ times }, ctx) {
      const codes = [];
      for (let n = 0; n < times; n++) codes.push(await attempt(() => ctx.events.publish("orders.flood", n)));
      return { codes };
    },
    early: () => early,
  },
};`;

const SUBSCRIBER = `
const attempt = (run) => Promise.resolve().then(run).then((value) => value ?? "done", (error) => error.code ?? error.message);
const heard = [];
let refused;
export default {
  async initialize(_, ctx) {
    await ctx.events.subscribe("orders.*", async (event, ctx) => {
      // What it really saw: on the way back to the test the host would take a secret out again.
      const entry = { ...event, backwards: [...JSON.stringify(event)].reverse().join("") };
      if (event.topic === "orders.reach") {
        entry.files = await attempt(() => ctx.files.write("\${data}/x", "1"));
        entry.kv = await attempt(() => ctx.kv.set("k", 1));
        entry.agent = await attempt(() => ctx.agent.callTool("publisher__early", {}));
        entry.publish = await attempt(() => ctx.events.publish("orders.again", 1));
      }
      if (event.topic === "orders.ask") entry.asked = await attempt(() => ctx.agent.callTool("publisher__early", {}));
      if (event.topic === "orders.token") {
        entry.status = await attempt(async () => {
          const answer = await ctx.fetch("https://api.example.com/", { headers: { authorization: event.payload } });
          return answer.status;
        });
      }
      heard.push(entry);
    });
    refused = await attempt(() => ctx.events.subscribe("billing.*", () => undefined));
    return true;
  },
  tools: { heard: () => ({ heard, refused }) },
};`;

/** Answers each event with one, for ever. */
const ECHO = (own: string, other: string): string => `
export default {
  async initialize(_, ctx) {
    await ctx.events.subscribe("${own}", (event, ctx) => ctx.events.publish("${other}", event.payload + 1));
    return true;
  },
  tools: { start: (_, ctx) => ctx.events.publish("${other}", 0) },
};`;

beforeAll(async () => {
  home = await makeHome(OPEN_CONFIG);
  host = await home.open();
  await host.secrets.set(OPERATOR, "TOKEN", SECRET, ["https://api.example.com"]);
  await addPlugin(home, host, "publisher", {
    tools: ["publish", "placeholder", "big", "flood", "early"].map((name) => toolLine(name)),
    more: `permissions:
  secrets: [{ name: TOKEN, use: { origin: "https://api.example.com", in: "header:authorization" } }]
  events: [{ direction: publish, topic: "orders.*" }]`,
    code: PUBLISHER,
  });
  await addPlugin(home, host, "subscriber", {
    tools: [toolLine("heard")],
    more: `permissions:
  network: [{ host: api.example.com }]
  secrets: [{ name: TOKEN, use: { origin: "https://api.example.com", in: "header:authorization" } }]
  filesystem: [{ path: "\${data}", mode: rw }]
  agent: [{ tools: [publisher__early] }]
  events: [{ direction: consume, topic: "orders.*" }, { direction: publish, topic: "orders.*" }]`,
    code: SUBSCRIBER,
  });
});
afterAll(() => home?.remove());

const publish = (topic: string, payload: unknown) => resultOf(host, "publisher__publish", { topic, payload });
const delivered = (topic: string, plugin = "subscriber") =>
  nextEvent(
    host,
    ({ type, target, plugin: to, phase }) =>
      type === "event.delivered" && target === topic && to?.id === plugin && phase === "outcome",
  );
const heard = async () =>
  (await resultOf(host, "subscriber__heard", {})) as { heard: readonly Record<string, unknown>[]; refused: string };

describe("an event", () => {
  it("reaches those that were granted to consume its topic, with the publisher's name by the host; the audit joins both", async () => {
    const done = delivered("orders.created");
    const { callId } = await host.invoke(AGENT, {
      tool: "publisher__publish",
      input: { topic: "orders.created", payload: { id: 7, publisher: "me" } },
    });
    const event = await done;
    expect(event).toMatchObject({
      actor: "plugin:publisher",
      agent: "local",
      parent_call: callId,
      capability: "events",
      outcome: "succeeded",
      data: { handled: true, publisher: { id: "publisher", version: "1.0.0" }, depth: 1 },
    });
    expect((await heard()).heard.at(-1)).toEqual({
      id: event.data?.["event"],
      topic: "orders.created",
      payload: { id: 7, publisher: "me" },
      publisher: { id: "publisher", version: "1.0.0" },
      time: expect.any(Number),
      backwards: expect.any(String),
    });
    const [action] = (await eventsOf(host, { call: callId })).filter(({ type }) => type === "broker.action");
    expect(action).toMatchObject({ capability: "events", method: "events.publish", target: "orders.created" });
  });

  it("is published only under a topic that was granted, and never under one of the host's", async () => {
    const refused = "permission_denied";
    expect(await publish("billing.paid", 1)).toBe(refused);
    for (const topic of [
      "plugin.lifecycle",
      "tool.after_call",
      "Orders.created",
      "orders..x",
      "orders.*",
      "orders.\u200bx",
    ])
      expect(await publish(topic, 1)).toBe(refused);
    expect((await heard()).refused).toBe(refused);
    for (const topic of ["tool.after_call", "plugin.*", "host"]) {
      await expect(
        addPlugin(home, host, "spoof", {
          tools: [toolLine("x")],
          more: `permissions: { events: [{ direction: publish, topic: "${topic}" }] }`,
          code: "export default { tools: { x: () => 1 } };",
        }),
      ).rejects.toMatchObject({ code: "manifest_invalid" });
    }
  });

  it("is published only within a call", async () => {
    expect(await resultOf(host, "publisher__early", {})).toBe("permission_denied");
  });

  it("is published only within a call of its own", () => {
    const [mine, other] = ["a", "b"].map((id) => ({ id, version: "1.0.0", digest: `sha256:${id}` }));
    if (mine === undefined || other === undefined) throw new Error("unreachable");
    const flight = { callId: "call_1", plugin: mine, caller: AGENT } as unknown as Flight;
    const sent: string[] = [];
    const port = createEvents({
      flights: { find: (id) => (id === flight.callId ? flight : undefined) },
      watchers: { consumersOf: () => [{ plugin: other, scope: CONSUMED, expiresAt: undefined }] },
      deliveries: { send: ({ to }) => void sent.push(to.id) },
      clock: systemClock,
    });
    const event = { topic: "orders.created", payload: 1, bytes: 1, callId: "call_1" };
    for (const plugin of [other, { ...mine, digest: "sha256:c" }])
      expect(() => port(plugin).publish(event)).toThrow("within a tool call");
    port(mine).publish(event);
    expect(sent).toEqual(["b"]);
  });

  it("carries no known secret, and a placeholder in it is worth nothing in another plugin", async () => {
    const first = delivered("orders.text");
    await publish("orders.text", { text: `it is ${SECRET}` });
    await first;
    const backwards = SECRET.split("").toReversed().join("");
    expect((await heard()).heard.at(-1)?.["backwards"]).not.toContain(backwards);
    const second = delivered("orders.token");
    expect(await resultOf(host, "publisher__placeholder", {})).toBe("done");
    await second;
    const last = (await heard()).heard.at(-1);
    expect(last?.["backwards"]).not.toContain(backwards);
    // Its handler may not fetch at all; and nothing of it left the host as a secret.
    expect(last?.["status"]).toBe("permission_denied");
    expect(
      (await eventsOf(host, { plugin: "subscriber" })).filter(({ data }) => data?.["secrets"] !== undefined),
    ).toEqual([]);
  });

  it("is handled with log and kv only", async () => {
    const done = delivered("orders.reach");
    await publish("orders.reach", null);
    await done;
    const refused = "permission_denied";
    expect((await heard()).heard.at(-1)).toMatchObject({
      files: refused,
      agent: refused,
      publish: refused,
      kv: "done",
    });
  });

  it("is bounded in size", async () => {
    expect(await resultOf(host, "publisher__big", {})).toBe("limit_exceeded");
  });

  it("wakes a plugin that sleeps, and passes by one that is stopped", async () => {
    await host.plugins.unload(OPERATOR, "subscriber");
    expect(await publish("orders.lost", 1)).toBe("done");
    await host.plugins.load(OPERATOR, "subscriber");
    await host.close();
    host = await home.open();
    const done = delivered("orders.wake");
    expect(await publish("orders.wake", 2)).toBe("done");
    expect(await done).toMatchObject({ outcome: "succeeded", data: { handled: true } });
    expect((await heard()).heard).toMatchObject([{ topic: "orders.wake", payload: 2 }]);
  });
});

describe("events about events", () => {
  it("end: two plugins that answer each other go so deep and no further", async () => {
    for (const [id, own, other] of [
      ["ping", "open.ping", "open.pong"],
      ["pong", "open.pong", "open.ping"],
    ] as const) {
      await addPlugin(home, host, id, {
        tools: [toolLine("start")],
        more: `permissions:
  events:
    - { direction: consume, topic: ${own}, background: true }
    - { direction: publish, topic: ${other} }`,
        code: ECHO(own, other),
      });
    }
    const refused = nextEvent(host, ({ capability, reason }) => capability === "events" && reason === "limit_exceeded");
    expect(await host.invoke(AGENT, { tool: "ping__start", input: {} })).toMatchObject({ success: true });
    await refused;
    const events = await eventsOf(host, { type: "event.delivered" });
    const depths = events
      .filter(({ target, phase }) => target?.startsWith("open.") === true && phase === "outcome")
      .map(({ data }) => data?.["depth"]);
    expect(depths.toSorted((a, b) => Number(a) - Number(b))).toEqual(
      Array.from({ length: EVENT_DEPTH }, (_, at) => at + 1).slice(0, depths.length),
    );
    expect(depths.length).toBeGreaterThanOrEqual(EVENT_DEPTH - 1);
  });

  it("in the background may use what was granted, but call no tools: nobody's call it is", async () => {
    await addPlugin(home, host, "acting", {
      tools: [toolLine("heard")],
      more: `permissions:
  filesystem: [{ path: "\${data}", mode: rw }]
  agent: [{ tools: [publisher__early] }]
  events: [{ direction: consume, topic: "orders.*", background: true }, { direction: publish, topic: "orders.*" }]`,
      code: SUBSCRIBER,
    });
    const done = delivered("orders.reach", "acting");
    await publish("orders.reach", null);
    await done;
    const { heard: all } = (await resultOf(host, "acting__heard", {})) as { heard: readonly Record<string, unknown>[] };
    expect(all.find(({ topic }) => topic === "orders.reach")).toMatchObject({
      files: 1,
      kv: "done",
      agent: "permission_denied",
      publish: "done",
    });
    const { permissions } = await host.plugins.info("acting");
    const sentences = permissions.filter(({ capability }) => capability === "events").map(({ sentence }) => sentence);
    expect(sentences[0]).toContain("WITHOUT ANY CALL OF AN AGENT");
    expect(sentences[1]).toContain("pass data to other plugins");
  });
});

describe("a flood of events", () => {
  it("is refused at its source beyond a rate, said once in the audit", async () => {
    const { codes } = (await resultOf(host, "publisher__flood", { times: EVENT_LIMITS.burst + 60 })) as {
      codes: readonly string[];
    };
    expect(codes.at(-1)).toBe("limit_exceeded");
  });
});
