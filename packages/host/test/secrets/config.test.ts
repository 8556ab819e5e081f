import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { configForm } from "../../src/host/config-form.ts";
import type { Host, InvokeAnswer } from "../../src/host-api.ts";
import { AGENT, installed, makeHome, manifestOf, OPERATOR, type TestHome, toolLine } from "../support/home.ts";
import { needsNamespace } from "../support/namespace.ts";
import { receiver } from "./support.ts";

needsNamespace();

const TOKEN = "tok-5f0c8e27-a1";
const MASK = "••••••";
const CODE = `export default {
  initialize(config, ctx) { globalThis.given = config; return true; },
  tools: {
    show: (_, ctx) => ({ config: globalThis.given }),
    ask: async ({ url, how }) => {
      const options = how === "name" ? { secrets: ["config:token"] } : { headers: { "x-key": globalThis.given.token } };
      return (await fetch(url, options)).status;
    },
  },
};`;

let home: TestHome;
let host: Host;
let server: Awaited<ReturnType<typeof receiver>>;
beforeAll(async () => {
  server = await receiver();
  home = await makeHome();
  host = await home.open();
});
afterAll(async () => {
  await home.remove();
  await server.close();
});

const call = (tool: string, input: unknown = {}): Promise<InvokeAnswer> => host.invoke(AGENT, { tool, input });
const lastKey = (): unknown => server.received.at(-1)?.headers["x-key"];
const failure = async (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => "done",
    (error: unknown) => error,
  );

/** A plugin with a sensitive `token` of at least eight characters, and `units`. */
async function tokenPlugin(id: string, how: "use" | "expose"): Promise<string> {
  const use = how === "use" ? `, x-use: { origin: "${server.origin}", in: "header:x-key" }` : "";
  const schema = `config_schema: { type: object, required: [token], properties: { token: { type: string, minLength: 8, x-sensitive: true${use} }, units: { enum: [metric, imperial], default: metric } } }`;
  const permissions = `permissions: { network: [{ host: 127.0.0.1, port: ${server.port}, scheme: http }] }`;
  const tools = ["show", "ask"].map((name) => toolLine(name));
  const text = manifestOf(id, tools, permissions).replace(/config_schema:.*/, schema);
  return home.plugin(id, { "plugin.yml": text, "plugin.js": CODE });
}

const yes = () => ({ allowTools: ["show", "ask"], scopes: [`network+loopback=${server.origin}`] });

describe("a sensitive value of a configuration", () => {
  it("is asked for like a secret, and required before the plugin loads [S4-24]", async () => {
    const { plugin, permissions } = await host.plugins.install(OPERATOR, {
      source: await tokenPlugin("sender", "use"),
    });
    expect(permissions.find(({ key }) => key.startsWith("secrets:config:token"))?.sentence).toBe(
      `may have the secret config:token sent to ${server.origin} in header x-key, without seeing it`,
    );
    await host.plugins.approve(OPERATOR, plugin.id, yes());
    expect(await failure(host.plugins.load(OPERATOR, plugin.id))).toMatchObject({ code: "plugin_config_invalid" });
  });

  it("is checked when it is written, and a bad one changes nothing [S4-24]", async () => {
    for (const token of ["short", 5, ["list"], "sev. n7"]) {
      const refused = await failure(host.plugins.setConfig(OPERATOR, "sender", { token, units: "imperial" }));
      expect(refused).toMatchObject({ code: "plugin_config_invalid" });
    }
    const bad = await failure(host.plugins.setConfig(OPERATOR, "sender", { token: TOKEN, units: "stones" }));
    expect(bad).toMatchObject({ code: "plugin_config_invalid" });
    expect(await failure(host.plugins.load(OPERATOR, "sender"))).toMatchObject({ code: "plugin_config_invalid" });
    expect(await host.plugins.configForm("sender")).toMatchObject({
      fields: [
        { key: "token", isSet: false },
        { key: "units", isSet: false },
      ],
    });
  });

  it("reaches the plugin as a placeholder and its origin as the value, and is masked everywhere [S4-23]", async () => {
    expect(await host.plugins.setConfig(OPERATOR, "sender", { token: TOKEN })).toEqual({
      token: MASK,
      units: "metric",
    });
    await host.plugins.load(OPERATOR, "sender");
    const shown = await call("sender__show");
    expect(shown).toMatchObject({
      result: {
        config: { token: expect.stringMatching(/^sallyport-secret-config_token-[0-9a-f]{32}$/), units: "metric" },
      },
    });
    for (const how of ["value", "name"]) {
      expect(await call("sender__ask", { url: `${server.origin}/`, how })).toMatchObject({ result: 200 });
      expect(lastKey()).toBe(TOKEN);
    }
    await host.audit.flush();
    const everything = JSON.stringify([
      shown,
      await host.plugins.info("sender"),
      await host.plugins.config("sender"),
      await host.plugins.configForm("sender"),
      await host.audit.query({ limit: 1000 }),
      await host.secrets.list(),
    ]);
    expect(everything).not.toContain(TOKEN);
    expect(everything).toContain(MASK);
    expect((await readFile(join(home.path, "state.db"))).includes(TOKEN)).toBe(false);
    const [event] = await host.audit.query({ type: "config.changed" });
    expect(event?.data).toEqual({ keys: ["token"], sensitive: ["token"] });
  });

  it("stays when other values are set, when its mask comes back, and holds at once when it is set anew", async () => {
    await host.plugins.setConfig(OPERATOR, "sender", { units: "imperial" });
    expect(await host.plugins.config("sender")).toEqual({ token: MASK, units: "imperial" });
    await host.plugins.setConfig(OPERATOR, "sender", { token: MASK, units: "metric" });
    await host.plugins.setConfig(OPERATOR, "sender", { token: `${TOKEN}-new` });
    await call("sender__ask", { url: `${server.origin}/`, how: "name" });
    expect(lastKey()).toBe(`${TOKEN}-new`);
    expect(await failure(host.plugins.setConfig(OPERATOR, "sender", { token: null }))).toMatchObject({
      code: "plugin_config_invalid",
    });
  });

  it("is beyond the reach of another plugin, whatever it calls itself", async () => {
    await host.secrets.set(OPERATOR, "OWN", "own-value-17", [server.origin]);
    const permissions = `permissions: { network: [{ host: 127.0.0.1, port: ${server.port}, scheme: http }], secrets: [{ name: "config:token", use: { origin: "${server.origin}", in: "header:x-key" } }] }`;
    const thief = await home.plugin("thief", {
      "plugin.yml": manifestOf("thief", [toolLine("ask")], permissions),
      "plugin.js": CODE,
    });
    const stolen = await failure(host.plugins.install(OPERATOR, { source: thief }));
    expect(stolen).toMatchObject({ code: "manifest_invalid" });
    const other = await installedOther();
    expect(await call(`${other}__show`)).toMatchObject({ result: { config: { token: "[secret config:token]" } } });
    await call(`${other}__ask`, { url: `${server.origin}/`, how: "value" });
    expect(lastKey()).toBe("another-token-2");
  });

  /** One with the same key, which is told the value. */
  async function installedOther(): Promise<string> {
    const { plugin, permissions } = await host.plugins.install(OPERATOR, {
      source: await tokenPlugin("receiver", "expose"),
    });
    expect(permissions.map(({ sentence }) => sentence).join()).toContain(
      "RECEIVES THE VALUE OF THE SECRET config:token",
    );
    await host.plugins.approve(OPERATOR, plugin.id, yes());
    await host.plugins.setConfig(OPERATOR, plugin.id, { token: "another-token-2" });
    await host.plugins.load(OPERATOR, plugin.id);
    return plugin.id;
  }

  it("is kept when the plugin is uninstalled, and gone when it is purged", async () => {
    await host.plugins.uninstall(OPERATOR, "receiver");
    await installed(host, await tokenPlugin("receiver", "expose"), yes());
    await host.plugins.uninstall(OPERATOR, "receiver", { purge: true });
    const { plugin } = await host.plugins.install(OPERATOR, { source: await tokenPlugin("receiver", "expose") });
    await host.plugins.approve(OPERATOR, plugin.id, yes());
    expect((await host.plugins.configForm(plugin.id)).fields[0]).toMatchObject({ key: "token", isSet: false });
  });
});

describe("a form", () => {
  it("has types, limits and choices, and says where a sensitive value goes [S4-22]", async () => {
    const schema = `config_schema:
  type: object
  required: [level]
  properties:
    level: { type: integer, minimum: 1, maximum: 5, default: 3 }
    mode: { enum: [fast, safe, 7] }
    nested: { type: object, properties: { a: { type: string } } }
    on: { type: boolean }
    token: { type: string, x-sensitive: true, x-use: { origin: "https://api.example.com", in: "header:x-key" } }
  additionalProperties: false
`;
    const text = manifestOf("formed", [toolLine("show")]).replace(/config_schema:.*\n/, schema);
    const source = await home.plugin("formed", { "plugin.yml": text, "plugin.js": CODE });
    await host.plugins.install(OPERATOR, { source });
    const form = await host.plugins.configForm("formed");
    expect(form).toMatchObject({ more: 0, open: false });
    const [level, mode, nested, on, token] = form.fields;
    expect(level).toEqual({
      key: "level",
      label: "level",
      type: "integer",
      required: true,
      sensitive: false,
      isSet: false,
      value: 3,
      default: 3,
      minimum: 1,
      maximum: 5,
    });
    expect(mode?.choices).toEqual([
      { value: "fast", label: "fast" },
      { value: "safe", label: "safe" },
      { value: 7, label: "7" },
    ]);
    expect([nested?.type, on?.type]).toEqual(["json", "boolean"]);
    expect(token).toEqual({
      key: "token",
      label: "token",
      type: "text",
      required: false,
      sensitive: true,
      isSet: false,
      notice: "may have the secret config:token sent to https://api.example.com in header x-key, without seeing it",
    });
  });

  it("takes of the plugin's text one escaped, bounded line each, and bounds itself [S4-22]", () => {
    const odd = { type: "string", title: "A\u202e<b>title</b>\nwith lines", description: "long ".repeat(200) };
    const many = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`key_${index}`, { type: "string" }]));
    const form = configForm({ type: "object", properties: { "odd\u0007": odd, ...many } }, {}, new Set());
    const [first] = form.fields;
    expect(first?.label).toBe("A\\u{202e}<b>title</b> with lines");
    expect(first?.description?.length).toBeLessThanOrEqual(501);
    expect(form).toMatchObject({ more: 101, open: true });
    expect(form.fields).toHaveLength(200);
  });

  it("never holds a sensitive value, also where one stands in clear by mistake [S4-23]", () => {
    const schema = { type: "object", properties: { token: { type: "string", "x-sensitive": true } } };
    const form = configForm(schema, { token: TOKEN }, new Set(["token"]));
    expect(form.fields[0]).toMatchObject({ isSet: true, notice: expect.stringContaining("RECEIVES THE VALUE") });
    expect(JSON.stringify(form)).not.toContain(TOKEN);
  });
});
