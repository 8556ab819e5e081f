import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { Host } from "../../src/host-api.ts";
import { PolicyViolationError, type ErrorCode } from "../../src/kernel/index.ts";
import {
  AGENT,
  AS_OPERATOR,
  installed,
  makeHome,
  manifestOf,
  OPERATOR,
  repositoryPlugin,
  type TestHome,
  toolLine,
} from "../support/home.ts";
import { needsNamespace } from "../support/namespace.ts";

needsNamespace();

let home: TestHome;
afterEach(() => home?.remove());

/** Says in its log that its code ran: at import, and at initialize. */
const LOUD = `console.log("imported");
export default { initialize() { console.log("initialized"); return true; }, tools: { hello: () => ({ hello: "world" }) } };`;

async function loudPlugin(id = "loud", more?: string): Promise<string> {
  return home.plugin(id, { "plugin.yml": manifestOf(id, [toolLine("hello")], more), "plugin.js": LOUD });
}

async function failure(work: Promise<unknown>): Promise<{ code: ErrorCode; fix: string | undefined; denial: boolean }> {
  const error: unknown = await work.then(
    () => expect.fail("it was not refused"),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof Error) || !("code" in error) || !("fix" in error)) throw error;
  return {
    code: error.code as ErrorCode,
    fix: error.fix as string | undefined,
    denial: error instanceof PolicyViolationError,
  };
}

async function lifecycle(host: Host, plugin: string): Promise<string[]> {
  const events = await host.audit.query({ type: "plugin.lifecycle", plugin, order: "asc" });
  return events.map(
    (event) => `${event.from ?? ""}→${event.to ?? ""}${event.reason === undefined ? "" : ` (${event.reason})`}`,
  );
}

describe("loading a plugin", () => {
  it("is denied while plugins are off, which they are without configuration [S0-2, S0-3, S0-8]", async () => {
    home = await makeHome("");
    const host = await home.open();
    const { plugin } = await host.plugins.install(OPERATOR, { source: await loudPlugin() });
    await host.plugins.approve(OPERATOR, plugin.id, {});
    expect(await failure(host.plugins.load(OPERATOR, plugin.id))).toMatchObject({
      code: "plugins_disabled",
      denial: true,
    });
    expect(host.plugins.logs(plugin.id)).toEqual([]);
  });

  it("is denied for a plugin that is not on the allow-list [S0-4, S0-5, S0-34]", async () => {
    home = await makeHome();
    const host = await home.open();
    const { plugin } = await host.plugins.install(OPERATOR, { source: await loudPlugin() });
    await host.plugins.approve(OPERATOR, plugin.id, { grantOnly: true });
    expect(await failure(host.plugins.load(OPERATOR, plugin.id))).toMatchObject({
      code: "not_allow_listed",
      denial: true,
    });
    expect(host.plugins.logs(plugin.id)).toEqual([]);
    expect(await lifecycle(host, plugin.id)).toContain("approved→approved (not_allow_listed)");
  });

  it("is denied for a listed plugin while plugins are off [S0-5]", async () => {
    home = await makeHome("plugins: { enabled: false, allowed_plugins: [loud] }");
    const host = await home.open();
    await host.plugins.install(OPERATOR, { source: await loudPlugin() });
    await host.plugins.approve(OPERATOR, "loud", {});
    expect(await failure(host.plugins.load(OPERATOR, "loud"))).toMatchObject({ code: "plugins_disabled" });
  });

  it("is refused before any code ran when nobody approved it, also when it asks for nothing [S1-7, S1-32]", async () => {
    home = await makeHome();
    const host = await home.open();
    const { plugin, approval } = await host.plugins.install(OPERATOR, { source: await loudPlugin() });
    expect(approval?.id).toMatch(/^apr_/);
    expect(plugin.state).toBe("pending_approval");
    expect(await failure(host.plugins.load(OPERATOR, plugin.id))).toMatchObject({ code: "not_allow_listed" });
    await home.writeConfig(`plugins: { enabled: true, allowed_plugins: [loud] }`);
    await host.close();
    const again = await home.open();
    expect(await failure(again.plugins.load(OPERATOR, plugin.id))).toMatchObject({
      code: "not_approved",
      denial: true,
    });
    expect(again.plugins.logs(plugin.id)).toEqual([]);
  });

  it("goes through every state, one audited edge each, and then the agent can call it [S0-35, S0-36, S0-37, S1-26, S1-29, S1-30, S1-31, S1-43, S1-45, S1-47, S2-53, S2-60, S4-48]", async () => {
    home = await makeHome();
    const host = await home.open();
    const id = await installed(host, await loudPlugin());
    expect(await lifecycle(host, id)).toEqual([
      "→discovered",
      "discovered→validated",
      "validated→pending_approval",
      "pending_approval→approved",
      "approved→starting",
      "starting→running",
    ]);
    expect(host.plugins.logs(id).map((line) => line.message)).toEqual(["imported", "initialized"]);
    expect(await host.invoke(AGENT, { tool: "loud__hello", input: {} })).toMatchObject({
      success: true,
      result: { hello: "world" },
    });
  });

  it("aborts when initialize() returns false or throws, and leaves nothing running or callable [S0-25, S0-26, S0-38, S1-46]", async () => {
    home = await makeHome();
    const host = await home.open();
    for (const [id, body] of [
      ["no", "return false;"],
      ["throws", "throw new Error('no key');"],
    ] as const) {
      const source = await home.plugin(id, {
        "plugin.yml": manifestOf(id, [toolLine("hello")]),
        "plugin.js": `export default { initialize() { ${body} }, tools: { hello: () => ({}) } };`,
      });
      await host.plugins.install(OPERATOR, { source });
      await host.plugins.approve(OPERATOR, id, {});
      expect(await failure(host.plugins.load(OPERATOR, id))).toMatchObject({ code: "initialize_failed" });
      expect((await host.plugins.info(id)).state).toBe("failed");
      expect(await host.tools.list(AGENT)).toEqual([]);
      expect(await host.invoke(AGENT, { tool: `${id}__hello`, input: {} })).toMatchObject({
        success: false,
        code: "unknown_tool",
      });
    }
    expect(await lifecycle(host, "no")).toContain("starting→failed (initialize_failed)");
  });

  it("is refused when the code offers a tool that the manifest does not declare [S2-18]", async () => {
    home = await makeHome();
    const host = await home.open();
    const source = await home.plugin("sly", {
      "plugin.yml": manifestOf("sly", [toolLine("hello")]),
      "plugin.js": "export default { tools: { hello: () => ({}), extra: () => ({}) } };",
    });
    await host.plugins.install(OPERATOR, { source });
    await host.plugins.approve(OPERATOR, "sly", {});
    expect(await failure(host.plugins.load(OPERATOR, "sly"))).toMatchObject({ code: "undeclared_tool" });
    expect((await host.plugins.info("sly")).state).toBe("failed");
  });

  it("is refused when one byte of what was approved has changed on disk, and asks for approval again [S2-44, S2-51]", async () => {
    home = await makeHome();
    const host = await home.open();
    const id = await installed(host, await loudPlugin());
    await host.plugins.unload(OPERATOR, id);
    const { digest } = await host.plugins.info(id);
    const { storeRoot } = await import("../../src/isolation/index.ts");
    const root = storeRoot(home.path, { hostIsRoot: process.getuid?.() === 0 });
    const file = join(root, digest.slice("sha256:".length), "files", ".sallyport", "bundle.mjs");
    await chmod(file, 0o644);
    await writeFile(file, LOUD.replace("world", "w0rld"));
    expect(await failure(host.plugins.load(OPERATOR, id))).toMatchObject({ code: "digest_mismatch" });
    expect((await host.plugins.info(id)).state).toBe("validated");
    expect(await host.tools.list(AGENT)).toEqual([]);
  });

  it("refuses a contribution or grant that nothing enforces yet, instead of ignoring it", async () => {
    home = await makeHome();
    const host = await home.open();
    const source = await home.plugin("elsewhere", {
      "plugin.yml": manifestOf("elsewhere", [toolLine("hello")]).replace(
        "contributes:",
        'contributes:\n  mcp_servers: [{ name: far, url: "https://mcp.example.com/mcp" }]',
      ),
      "plugin.js": LOUD,
    });
    await host.plugins.install(OPERATOR, { source });
    await host.plugins.approve(OPERATOR, "elsewhere", {});
    expect(await failure(host.plugins.load(OPERATOR, "elsewhere"))).toMatchObject({ code: "not_enforceable" });
  });
});

describe("unloading, disabling and turning off", () => {
  it("stops the process and takes the tools away, and can be loaded again [S0-38, S2-55, S3-8, S3-9, S4-49]", async () => {
    home = await makeHome();
    const host = await home.open();
    const id = await installed(host, repositoryPlugin("echo"));
    expect((await host.tools.list(AS_OPERATOR)).map((tool) => tool.name)).toEqual(["echo__echo", "echo__note"]);
    await host.plugins.unload(OPERATOR, id);
    expect(await host.tools.list(AS_OPERATOR)).toEqual([]);
    expect(await lifecycle(host, id)).toContain("running→stopped (unloaded)");
    await host.plugins.load(OPERATOR, id);
    expect(await host.invoke(AGENT, { tool: "echo__echo", input: { text: "again" } })).toMatchObject({ success: true });
  });

  it("does not load a disabled plugin until it is enabled", async () => {
    home = await makeHome();
    const host = await home.open();
    const id = await installed(host, repositoryPlugin("echo"));
    expect(await host.plugins.disable(OPERATOR, id)).toMatchObject({ state: "disabled", enabled: false });
    expect(await failure(host.plugins.load(OPERATOR, id))).toMatchObject({ code: "illegal_transition" });
    await host.plugins.enable(OPERATOR, id);
    expect(await host.plugins.load(OPERATOR, id)).toMatchObject({ state: "running", enabled: true });
  });

  it("stops running plugins when the operator turns plugins off in config.yml", async () => {
    home = await makeHome();
    const host = await home.open();
    const id = await installed(host, repositoryPlugin("echo"));
    const stopped = new Promise<void>((resolve) => {
      host.audit.subscribe((event) => event.type === "plugin.lifecycle" && event.to === "stopped" && resolve());
    });
    await home.writeConfig("plugins: { enabled: false }");
    await stopped;
    expect(await lifecycle(host, id)).toContain("running→stopped (plugins_disabled)");
    expect(await host.tools.list(AS_OPERATOR)).toEqual([]);
  });

  it("wakes a loaded plugin at the first call after a restart of the host", async () => {
    home = await makeHome();
    const first = await home.open();
    const id = await installed(first, repositoryPlugin("echo"));
    await first.close();
    const second = await home.open();
    expect((await second.plugins.info(id)).state).toBe("idle");
    expect(await second.invoke(AGENT, { tool: "echo__echo", input: { text: "hi" } })).toMatchObject({ success: true });
    expect((await second.plugins.info(id)).state).toBe("running");
  });
});

describe("revoking", () => {
  it("stops the process, survives restart and uninstall, and holds under another id or version [S1-33, S1-34, S1-35]", async () => {
    home = await makeHome();
    const host = await home.open();
    const id = await installed(host, await loudPlugin());
    expect(await host.plugins.revoke(OPERATOR, id, "it lied")).toMatchObject({ state: "revoked" });
    expect(await host.tools.list(AS_OPERATOR)).toEqual([]);
    expect(await failure(host.plugins.load(OPERATOR, id))).toMatchObject({ code: "revoked", denial: true });
    expect(await failure(host.plugins.approve(OPERATOR, id, {}))).toMatchObject({ code: "illegal_transition" });
    await host.close();

    const second = await home.open();
    expect((await second.plugins.info(id)).state).toBe("revoked");
    await second.plugins.uninstall(OPERATOR, id, { purge: true });
    expect(await failure(second.plugins.install(OPERATOR, { source: await loudPlugin() }))).toMatchObject({
      code: "revoked",
      denial: true,
    });
    const renamed = await loudPlugin("friendly");
    expect(await failure(second.plugins.install(OPERATOR, { source: renamed }))).toMatchObject({ code: "revoked" });
    expect(await second.plugins.list()).toEqual([]);
  });
});
