import { chmod, readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { signAt } from "../../src/cli/sign-files.ts";
import type { Host } from "../../src/host-api.ts";
import { HOST_RIGHTS, systemClock } from "../../src/kernel/index.ts";
import { findManifest, readManifest } from "../../src/manifest/index.ts";
import { toMcpTool } from "../../src/mcp/tools.ts";
import { openSource, packPlugin, stampTree } from "../../src/registry/index.ts";
import { forgetVerifiedTree, openDatabase, saveVerifiedTree } from "../../src/store/index.ts";
import type { SigningKey } from "../../src/trust/index.ts";
import { AGENT, makeHome, manifestOf, OPERATOR, type TestHome, toolLine } from "../support/home.ts";
import { ACME, MALLORY } from "../trust/support.ts";

const ALLOWED = `plugins: { enabled: true }
isolation: { allow_in_process: true }
policy: { defaults: { read: allow, write: require_approval, external: deny } }
`;
const FORBIDDEN = ALLOWED.replace("true }\npolicy", "false }\npolicy");
const WRITES = 'permissions: { filesystem: [{ path: "${data}/notes", mode: rw, reason: "Keeps notes." }] }';
const CODE = `export default { tools: {
  look: (input, ctx) => ctx.kv.get("a").then(() => ({ seen: true })),
  steal: (input, ctx) => ctx.files.readText("/etc/hostname").then((text) => ({ text }), (error) => ({ code: error.code })),
} };
`;
const READS = [toolLine("look"), toolLine("steal")];
const PROGRAM = "interpreter: python";

let home: TestHome;
afterEach(() => home.remove());

/** A packed plugin as an archive file, signed by these keys. */
async function archive(
  keys: readonly SigningKey[],
  { more = "permissions: {}", tools = READS, version = "1.0.0" } = {},
): Promise<string> {
  const dir = await home.plugin("inner", {
    "plugin.yml": manifestOf("inner", tools, more).replace("1.0.0", version),
    "plugin.js": CODE,
  });
  const { archive: bytes } = await packPlugin(await openSource(dir), { findManifest, readManifest });
  const file = join(dirname(dir), "inner.tgz");
  await writeFile(file, bytes, { mode: 0o644 });
  for (const key of keys) await signAt(file, { key });
  return file;
}

async function trusting(config = ALLOWED): Promise<Host> {
  home = await makeHome(config);
  const host = await home.open();
  await host.keys.trust(OPERATOR, { name: "acme", key: ACME.id, scopes: ["inner"] });
  return host;
}

/** Installed and approved for the host's process; all conditions hold unless a test takes one away. */
async function approved(host: Host, keys: readonly SigningKey[] = [ACME], options: Parameters<typeof archive>[1] = {}) {
  await host.plugins.install(OPERATOR, { source: await archive(keys, options) });
  return host.plugins.approve(OPERATOR, "inner", { inProcess: true, allowTools: ["look"] });
}

const refusedFor = (code: string, condition: string) =>
  expect.objectContaining({ name: "PolicyViolationError", code, data: expect.objectContaining({ condition }) });

describe("a plugin in the host's process", () => {
  it("runs when all four conditions hold, and everything says that nothing contains it [S2-1] [S4-1] [S4-2] [S4-56]", async () => {
    const host = await trusting();
    const info = await approved(host);
    expect(info).toMatchObject({ isolation: "in-process", contained: false, grant: { inProcess: true } });
    expect(await host.plugins.load(OPERATOR, "inner")).toMatchObject({ isolation: "in-process", contained: false });
    const answer = await host.invoke(AGENT, { tool: "inner__look", input: {} });
    expect(answer).toMatchObject({ success: true, result: { seen: true } });
    const [tool] = await host.tools.list(AGENT);
    expect(tool && toMcpTool(tool)._meta).toMatchObject({
      "sallyport/isolation": "in-process",
      "sallyport/contained": false,
    });
    await host.plugins.unload(OPERATOR, "inner");

    const events = await host.audit.query({ plugin: "inner" });
    const said = events.filter(({ isolation }) => isolation !== undefined);
    expect(new Set(said.map(({ isolation, contained }) => `${isolation} ${contained}`))).toEqual(
      new Set(["in-process false"]),
    );
    expect(new Set(said.map(({ type, to }) => to ?? type))).toEqual(
      new Set(["approved", "grant.written", "starting", "running", "plugin_tool.invoked", "broker.action", "stopped"]),
    );
    expect(events.find(({ type }) => type === "grant.written")).toMatchObject({ reason: HOST_RIGHTS });
  });

  it("says of each permission that nothing but the plugin keeps to it", async () => {
    const host = await trusting();
    const { permissions } = await approved(host, [ACME], { more: WRITES });
    expect(permissions.map(({ enforced }) => enforced)).toEqual(
      permissions.map(() => ({ not: expect.stringContaining(HOST_RIGHTS) })),
    );
    expect(permissions.map(({ capability }) => capability)).toContain("filesystem");
  });

  it("asks for an approval before a call that the policy wants asked for, and is refused what was not granted [S2-68]", async () => {
    const host = await trusting();
    const tools = [toolLine("look", "write"), toolLine("steal")];
    await host.plugins.install(OPERATOR, { source: await archive([ACME], { tools }) });
    await host.plugins.approve(OPERATOR, "inner", { inProcess: true });
    await host.plugins.load(OPERATOR, "inner");
    const waiting = await host.invoke(AGENT, { tool: "inner__look", input: {} });
    expect(waiting).toMatchObject({ success: false, code: "approval_required" });
    await host.approvals.approve(OPERATOR, (await host.approvals.list({ state: "pending" }))[0]?.id ?? "");
    expect(await host.invoke(AGENT, { tool: "inner__look", input: {} })).toMatchObject({ success: true });
    expect(await host.invoke(AGENT, { tool: "inner__steal", input: {} })).toMatchObject({
      result: { code: "permission_denied" },
    });
    expect(await host.invoke(AGENT, { tool: "inner__none", input: {} })).toMatchObject({ code: "unknown_tool" });
  });

  it("has its intent written before the call is sent, of a read too", async () => {
    const host = await trusting();
    await approved(host);
    await host.plugins.load(OPERATOR, "inner");
    const { callId } = await host.invoke(AGENT, { tool: "inner__look", input: {} });
    const events = await host.audit.query({ call: callId });
    expect(events.map(({ type, phase }) => phase ?? type).toReversed()).toEqual(["intent", "broker.action", "outcome"]);
  });

  it("goes on being one after a restart of the host, and none after another yes", async () => {
    const host = await trusting();
    await approved(host);
    await host.close();
    const second = await home.open();
    expect(await second.plugins.load(OPERATOR, "inner")).toMatchObject({ isolation: "in-process" });
    await second.plugins.approve(OPERATOR, "inner", {});
    expect(await second.plugins.load(OPERATOR, "inner")).toMatchObject({ contained: true });
  });
});

describe("an upgrade of a plugin in the host's process", () => {
  it("runs contained until somebody says yes to its own bytes", async () => {
    const host = await trusting();
    await approved(host);
    await host.plugins.load(OPERATOR, "inner");
    const next = await archive([ACME], { version: "1.1.0" });
    await host.plugins.upgrade(OPERATOR, "inner", { source: next });
    const { version, contained, grant } = await host.plugins.info("inner");
    expect([version, contained, grant?.inProcess]).toEqual(["1.1.0", true, undefined]);
  });
});

describe("a plugin does not run in the host's process", () => {
  it("unless the operator's configuration allows it, at the approval and at each load", async () => {
    const host = await trusting(FORBIDDEN);
    await expect(approved(host)).rejects.toEqual(refusedFor("isolation_unavailable", "configuration"));
    expect((await host.plugins.info("inner")).state).toBe("pending_approval");
    await host.close();

    await home.writeConfig(ALLOWED);
    const second = await home.open();
    await second.plugins.approve(OPERATOR, "inner", { inProcess: true });
    await second.plugins.load(OPERATOR, "inner");
    await second.close();

    await home.writeConfig(FORBIDDEN);
    const third = await home.open();
    await expect(third.plugins.load(OPERATOR, "inner")).rejects.toEqual(
      refusedFor("isolation_unavailable", "configuration"),
    );
    expect((await third.plugins.info("inner")).isolation).toBeNull();
  });

  it("when the configuration names a level for every plugin", async () => {
    const host = await trusting(ALLOWED.replace("allow_in_process: true", "allow_in_process: true, driver: landlock"));
    await expect(approved(host)).rejects.toEqual(refusedFor("isolation_unavailable", "configuration"));
  });

  it("unless its approval says so, whatever the configuration allows", async () => {
    const host = await trusting();
    await host.plugins.install(OPERATOR, { source: await archive([ACME]) });
    const [request] = await host.approvals.list({ state: "pending" });
    await host.approvals.approve(OPERATOR, request?.id ?? "");
    const loaded = await host.plugins.load(OPERATOR, "inner");
    expect(loaded.contained).toBe(true);
    expect(loaded.isolation).not.toBe("in-process");
  });

  it.each<readonly [string, readonly SigningKey[]]>([
    ["nobody signed it", []],
    ["a key signed it that is not trusted here", [MALLORY]],
  ])("when %s", async (_why, keys) => {
    const host = await trusting();
    await expect(approved(host, keys)).rejects.toEqual(refusedFor("signature_required", "signature"));
  });

  it("when only this host's own seal vouches for it, or the folder that it came from", async () => {
    home = await makeHome(ALLOWED);
    const host = await home.open({ env: { PLUGIN_SECRET_KEY: "0123456789abcdef0123456789abcdef" } });
    const source = await home.plugin("inner", { "plugin.yml": manifestOf("inner", READS), "plugin.js": CODE });
    await host.plugins.install(OPERATOR, { source });
    await expect(host.plugins.approve(OPERATOR, "inner", { inProcess: true })).rejects.toEqual(
      refusedFor("signature_required", "signature"),
    );
  });

  it("once trust in its key is taken back: it stops at once", async () => {
    const host = await trusting();
    await approved(host);
    await host.plugins.load(OPERATOR, "inner");
    await host.keys.untrust(OPERATOR, "acme");
    expect((await host.plugins.info("inner")).state).toBe("stopped");
    await expect(host.plugins.load(OPERATOR, "inner")).rejects.toEqual(refusedFor("signature_required", "signature"));
  });

  it("once a byte of what is stored is another", async () => {
    const host = await trusting();
    await approved(host);
    await host.close();
    const db = await openDatabase({ path: join(home.path, "state.db"), clock: systemClock });
    const row = await db.query.selectFrom("plugins").select(["root", "bundle"]).executeTakeFirstOrThrow();
    await db.close();
    const file = join(row.root, row.bundle);
    const { mode } = await stat(file);
    await chmod(file, 0o600);
    await writeFile(file, (await readFile(file, "utf8")).replace("true", "null"));
    await chmod(file, mode);
    const second = await home.open();
    await expect(second.plugins.load(OPERATOR, "inner")).rejects.toMatchObject({ code: "digest_mismatch" });
  });

  it("once a byte of what is stored is another, also when the database says that it was read as it is", async () => {
    const host = await trusting();
    await approved(host);
    await host.close();
    const db = await openDatabase({ path: join(home.path, "state.db"), clock: systemClock });
    const row = await db.query
      .selectFrom("plugins")
      .select(["root", "bundle", "tree_digest"])
      .executeTakeFirstOrThrow();
    const file = join(row.root, row.bundle);
    await chmod(file, 0o600);
    await writeFile(file, (await readFile(file, "utf8")).replace("true", "null"));
    const stamp = (await stampTree(row.root))?.text ?? expect.fail("there is no tree");
    await db.atomically([
      forgetVerifiedTree(row.tree_digest),
      saveVerifiedTree({ digest: row.tree_digest, stamp, verifiedAt: 1 }),
    ]);
    await db.close();
    const second = await home.open();
    await expect(second.plugins.load(OPERATOR, "inner")).rejects.toMatchObject({ code: "digest_mismatch" });
  });

  it("once the lock does not pin it any more", async () => {
    const host = await trusting();
    await approved(host);
    const lock = join(home.path, "plugin.lock.json");
    await writeFile(lock, (await readFile(lock, "utf8")).replaceAll(/"version": ?"1\.0\.0"/g, '"version": "1.0.1"'));
    await expect(host.plugins.load(OPERATOR, "inner")).rejects.toMatchObject({ code: "lock_mismatch" });
  });

  it("by a grant that somebody wrote into the database, where the host has a key", async () => {
    home = await makeHome(ALLOWED);
    const env = { PLUGIN_SECRET_KEY: "0123456789abcdef0123456789abcdef" };
    const host = await home.open({ env });
    await host.keys.trust(OPERATOR, { name: "acme", key: ACME.id, scopes: ["inner"] });
    await host.plugins.install(OPERATOR, { source: await archive([ACME]) });
    await host.plugins.approve(OPERATOR, "inner", {});
    await host.close();
    const db = await openDatabase({ path: join(home.path, "state.db"), clock: systemClock });
    await db.atomically([{ query: db.query.updateTable("grants").set({ in_process: 1 }).compile() }]);
    await db.close();
    const second = await home.open({ env });
    await expect(second.plugins.load(OPERATOR, "inner")).rejects.toMatchObject({ code: "seal_invalid" });
  });

  it("when it says itself that it needs a kernel level", async () => {
    const host = await trusting();
    const strict = approved(host, [ACME], { more: "permissions: {}\nisolation: { minimum: kernel }" });
    await expect(strict).rejects.toEqual(refusedFor("isolation_unavailable", "manifest"));
  });

  it("when it is a program", async () => {
    const host = await trusting();
    const dir = await home.plugin("inner", {
      "plugin.yml": manifestOf("inner", [toolLine("look")], `permissions: {}\n${PROGRAM}`).replace(
        "plugin.js",
        "plugin.py",
      ),
      "plugin.py": "print('no')\n",
    });
    await host.plugins.install(OPERATOR, { source: dir });
    await expect(host.plugins.approve(OPERATOR, "inner", { inProcess: true })).rejects.toEqual(
      refusedFor("isolation_unavailable", "program"),
    );
  });
});
