import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { signAt } from "../../src/cli/sign-files.ts";
import type { Host, UpgradeAnswer } from "../../src/host-api.ts";
import { findManifest, readManifest } from "../../src/manifest/index.ts";
import { openSource, packPlugin } from "../../src/registry/index.ts";
import type { SigningKey } from "../../src/trust/index.ts";
import { AGENT, installed, makeHome, manifestOf, OPERATOR, type TestHome, toolLine } from "../support/home.ts";
import { needsNamespace } from "../support/namespace.ts";
import { ACME, MALLORY } from "../trust/support.ts";

needsNamespace();

let home: TestHome;
let host: Host;
beforeEach(async () => {
  home = await makeHome();
  host = await home.open();
  await host.keys.trust(OPERATOR, { name: "acme", key: ACME.id, scopes: ["*"] });
  await host.keys.trust(OPERATOR, { name: "mallory", key: MALLORY.id, scopes: ["*"] });
});
afterEach(() => home.remove());

const NETWORK = "permissions: { network: [{ host: api.example.com, methods: [GET], reason: Reads. }] }";
const WIDER =
  "permissions: { network: [{ host: api.example.com, methods: [GET], reason: Reads. }, { host: other.example.com, methods: [GET], reason: More. }] }";
const NARROWER =
  'permissions: { network: [{ host: api.example.com, methods: [GET], paths: ["/v1/**"], reason: Reads. }] }';

interface Version {
  readonly version: string;
  readonly tools?: readonly string[];
  readonly permissions?: string;
  readonly key?: SigningKey;
  readonly code?: string;
  /** Further lines of the manifest. */
  readonly more?: string;
}

function folder({
  version,
  tools = [toolLine("look")],
  permissions = NETWORK,
  code,
  more = "",
}: Version): Promise<string> {
  const names = tools.map((line) => /name: (\w+)/.exec(line)?.[1] ?? "");
  const answers = names.map((name) => `${name}: () => ({ version: "${version}" })`).join(", ");
  return home.plugin(`t-${version}`, {
    "plugin.yml": `${manifestOf("t", tools, permissions).replace("version: 1.0.0", `version: ${version}`)}${more}`,
    "plugin.js": code ?? `export default { tools: { ${answers} } };`,
  });
}

/** An archive, signed. */
async function signed(wanted: Version): Promise<string> {
  const dir = await folder(wanted);
  const { archive } = await packPlugin(await openSource(dir), { findManifest, readManifest });
  const file = join(dirname(dir), `t-${wanted.version}.tgz`);
  await writeFile(file, archive, { mode: 0o644 });
  await signAt(file, { key: wanted.key ?? ACME });
  return file;
}

const look = () => host.invoke(AGENT, { tool: "t__look", input: {} });
const upgradeTo = (source: string, more = {}): Promise<UpgradeAnswer> =>
  host.plugins.upgrade(OPERATOR, "t", { source, ...more });
const active = async () => (await host.plugins.info("t")).version;

describe("plugin upgrade", () => {
  it("by the same key, with the same tools and no wider wish asks nothing, and carries the grant on", async () => {
    await installed(host, await signed({ version: "1.0.0" }), { allowTools: ["look"] });
    const before = await host.plugins.info("t");
    const answer = await upgradeTo(await signed({ version: "1.1.0", permissions: NARROWER }));
    expect(answer).toMatchObject({ state: "upgraded", from: "1.0.0", to: "1.1.0", difference: { questions: [] } });
    expect(await look()).toMatchObject({ success: true, result: { version: "1.1.0" } });
    const after = await host.plugins.info("t");
    expect(after).toMatchObject({ version: "1.1.0", state: "running" });
    expect(after.granted).toMatchObject([{ capability: "tools" }, { capability: "network", paths: ["/v1/**"] }]);
    expect(after.grant?.id).not.toBe(before.grant?.id);
    expect(await host.plugins.info("t", "1.0.0")).toMatchObject({ state: "stopped" });
    const [written] = await host.audit.query({ type: "grant.written", plugin: "t", order: "desc", limit: 1 });
    expect(written).toMatchObject({
      plugin: { version: "1.1.0" },
      data: { derived_from: before.grant?.id, added: [] },
    });
    expect(await host.audit.query({ type: "plugin.upgraded" })).toMatchObject([
      { actor: "operator:tester", from: "1.0.0", to: "1.1.0" },
    ]);
  });

  it.each([
    ["another host", { permissions: WIDER }, /It asks for more: it .*other\.example\.com/],
    ["another tool", { tools: [toolLine("look"), toolLine("more")] }, /It offers another tool: more\./],
    ["another definition", { tools: [toolLine("look", "write")] }, /Its tool look has another effect\./],
    ["another key", { key: MALLORY }, /It is signed by another key/],
  ] as const)("asks for %s, showing only that, while the old version runs [S4-61]", async (_what, change, question) => {
    await installed(host, await signed({ version: "1.0.0" }), { allowTools: ["look"] });
    const source = await signed({ version: "2.0.0", ...change });
    const seen = await upgradeTo(source, { dryRun: true });
    expect(seen.state).toBe("possible");
    expect(seen.difference.questions).toEqual([expect.stringMatching(question)]);
    await expect(host.plugins.info("t", "2.0.0")).rejects.toMatchObject({ code: "not_found" });

    const waiting = await upgradeTo(source);
    expect(waiting).toMatchObject({ state: "waiting", approval: { id: expect.any(String) } });
    const [request] = await host.approvals.list({ state: "pending" });
    expect(request?.sentence).toMatch(question);
    expect(request?.sentence).toContain("in the place of 1.0.0");
    expect(await look()).toMatchObject({ result: { version: "1.0.0" } });

    expect(await upgradeTo(source, { approve: seen.digest })).toMatchObject({ state: "upgraded" });
    expect(await active()).toBe("2.0.0");
    // A yes for another definition of the tool has to be said again.
    const allowed = (await host.tools.list(AGENT)).find(({ name }) => name === "t__look")?.decision;
    expect(allowed).toBe(_what === "another definition" ? "require_approval" : "allow");
  });

  it("asks for a yes to less isolation, and for none to more", async () => {
    const kernel = "isolation: { minimum: kernel }\n";
    await installed(host, await signed({ version: "1.0.0" }));
    expect(await upgradeTo(await signed({ version: "1.1.0", more: kernel }))).toMatchObject({ state: "upgraded" });
    expect(await upgradeTo(await signed({ version: "1.2.0" }))).toMatchObject({
      state: "waiting",
      difference: { questions: ["It accepts to run without a kernel sandbox, which it did not before."] },
    });
  });

  it("of an unsigned plugin always asks, and says why", async () => {
    await installed(host, await folder({ version: "1.0.0" }));
    const waiting = await upgradeTo(await folder({ version: "1.1.0" }));
    expect(waiting).toMatchObject({
      state: "waiting",
      difference: { added: [], questions: ["It is not signed, so nobody can say that the same people made it."] },
    });
    await host.plugins.approve(OPERATOR, "t", { version: "1.1.0" });
    expect(await upgradeTo(await folder({ version: "1.1.0" }))).toMatchObject({ state: "upgraded" });
    expect(await active()).toBe("1.1.0");
  });

  it("takes no yes for other bytes than were shown", async () => {
    await installed(host, await folder({ version: "1.0.0" }));
    const seen = await upgradeTo(await folder({ version: "1.1.0" }), { dryRun: true });
    const other = await folder({
      version: "1.1.0",
      code: "export default { tools: { look: () => ({ evil: true }) } };",
    });
    await expect(upgradeTo(other, { approve: seen.digest })).rejects.toMatchObject({
      code: "conflict",
      data: { expected: seen.digest },
    });
    await expect(host.plugins.info("t", "1.1.0")).rejects.toMatchObject({ code: "not_found" });
  });

  it("keeps the old version when the new one does not initialize", async () => {
    await installed(host, await signed({ version: "1.0.0" }), { allowTools: ["look"] });
    const code = "export default { initialize: () => false, tools: { look: () => ({}) } };";
    await expect(upgradeTo(await signed({ version: "1.1.0", code }))).rejects.toMatchObject({
      code: "initialize_failed",
    });
    expect(await active()).toBe("1.0.0");
    expect(await look()).toMatchObject({ success: true, result: { version: "1.0.0" } });
    expect(await host.plugins.info("t", "1.1.0")).toMatchObject({ state: "failed" });
  });

  it("lets calls in flight end on the old version", async () => {
    const code = `export default { tools: {
      hold: async (input, ctx) => {
        while ((await ctx.kv.get("go")) === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
        return { version: "1.0.0" };
      },
      look: async (input, ctx) => { await ctx.kv.set("go", true); return { version: "1.0.0" }; } } };`;
    const tools = [toolLine("look"), toolLine("hold")];
    await installed(host, await signed({ version: "1.0.0", code, tools }), { allowTools: ["look", "hold"] });
    const held = host.invoke(AGENT, { tool: "t__hold", input: {} });
    const upgraded = upgradeTo(await signed({ version: "1.1.0", code: code.replaceAll("1.0.0", "1.1.0"), tools }));
    await expect.poll(active, { timeout: 20_000 }).toBe("1.1.0");
    expect(await look()).toMatchObject({ success: true, result: { version: "1.1.0" } });
    expect(await held).toMatchObject({ success: true, result: { version: "1.0.0" } });
    expect(await upgraded).toMatchObject({ state: "upgraded" });
    expect(await host.plugins.info("t", "1.0.0")).toMatchObject({ state: "stopped" });
  }, 60_000);

  it("refuses an older version, and the same version with other bytes", async () => {
    await installed(host, await signed({ version: "1.10.0" }));
    await expect(upgradeTo(await signed({ version: "1.9.0" }))).rejects.toMatchObject({
      code: "conflict",
      data: { from: "1.10.0", to: "1.9.0" },
    });
    const code = "export default { tools: { look: () => ({ other: true }) } };";
    await expect(upgradeTo(await signed({ version: "1.10.0", code }))).rejects.toMatchObject({ code: "conflict" });
    expect(await upgradeTo(await signed({ version: "1.9.0" }), { allowDowngrade: true })).toMatchObject({
      state: "upgraded",
    });
  });

  it("of all tells of each what would happen, and keeps nothing", async () => {
    await installed(host, await folder({ version: "1.0.0" }));
    const other = await home.plugin("u", {
      "plugin.yml": manifestOf("u", [toolLine("look")]),
      "plugin.js": "export default { tools: { look: () => ({}) } };",
    });
    await installed(host, other);
    await home.plugin("t-1.0.0", {
      "plugin.yml": manifestOf("t", [toolLine("look")], NETWORK).replace("version: 1.0.0", "version: 1.2.0"),
    });
    const rows = await host.plugins.upgradeAll(OPERATOR, { dryRun: true });
    expect(rows).toMatchObject([
      { id: "t", from: "1.0.0", to: "1.2.0", state: "possible" },
      { id: "u", state: "current" },
    ]);
    await expect(host.plugins.info("t", "1.2.0")).rejects.toMatchObject({ code: "not_found" });
  });
});

describe("plugin rollback", () => {
  it("goes back in one step to a version that was approved, and never to a revoked or unapproved one", async () => {
    await installed(host, await signed({ version: "1.0.0" }), { allowTools: ["look"] });
    await expect(host.plugins.rollback(OPERATOR, "t")).rejects.toMatchObject({ code: "not_found" });
    await upgradeTo(await signed({ version: "1.1.0" }));
    await host.plugins.install(OPERATOR, { source: await signed({ version: "1.0.5" }) });
    expect(await host.plugins.rollback(OPERATOR, "t")).toMatchObject({ version: "1.0.0", state: "running" });
    expect(await look()).toMatchObject({ result: { version: "1.0.0" } });
    await expect(host.plugins.rollback(OPERATOR, "t", "1.0.5")).rejects.toMatchObject({ code: "not_found" });
    expect(await host.plugins.rollback(OPERATOR, "t", "1.1.0")).toMatchObject({ version: "1.1.0" });
    expect(await host.audit.query({ type: "plugin.rolled_back", order: "asc" })).toMatchObject([
      { from: "1.1.0", to: "1.0.0" },
      { from: "1.0.0", to: "1.1.0" },
    ]);
    await host.keys.revoke(OPERATOR, "acme", "stolen");
    await expect(host.plugins.rollback(OPERATOR, "t")).rejects.toMatchObject({ code: "revoked" });
  });
});
