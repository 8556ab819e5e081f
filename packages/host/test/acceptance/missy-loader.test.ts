import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { starterConfig } from "../../src/config/index.ts";
import type { Host } from "../../src/host-api.ts";
import { createHost } from "../../src/index.ts";
import { AGENT, makeHome, manifestOf, OPERATOR, type TestHome, toolLine } from "../support/home.ts";
import { call, edges, failed, type Internet, openInternet, refusal, result, run } from "./support.ts";
import { needsNamespace } from "../support/namespace.ts";

needsNamespace();

let home: TestHome;
let host: Host;
let internet: Internet;
beforeAll(async () => {
  internet = openInternet();
  home = await makeHome();
  host = await home.open({ overrides: { network: internet.network } });
});
afterAll(async () => {
  await home.remove();
  internet.close();
});

describe("the gates of Missy's loader", () => {
  let own: TestHome | undefined;
  beforeEach(() => (own = undefined));
  const loud = (id: string, body = "return true;") => ({
    "plugin.yml": manifestOf(id, [toolLine("hello")]),
    "plugin.js": `export default { initialize() { ${body} }, tools: { hello: () => ({ hello: "world" }) } };`,
  });

  it("are those of host.plugins, which a program gets from createHost() [S0-30] [S0-31]", async () => {
    own = await makeHome(starterConfig({ pluginsEnabled: false }));
    try {
      const closed = await createHost({ home: own.path });
      await closed.plugins.install(OPERATOR, { source: await own.plugin("loud", loud("loud")) });
      await closed.plugins.approve(OPERATOR, "loud", {});
      expect(await refusal(closed.plugins.load(OPERATOR, "loud"))).toMatchObject({
        code: "plugins_disabled",
        denial: true,
      });
      await closed.close();
      await own.writeConfig(starterConfig({ pluginsEnabled: true }));
      const open = await createHost({ home: own.path });
      try {
        expect(await open.plugins.load(OPERATOR, "loud")).toMatchObject({ state: "running", enabled: true });
        expect(await open.tools.call(AGENT, { tool: "loud__hello", input: {} })).toEqual({ hello: "world" });
      } finally {
        await open.close();
      }
    } finally {
      await own.remove();
    }
  });

  it("leave one event for each attempt to load, allowed, denied or failed, and one for each call [S0-6] [S0-7] [S0-39] [S0-46]", async () => {
    await host.plugins.install(OPERATOR, { source: await home.plugin("attempts", loud("attempts")) });
    const count = async (text: string) => (await edges(host, "attempts")).filter((edge) => edge.includes(text)).length;
    for (let n = 1; n <= 2; n++) {
      await refusal(host.plugins.load(OPERATOR, "attempts"));
      expect(await count("(not_allow_listed)")).toBe(n);
    }
    await host.plugins.approve(OPERATOR, "attempts", {});
    await host.plugins.load(OPERATOR, "attempts");
    expect(await count("starting→running")).toBe(1);

    await run(host, await home.plugin("fails", loud("fails", "throw new Error('no')"))).catch(() => undefined);
    const [last] = await host.audit.query({ type: "plugin.lifecycle", plugin: "fails", limit: 1 });
    expect(last).toMatchObject({
      from: "starting",
      to: "failed",
      reason: "initialize_failed",
      actor: "operator:tester",
    });

    const before = (await host.audit.query({ type: "plugin_tool.invoked", plugin: "attempts", limit: 1000 })).length;
    for (let n = 0; n < 5; n++) await call(host, "attempts__hello");
    const refused = failed(await call(host, "attempts__hello", "no object"));
    await host.audit.flush();
    const events = await host.audit.query({ type: "plugin_tool.invoked", plugin: "attempts", limit: 1000 });
    expect(events.filter(({ phase }) => phase === "outcome").length - before).toBe(6);
    expect(events.filter(({ call_id }) => call_id === refused.callId)).toMatchObject([
      { outcome: "not_started", reason: "invalid_input" },
    ]);
    expect(await host.audit.verify()).toMatchObject({ ok: true });
  });

  it("let a plugin reach only what network.tool_allowed_hosts holds too, port and all [S0-33] [S0-17]", async () => {
    const config = (hosts: string) =>
      `${starterConfig({ pluginsEnabled: true })}\nnetwork: { tool_allowed_hosts: [${hosts}] }\n`;
    own = await makeHome(config("'homeassistant.local:8123'"));
    try {
      const limited = await own.open({ overrides: { network: internet.network } });
      const wants = (id: string, place: string) => ({
        "plugin.yml": manifestOf(
          id,
          [toolLine("get")],
          `permissions: { network: [{ host: '${place}', scheme: http }] }`,
        ),
        "plugin.js": `export default { tools: { get: async () => ({ text: await (await fetch("http://${place}/")).text() }) } };`,
      });
      for (const [id, name] of [
        ["other-host", "api.example.com"],
        ["other-port", "homeassistant.local:8124"],
      ] as const) {
        await limited.plugins.install(OPERATOR, { source: await own.plugin(id, wants(id, name)) });
        await limited.plugins.approve(OPERATOR, id, {});
        const refused = await refusal(limited.plugins.load(OPERATOR, id));
        expect(refused).toMatchObject({ code: "ceiling_exceeded", denial: true });
        expect(refused.fix).toContain("network.tool_allowed_hosts");
      }
      await internet.serve(8123, (_request, response) => response.end("home"));
      const source = await own.plugin("listed", wants("listed", "homeassistant.local:8123"));
      await run(limited, source, { scopes: ["network+loopback=http://homeassistant.local:8123"], allowTools: ["get"] });
      expect(result(await call(limited, "listed__get"))).toEqual({ text: "home" });

      // Taken from the list while it runs, it stops.
      const stopped = new Promise<void>((resolve) => {
        limited.audit.subscribe(({ type, to }) => type === "plugin.lifecycle" && to === "stopped" && resolve());
      });
      await own.writeConfig(config("api.example.com"));
      await stopped;
      expect(await edges(limited, "listed")).toContain("running→stopped (ceiling_exceeded)");
    } finally {
      await own.remove();
    }
  });
});
