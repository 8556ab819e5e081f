import { Hono } from "hono";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { starterConfig } from "../../src/config/index.ts";
import type { Host } from "../../src/host-api.ts";
import { createApi } from "../../src/index.ts";
import { makeHome, OPERATOR, type TestHome } from "../support/home.ts";
import { edges, openInternet, type Internet, refusal } from "./support.ts";
import { needsNamespace } from "../support/namespace.ts";

needsNamespace();

let home: TestHome;
let host: Host;
let internet: Internet;
beforeAll(async () => {
  internet = openInternet();
  home = await makeHome(starterConfig({ pluginsEnabled: true }));
  host = await home.open({ overrides: { network: internet.network } });
});
afterAll(async () => {
  await home.remove();
  internet.close();
});

afterEach(async () => {
  for (const { id } of await host.plugins.list()) await host.plugins.uninstall(OPERATOR, id, { purge: true });
});

/** The API mounted into an application that was there before. */
async function send(method: string, path: string, body?: unknown) {
  const app = new Hono().get("/hello", (context) => context.text("mine"));
  app.route("/", createApi(host, { identify: () => ({ kind: "operator", name: "ada" }) }));
  const response = await app.request(path, {
    method,
    ...(body === undefined ? {} : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, text, answer: () => JSON.parse(text) };
}
const answerOf = async (method: string, path: string, body?: unknown) => (await send(method, path, body)).answer();

const METADATA = {
  name: "data_processor",
  version: "1.0.0",
  author: "Powerhouse Team",
  description: "Data processing plugin.",
  capabilities: ["data_processing"],
  required_permissions: [],
};
const ACTIONS = [
  {
    name: "transform",
    description: "Transforms data.",
    parameters: { data: "list", operation: "str", factor: "float" },
  },
  { name: "settings", description: "What it was configured with.", parameters: {} },
];

/** Powerhouse's class plugin as its documentation writes it, in TypeScript's words. */
const CLASS_PLUGIN = `
import { Plugin } from "@sallyport/sdk";
export default class DataProcessor extends Plugin {
  config = {};
  getMetadata() { return ${JSON.stringify(METADATA)}; }
  initialize(config) { this.config = config; console.log("initialized " + JSON.stringify(config)); return true; }
  execute(action, params) {
    if (action === "settings") return { success: true, result: this.config };
    if (params.operation !== "multiply") return { success: false, error: "Unknown operation: " + params.operation };
    return { success: true, result: params.data.map((n) => n * params.factor) };
  }
  getAvailableActions() { return ${JSON.stringify(ACTIONS)}; }
  shutdown() { console.log("shut down"); return true; }
}`;

const processor = (version = "1.0.0", change: Record<string, unknown> = {}, code = CLASS_PLUGIN) =>
  home.plugin(`data_processor-${version}-${Object.keys(change).join("")}`, {
    "plugin.json": JSON.stringify({ ...METADATA, version, actions: ACTIONS, ...change }),
    "plugin.js": code,
  });

describe("Powerhouse's REST interface, on the real host", () => {
  it("takes a plugin from install to uninstall in a host that was not restarted [S3-1] [S3-13] [S3-24] [S3-30] [S3-31] [S3-32] [S3-37] [S3-38] [S3-46] [S3-48] [S3-50] [S3-52] [S3-53] [S3-54] [S3-55] [S3-58] [S3-59] [S3-60]", async () => {
    const plugin_path = await processor();
    expect(
      await answerOf("POST", "/api/plugins/install", { plugin_path, metadata: METADATA, auto_load: false }),
    ).toMatchObject({
      success: true,
      plugin: { id: "data-processor", name: "data_processor", version: "1.0.0", state: "pending_approval" },
    });
    expect(await answerOf("POST", "/api/plugins/approve/data_processor", {})).toMatchObject({ success: true });
    const config = { max_retries: 3, timeout: 30, custom_setting: "value" };
    expect(await answerOf("POST", "/api/plugins/load/data_processor", { version: "1.0.0", config })).toMatchObject({
      success: true,
      plugin: { state: "running" },
    });
    const multiply = { params: { data: [1, 2, 3, 4, 5], operation: "multiply", factor: 2 } };
    await allow("data-processor");
    expect(await answerOf("POST", "/api/plugins/execute/data_processor/transform", multiply)).toMatchObject({
      success: true,
      result: [2, 4, 6, 8, 10],
    });
    expect(await answerOf("GET", "/api/plugins/loaded")).toMatchObject({
      result: [{ id: "data-processor", state: "running" }],
    });
    expect(await answerOf("GET", "/api/plugins/info/data_processor")).toMatchObject({
      result: {
        name: "data_processor",
        version: "1.0.0",
        health: { status: "healthy" },
        execution_count: 1,
        error_count: 0,
        manifest: {
          author: "Powerhouse Team",
          description: "Data processing plugin.",
          categories: ["data_processing"],
        },
      },
    });
    expect(await answerOf("POST", "/api/plugins/unload/data_processor", {})).toMatchObject({
      plugin: { state: "stopped" },
    });
    expect(await answerOf("GET", "/api/plugins/loaded")).toMatchObject({ result: [] });
    expect(await answerOf("DELETE", "/api/plugins/uninstall/data_processor?version=1.0.0")).toMatchObject({
      success: true,
    });
    expect((await send("GET", "/api/plugins/info/data_processor")).status).toBe(404);
    expect(await edges(host, "data-processor")).toEqual([
      "→discovered",
      "discovered→validated",
      "validated→pending_approval",
      "pending_approval→approved",
      "approved→starting",
      "starting→running",
      "running→validated (asked_again)",
      "validated→pending_approval (asked_again)",
      "pending_approval→approved",
      "approved→starting",
      "starting→running",
      "running→stopped (unloaded)",
      "stopped→uninstalled",
    ]);
  });

  /** What a Powerhouse manifest says of no action's effect counts as destructive, until an operator allows it. */
  async function allow(id: string) {
    const tools = (await host.plugins.info(id)).manifest.tools.map(({ name }) => name);
    await host.plugins.approve(OPERATOR, id, { allowTools: tools });
    await host.plugins.load(OPERATOR, id);
  }

  it("gives initialize(config) what load was given, counts failures, and calls shutdown() [S3-42] [S3-43] [S3-44] [S3-45] [S3-51] [S3-93] [S3-94] [S3-100] [S3-101]", async () => {
    const config = { max_retries: 3, timeout: 30, custom_setting: "value" };
    await answerOf("POST", "/api/plugins/install", { plugin_path: await processor(), metadata: METADATA });
    await host.plugins.approve(OPERATOR, "data-processor", { allowTools: ["transform", "settings"] });
    await answerOf("POST", "/api/plugins/load/data-processor", { config });
    expect(await answerOf("POST", "/api/plugins/execute/data-processor/settings", { params: {} })).toMatchObject({
      success: true,
      result: config,
    });
    expect(
      await answerOf("POST", "/api/plugins/execute/data-processor/transform", {
        params: { data: [1], operation: "cube", factor: 1 },
      }),
    ).toMatchObject({
      success: false,
      code: "tool_failed",
      error: expect.stringContaining("Unknown operation: cube"),
    });
    expect((await answerOf("GET", "/api/plugins/info/data-processor")).result).toMatchObject({
      execution_count: 2,
      error_count: 1,
    });
    expect(
      (await answerOf("GET", "/api/plugins/info/data-processor")).result.tools.map(
        ({ tool }: { tool: string }) => tool,
      ),
    ).toEqual(["transform", "settings"]);
    await answerOf("POST", "/api/plugins/unload/data-processor", {});
    const lines = host.plugins.logs("data-processor").map(({ message }) => message);
    expect(lines).toContain(`initialized ${JSON.stringify(config)}`);
    expect(lines.at(-1)).toBe("shut down");
  });

  it("loads at once with auto_load what an operator approved before, and nothing else [S3-49]", async () => {
    const plugin_path = await processor();
    const body = { plugin_path, metadata: METADATA, auto_load: true };
    expect((await answerOf("POST", "/api/plugins/install", body)).code).toBe("not_allow_listed");
    expect((await host.plugins.info("data-processor")).state).toBe("pending_approval");
    await host.plugins.approve(OPERATOR, "data-processor", {});
    expect(await answerOf("POST", "/api/plugins/install", body)).toMatchObject({
      success: true,
      plugin: { state: "running" },
      result: { loaded: true },
    });
  });

  it("refuses metadata that is not the plugin's, and keeps nothing of it [S3-22] [S3-29] [S3-47] [S3-88]", async () => {
    const plugin_path = await processor();
    for (const wrong of [
      { name: "other" },
      { version: "2.0.0" },
      { author: "Somebody" },
      { description: "Something else." },
      { capabilities: ["monitoring"] },
      { required_permissions: ["NETWORK_ACCESS"] },
    ]) {
      const answer = await answerOf("POST", "/api/plugins/install", {
        plugin_path,
        metadata: { ...METADATA, ...wrong },
      });
      expect([wrong, answer.success, answer.code]).toEqual([wrong, false, "manifest_invalid"]);
    }
    expect((await answerOf("GET", "/api/plugins/available")).result).toEqual([]);
  });

  it("refuses a manifest that does not validate before anything is registered [S3-22] [S3-25] [S3-26] [S3-29] [S3-103]", async () => {
    for (const change of [
      { capabilities: ["mining"] },
      { required_permissions: ["ROOT"] },
      { version: "1.0" },
      { name: "../x" },
      { entry: "../plugin.js" },
    ]) {
      const refused = await refusal(host.plugins.install(OPERATOR, { source: await processor("1.0.0", change) }));
      expect([change, refused.code]).toEqual([change, expect.stringMatching(/^manifest_invalid|entry_invalid$/)]);
      expect(refused.message).toContain(Object.keys(change)[0]);
    }
    expect(await host.plugins.list()).toEqual([]);
  });

  it("mounts into an application that was there before [S3-108]", async () => {
    expect((await send("GET", "/hello")).text).toBe("mine");
    expect(await answerOf("GET", "/healthz")).toMatchObject({ success: true });
    expect((await send("POST", "/api/plugins/install", {})).status).toBe(400);
  });

  it("lists what is available by what it is for [S3-14] [S3-15] [S3-16] [S3-17] [S3-18] [S3-19] [S3-56] [S3-57]", async () => {
    const kinds = ["data_processing", "model_inference", "agent_skill", "integration", "visualization", "monitoring"];
    for (const kind of kinds) {
      const name = `kind_${kind}`;
      await host.plugins.install(OPERATOR, {
        source: await processor("1.0.0", { name, capabilities: [kind.toUpperCase()] }),
      });
    }
    expect((await answerOf("GET", "/api/plugins/available")).result).toHaveLength(kinds.length);
    for (const kind of kinds) {
      const { result: found } = await answerOf("GET", `/api/plugins/available?capability=${kind}`);
      expect(found.map(({ id }: { id: string }) => id)).toEqual([`kind-${kind.replace("_", "-")}`]);
    }
  });

  it("counts loaded, installed and active plugins [S3-39] [S3-89] [S3-90] [S3-91] [S3-92]", async () => {
    const stats = async () => (await answerOf("GET", "/api/stats")).result;
    expect(await stats()).toMatchObject({ loaded_plugins: 0, registry: { total_plugins: 0, active_plugins: 0 } });
    await host.plugins.install(OPERATOR, { source: await processor() });
    expect(await stats()).toMatchObject({ loaded_plugins: 0, registry: { total_plugins: 1, active_plugins: 0 } });
    await host.plugins.approve(OPERATOR, "data-processor", {});
    await host.plugins.load(OPERATOR, "data-processor");
    expect(await stats()).toMatchObject({ loaded_plugins: 1, registry: { total_plugins: 1, active_plugins: 1 } });
    expect((await host.plugins.info("data-processor")).health).toEqual({ status: "healthy" });
    await host.plugins.unload(OPERATOR, "data-processor");
    expect(await stats()).toMatchObject({ loaded_plugins: 0, registry: { total_plugins: 1, active_plugins: 0 } });
    expect((await host.plugins.info("data-processor")).health).toEqual({ status: "stopped" });
  });
});
