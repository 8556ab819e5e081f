import { mkdir, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { starterConfig } from "../../src/config/index.ts";
import type { Host } from "../../src/host-api.ts";
import {
  AGENT,
  AS_OPERATOR,
  installed,
  makeHome,
  manifestOf,
  OPERATOR,
  type TestHome,
  toolLine,
} from "../support/home.ts";
import { needsNamespace } from "../support/namespace.ts";

needsNamespace();

let home: TestHome;
let host: Host;
beforeEach(async () => {
  home = await makeHome();
  host = await home.open();
});
afterEach(() => home?.remove());

const NETWORK = "permissions: { network: [{ host: api.example.com, methods: [GET], reason: Reads. }] }";

interface Version {
  readonly version?: string;
  readonly tools?: readonly string[];
  readonly permissions?: string;
  readonly folder?: string;
}

/** A version of the plugin `t`; its tools answer with the version. */
function written({
  version = "1.0.0",
  tools = [toolLine("look")],
  permissions,
  folder = version,
}: Version): Promise<string> {
  const names = tools.map((line) => /name: (\w+)/.exec(line)?.[1] ?? "");
  return home.plugin(`t-${folder}`, {
    "plugin.yml": manifestOf("t", tools, permissions).replace("version: 1.0.0", `version: ${version}`),
    "plugin.js": `export default { tools: { ${names.map((name) => `${name}: () => ({ version: "${version}" })`).join(", ")} } };`,
  });
}

async function install(wanted: Version): Promise<string> {
  const { approval } = await host.plugins.install(OPERATOR, { source: await written(wanted) });
  return approval?.id ?? "";
}

const look = () => host.invoke(AGENT, { tool: "t__look", input: {} });
const grantsOf = async (type: string) =>
  (await host.audit.query({ type, plugin: "t", order: "asc" })).map((event) => event.plugin?.version);

describe("a second version of a plugin", () => {
  it("waits for its own yes while the old one runs, and takes its place only when it is loaded", async () => {
    await installed(host, await written({}));
    const request = await install({ version: "2.0.0" });
    expect(await look()).toMatchObject({ result: { version: "1.0.0" } });
    await host.approvals.approve(OPERATOR, request);
    expect(await look()).toMatchObject({ result: { version: "1.0.0" } });
    await host.plugins.load(OPERATOR, "t", { version: "2.0.0" });
    expect(await look()).toMatchObject({ result: { version: "2.0.0" } });
    expect((await host.tools.list(AS_OPERATOR)).map((tool) => tool.name)).toEqual(["t__look"]);
  });

  it("that a gate refuses leaves the old one running", async () => {
    await installed(host, await written({}));
    await install({ version: "2.0.0" });
    await expect(host.plugins.load(OPERATOR, "t", { version: "2.0.0" })).rejects.toMatchObject({
      code: "not_approved",
    });
    expect(await host.plugins.info("t")).toMatchObject({ version: "1.0.0", state: "running" });
    expect(await look()).toMatchObject({ result: { version: "1.0.0" } });
    expect(await failedInstallAndLoad("2.0.0")).toMatchObject({ code: "not_approved" });
    expect(await look()).toMatchObject({ result: { version: "1.0.0" } });
  });

  async function failedInstallAndLoad(number: string): Promise<unknown> {
    const source = await written({ version: number });
    return host.plugins.install(OPERATOR, { source, load: true }).then(
      () => expect.fail("it was loaded"),
      (error: unknown) => error,
    );
  }

  it("is answered by its own request, and never by a yes for another version", async () => {
    const first = await install({ permissions: NETWORK });
    const second = await install({ version: "2.0.0" });
    await expect(host.plugins.approve(OPERATOR, "t", {})).rejects.toMatchObject({ code: "conflict" });
    await expect(host.plugins.deny(OPERATOR, "t")).rejects.toMatchObject({ code: "conflict" });
    await host.approvals.approve(OPERATOR, second);
    expect(await grantsOf("grant.written")).toEqual(["2.0.0"]);
    expect(await host.plugins.info("t", "1.0.0")).toMatchObject({ state: "pending_approval", granted: [] });
    expect(await host.plugins.info("t", "2.0.0")).toMatchObject({ state: "approved" });
    await host.approvals.deny(OPERATOR, first);
    expect(await host.plugins.info("t", "1.0.0")).toMatchObject({ state: "denied" });
    expect(await host.plugins.info("t", "2.0.0")).toMatchObject({ state: "approved" });
  });

  it("does not take from the running one what only that one was granted", async () => {
    const source = await written({ permissions: NETWORK });
    await installed(host, source);
    const request = await install({ version: "2.0.0" });
    await host.approvals.approve(OPERATOR, request);
    await host.plugins.unload(OPERATOR, "t");
    expect(await host.plugins.load(OPERATOR, "t", { version: "1.0.0" })).toMatchObject({ state: "running" });
  });

  it("with the same number and other bytes is refused, also when both come at once", async () => {
    const sources = await Promise.all([
      written({}),
      written({ folder: "other", tools: [toolLine("look"), toolLine("more")] }),
    ]);
    const results = await Promise.allSettled(sources.map((source) => host.plugins.install(OPERATOR, { source })));
    expect(results.map((result) => result.status).toSorted()).toEqual(["fulfilled", "rejected"]);
    expect(await host.plugins.list()).toHaveLength(1);
  });

  it("leaves the other's request open when it is uninstalled", async () => {
    await installed(host, await written({}));
    const request = await install({ version: "2.0.0" });
    await host.plugins.uninstall(OPERATOR, "t", { version: "1.0.0" });
    expect(await host.approvals.approve(OPERATOR, request)).toMatchObject({ state: "approved" });
  });

  it("is revoked together with the one that runs", async () => {
    await installed(host, await written({}));
    await install({ version: "2.0.0" });
    await host.plugins.revoke(OPERATOR, "t", "it lied");
    expect(await host.plugins.info("t", "1.0.0")).toMatchObject({ state: "revoked" });
    expect(await host.plugins.info("t", "2.0.0")).toMatchObject({ state: "revoked" });
    expect(await host.approvals.list({ state: "pending" })).toEqual([]);
    expect(await look()).toMatchObject({ code: "unknown_tool" });
  });
});

describe("development mode", () => {
  it("approves what asks for nothing by itself, and never another version that waits [S1-21, S1-23]", async () => {
    await host.close();
    await home.writeConfig(`mode: development\n${starterConfig({ pluginsEnabled: true })}`);
    host = await home.open();
    expect(await install({ permissions: NETWORK })).toMatch(/^apr_/);
    expect(await install({ version: "2.0.0" })).toBe("");
    expect(await grantsOf("grant.written")).toEqual(["2.0.0"]);
    expect(await host.plugins.info("t", "1.0.0")).toMatchObject({ state: "pending_approval", granted: [] });
  });
});

describe("the one yes", () => {
  const tools = [toolLine("look"), toolLine("change", "write")];
  const decisions = async () =>
    Object.fromEntries((await host.tools.list(AGENT)).map((tool) => [tool.tool, tool.decision]));

  it("changes nothing when it is not understood: the plugin runs on", async () => {
    await installed(host, await written({}));
    for (const wrong of [
      { scopes: ["nonsense"] },
      { scopes: ["filesystem=/srv:r"] },
      { only: ["exec"] },
      { allowTools: ["none"] },
      { expiresAt: 1 },
      { grantOnly: true, allowTools: ["look"] },
    ]) {
      await expect(host.plugins.approve(OPERATOR, "t", wrong)).rejects.toMatchObject({ code: "usage" });
    }
    expect(await look()).toMatchObject({ success: true });
  });

  it("denies the plugin when it leaves out what the plugin requires", async () => {
    await install({ permissions: NETWORK });
    await expect(host.plugins.approve(OPERATOR, "t", { only: ["tools"] })).rejects.toMatchObject({
      code: "permission_required",
    });
    expect(await host.plugins.info("t")).toMatchObject({ state: "denied", granted: [] });
    expect(await host.approvals.list({ state: "pending" })).toEqual([]);
  });

  it("says again for each tool whether agents are asked: nothing is left of an earlier yes", async () => {
    await installed(host, await written({ tools }), { allowTools: ["change"] });
    expect(await decisions()).toEqual({ look: "allow", change: "allow" });
    const request = await install({ version: "2.0.0", tools });
    await host.approvals.approve(OPERATOR, request);
    await host.plugins.load(OPERATOR, "t", { version: "2.0.0" });
    expect(await decisions()).toEqual({ look: "allow", change: "require_approval" });
  });

  it("stops a running plugin, so that a narrower grant is the only one there is", async () => {
    await installed(host, await written({ permissions: NETWORK.replace("reason", "optional: true, reason") }));
    await host.plugins.approve(OPERATOR, "t", { only: ["tools"] });
    expect(await host.plugins.info("t")).toMatchObject({ state: "approved", granted: [{ capability: "tools" }] });
    expect(await look()).toMatchObject({ code: "unknown_tool" });
    expect(await grantsOf("grant.withdrawn")).toEqual(["1.0.0"]);
  });

  it("cannot promise a path that is never granted, nor one over a link", async () => {
    const folder = dirname(home.path);
    await mkdir(join(folder, "real"));
    await symlink(join(folder, "real"), join(folder, "link"));
    await install({ permissions: "permissions: { filesystem_read: true }" });
    for (const path of ["/proc/1", "/root/.ssh", "/etc/shadow", home.path, join(home.path, "data")]) {
      await expect(host.plugins.approve(OPERATOR, "t", { scopes: [`filesystem=${path}:r`] })).rejects.toMatchObject({
        code: "ceiling_exceeded",
      });
    }
    for (const path of [join(folder, "link"), join(folder, "link", "new")]) {
      await expect(host.plugins.approve(OPERATOR, "t", { scopes: [`filesystem=${path}:r`] })).rejects.toMatchObject({
        code: "usage",
        fix: expect.stringContaining(join(folder, "real")),
      });
    }
    expect(await host.plugins.info("t")).toMatchObject({ state: "pending_approval", granted: [] });
    await host.plugins.approve(OPERATOR, "t", { scopes: [`filesystem=${join(folder, "real")}:r`] });
  });
});

describe("what is left after an uninstall", () => {
  const tools = [toolLine("change", "write")];

  it("is nothing that lets other bytes of the same id in", async () => {
    await installed(host, await written({ tools }), { allowTools: ["change"] });
    const request = await install({ version: "2.0.0" });
    await host.approvals.approve(OPERATOR, request);
    await host.plugins.uninstall(OPERATOR, "t");
    await install({ tools: [...tools, toolLine("look")] });
    await expect(host.plugins.load(OPERATOR, "t")).rejects.toMatchObject({ code: "not_allow_listed" });
    expect(await host.plugins.info("t")).toMatchObject({ granted: [], grant: null });
    await host.plugins.approve(OPERATOR, "t", { grantOnly: true });
    await expect(host.plugins.load(OPERATOR, "t")).rejects.toMatchObject({ code: "not_allow_listed" });
    // Neither that it asks nobody, nor that agents have it at all.
    expect((await host.plugins.info("t")).tools.find((tool) => tool.tool === "change")?.decision).toBe("deny");
  });

  it("is said when a plugin of the id left data or configuration", async () => {
    const schema = "permissions: {}\n";
    const source = await written({ permissions: schema });
    const first = await host.plugins.install(OPERATOR, { source });
    expect(first.warnings).toEqual([]);
    await host.plugins.setConfig(OPERATOR, "t", {});
    await host.plugins.uninstall(OPERATOR, "t");
    expect((await host.plugins.install(OPERATOR, { source })).warnings).toEqual([
      expect.stringContaining("A plugin named t left data"),
    ]);
    await host.plugins.uninstall(OPERATOR, "t", { purge: true });
    expect((await host.plugins.install(OPERATOR, { source })).warnings).toEqual([]);
  });
});

describe("verbs that race", () => {
  it("never leave a process without its record, or a record that lies", async () => {
    await installed(host, await written({}));
    await Promise.allSettled([
      host.plugins.unload(OPERATOR, "t"),
      host.plugins.load(OPERATOR, "t"),
      host.plugins.disable(OPERATOR, "t"),
      look(),
      host.plugins.load(OPERATOR, "t"),
      host.plugins.revoke(OPERATOR, "t", "enough"),
      host.plugins.load(OPERATOR, "t"),
      host.plugins.approve(OPERATOR, "t", {}),
    ]);
    expect(await host.plugins.info("t")).toMatchObject({ state: "revoked", granted: [] });
    expect(await look()).toMatchObject({ code: "unknown_tool" });
    expect(await host.audit.verify()).toMatchObject({ ok: true });
  });

  it("of uninstall and load end with one of the two, whole", async () => {
    await installed(host, await written({}));
    await Promise.allSettled([
      host.plugins.uninstall(OPERATOR, "t"),
      host.plugins.load(OPERATOR, "t"),
      host.plugins.unload(OPERATOR, "t"),
      host.plugins.load(OPERATOR, "t"),
    ]);
    const list = await host.plugins.list();
    const answer = await look();
    expect(answer.success).toBe(list.some((plugin) => plugin.state === "running"));
  });
});
