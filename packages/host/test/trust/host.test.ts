import { Buffer } from "node:buffer";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { signAt } from "../../src/cli/sign-files.ts";
import { findManifest, readManifest } from "../../src/manifest/index.ts";
import { openSource, packPlugin } from "../../src/registry/index.ts";
import { openDatabase } from "../../src/store/index.ts";
import { generateSigningKey, type SigningKey, writeRotation } from "../../src/trust/index.ts";
import { systemClock } from "../../src/kernel/index.ts";
import { AGENT, makeHome, manifestOf, OPERATOR, type TestHome, toolLine } from "../support/home.ts";
import { ACME, DAY, MALLORY } from "./support.ts";

const SECRET = { PLUGIN_SECRET_KEY: "0123456789abcdef0123456789abcdef" };
const RISKY =
  'permissions: { network: [{ host: api.example.com, port: 443, scheme: https, methods: [GET], reason: "Reads." }] }';
const CODE = "export default { tools: { look: () => ({ seen: true }) } };\n";

let home: TestHome;
afterEach(() => home.remove());

/** A packed plugin as an archive file, signed by these keys. */
async function archive(id: string, keys: readonly SigningKey[], more = RISKY, code = CODE): Promise<string> {
  const dir = await home.plugin(id, { "plugin.yml": manifestOf(id, [toolLine("look")], more), "plugin.js": code });
  const { archive: bytes } = await packPlugin(await openSource(dir), { findManifest, readManifest });
  const file = join(dirname(dir), `${id}.tgz`);
  await writeFile(file, bytes, { mode: 0o644 });
  for (const key of keys) await signAt(file, { key });
  return file;
}

const code = (value: string) => expect.objectContaining({ code: value });

describe("a host", () => {
  it("installs a risky plugin from an archive only when a trusted key signed it, and runs it [S3-3] [S3-4] [S4-63]", async () => {
    home = await makeHome();
    const host = await home.open();
    const unsigned = await archive("weather", []);
    await expect(host.plugins.install(OPERATOR, { source: unsigned })).rejects.toEqual(code("signature_required"));
    await signAt(unsigned, { key: ACME });
    await expect(host.plugins.install(OPERATOR, { source: unsigned })).rejects.toEqual(code("signature_required"));
    await host.keys.trust(OPERATOR, { name: "acme", key: ACME.id });
    await expect(host.plugins.install(OPERATOR, { source: unsigned })).rejects.toEqual(code("signature_invalid"));
    expect(await host.plugins.list()).toEqual([]);

    await host.keys.trust(OPERATOR, { name: "acme", key: ACME.id, scopes: ["weather"] });
    const { plugin } = await host.plugins.install(OPERATOR, { source: unsigned });
    expect(plugin.signer).toEqual({ state: "signed", key: ACME.id, name: "acme" });
    const [waiting] = await host.approvals.list({ state: "pending" });
    expect(waiting?.sentence).toContain("It is signed by acme.");
    await host.plugins.approve(OPERATOR, "weather", { allowTools: ["look"] });
    await host.plugins.load(OPERATOR, "weather");
    const answer = await host.invoke(AGENT, { tool: "weather__look", input: {} });
    expect(answer).toMatchObject({ success: true, result: { seen: true } });
    expect((await host.plugins.info("weather")).trust).toMatchObject({ verdict: "verified", publisherKey: ACME.id });
  });

  it("stops what a key signed when trust in it is taken back, and refuses it for good when it is revoked", async () => {
    home = await makeHome();
    const host = await home.open();
    await host.keys.trust(OPERATOR, { name: "acme", key: ACME.id, scopes: ["*"] });
    const source = await archive("weather", [ACME]);
    await host.plugins.install(OPERATOR, { source });
    await host.plugins.approve(OPERATOR, "weather", {});
    await host.plugins.load(OPERATOR, "weather");
    await host.keys.untrust(OPERATOR, "acme");
    expect(await host.plugins.info("weather")).toMatchObject({
      state: "stopped",
      trust: { code: "signature_required" },
    });
    await expect(host.plugins.load(OPERATOR, "weather")).rejects.toEqual(code("signature_required"));

    await host.keys.trust(OPERATOR, { name: "acme", key: ACME.id, scopes: ["*"] });
    await host.plugins.load(OPERATOR, "weather");
    await host.keys.revoke(OPERATOR, "acme", "stolen");
    expect((await host.plugins.info("weather")).state).toBe("stopped");
    await expect(host.plugins.load(OPERATOR, "weather")).rejects.toEqual(code("revoked"));
    await expect(host.keys.trust(OPERATOR, { name: "acme", key: ACME.id })).rejects.toEqual(code("revoked"));
    // Not under another name either, nor with a second signature that would be good.
    await host.keys.trust(OPERATOR, { name: "mallory", key: MALLORY.id, scopes: ["*"] });
    const other = await archive("forecast", [ACME, MALLORY]);
    await expect(host.plugins.install(OPERATOR, { source: other })).rejects.toEqual(code("revoked"));
  });

  it("still knows what it trusts and what it revoked after a restart, and when a trust is over", async () => {
    home = await makeHome();
    let now = Date.now();
    const clock = { ...systemClock, now: () => now };
    const first = await home.open({ clock });
    await first.keys.trust(OPERATOR, { name: "acme", key: ACME.id, scopes: ["*"], expiresAt: now + DAY });
    await first.keys.revoke(OPERATOR, MALLORY.id);
    const source = await archive("weather", [ACME]);
    await first.plugins.install(OPERATOR, { source });
    await first.plugins.approve(OPERATOR, "weather", {});
    await first.close();

    const second = await home.open({ clock });
    expect(await second.keys.list()).toMatchObject([{ name: "acme", state: "trusted" }]);
    await expect(second.keys.trust(OPERATOR, { name: "m", key: MALLORY.id })).rejects.toEqual(code("revoked"));
    await second.plugins.load(OPERATOR, "weather");
    await second.plugins.unload(OPERATOR, "weather");
    now += DAY;
    expect(await second.keys.list()).toMatchObject([{ name: "acme", state: "expired" }]);
    await expect(second.plugins.load(OPERATOR, "weather")).rejects.toEqual(code("signature_required"));
  });

  it("takes a key's successor on the word of the old key while that is trusted, and only one", async () => {
    home = await makeHome();
    const host = await home.open();
    const next = generateSigningKey();
    const statement = writeRotation(ACME, next);
    await expect(host.keys.rotate(OPERATOR, statement)).rejects.toEqual(code("signature_required"));
    await host.keys.trust(OPERATOR, { name: "acme", key: ACME.id, scopes: ["weather"] });
    expect(await host.keys.rotate(OPERATOR, statement)).toMatchObject({
      id: next.id,
      name: "acme",
      scopes: ["weather"],
      replaces: ACME.id,
    });
    await expect(host.keys.rotate(OPERATOR, writeRotation(ACME, MALLORY))).rejects.toEqual(code("conflict"));
    const source = await archive("weather", [next]);
    expect((await host.plugins.install(OPERATOR, { source })).plugin.signer).toMatchObject({ name: "acme" });
    await host.keys.revoke(OPERATOR, ACME.id);
    await expect(host.keys.rotate(OPERATOR, statement)).rejects.toEqual(code("signature_required"));
  });

  it("gives a plugin its publisher when the same bytes come signed, and keeps it against a stranger's signature", async () => {
    home = await makeHome();
    const host = await home.open();
    await host.keys.trust(OPERATOR, { name: "acme", key: ACME.id, scopes: ["*"] });
    const low = "permissions: {}";
    const source = await archive("weather", [], low);
    expect((await host.plugins.install(OPERATOR, { source })).plugin.signer).toEqual({ state: "unsigned" });
    await signAt(source, { key: ACME });
    expect((await host.plugins.install(OPERATOR, { source })).plugin.signer).toMatchObject({ name: "acme" });
    const again = await archive("weather", [MALLORY], low);
    expect((await host.plugins.install(OPERATOR, { source: again })).plugin.signer).toMatchObject({ name: "acme" });
  });

  it("finds the publisher of what was installed before its key was trusted", async () => {
    home = await makeHome();
    const host = await home.open();
    await host.plugins.install(OPERATOR, { source: await archive("weather", [ACME], "permissions: {}") });
    expect((await host.plugins.info("weather")).signer).toEqual({ state: "unknown" });
    await host.keys.trust(OPERATOR, { name: "acme", key: ACME.id, scopes: ["weather"] });
    expect((await host.plugins.info("weather")).signer).toMatchObject({ state: "signed", name: "acme" });
  });

  it("refuses to sign what is not packed, and keeps other people's signatures over the same bytes", async () => {
    home = await makeHome();
    const dir = await home.plugin("weather", {
      "plugin.yml": manifestOf("weather", [toolLine("look")]),
      "plugin.js": CODE,
    });
    await expect(signAt(dir, { key: ACME })).rejects.toEqual(
      expect.objectContaining({ code: "usage", fix: expect.stringContaining("pack") }),
    );
    const file = await archive("weather", [ACME, MALLORY, ACME]);
    const before = await readFile(file);
    expect((await signAt(file, { key: ACME })).keys.toSorted()).toEqual([ACME.id, MALLORY.id].toSorted());
    expect((await readFile(file)).length).toBe(before.length);
    // An unpacked archive is a folder that holds its bundle.
    const { files } = await openSource(file);
    const folder = join(dirname(dir), "unpacked");
    for (const one of files) {
      await mkdir(dirname(join(folder, one.path)), { recursive: true });
      await writeFile(join(folder, one.path), one.bytes, { mode: one.mode });
    }
    const signed = await signAt(folder, { key: MALLORY });
    const host = await home.open();
    await host.keys.trust(OPERATOR, { name: "mallory", key: MALLORY.id, scopes: ["weather"] });
    const verified = await host.plugins.verify({ source: folder });
    expect(verified).toMatchObject({ digest: signed.treeDigest, trust: { verdict: "verified" } });
    expect((await host.plugins.verify({ source: file })).digest).toBe(signed.treeDigest);
  });

  it("takes a plugin that was signed with its own secret key, and no one else's [S3-2] [S3-97]", async () => {
    home = await makeHome();
    const host = await home.open({ env: SECRET });
    const file = await archive("weather", []);
    await signAt(file, { sealKey: Buffer.from("fedcba9876543210fedcba9876543210") });
    await expect(host.plugins.install(OPERATOR, { source: file })).rejects.toEqual(code("signature_required"));
    await signAt(file, { sealKey: Buffer.from(SECRET.PLUGIN_SECRET_KEY) });
    await host.plugins.install(OPERATOR, { source: file });
    expect((await host.plugins.info("weather")).trust.verdict).toBe("verified");
  });
});

describe("the host seal", () => {
  async function edit(change: (db: Awaited<ReturnType<typeof openDatabase>>) => Promise<unknown>): Promise<void> {
    const db = await openDatabase({ path: join(home.path, "state.db"), clock: systemClock });
    await change(db);
    await db.close();
  }

  async function prepared(): Promise<void> {
    home = await makeHome();
    const host = await home.open({ env: SECRET });
    await host.keys.trust(OPERATOR, { name: "acme", key: ACME.id, scopes: ["weather"] });
    await host.plugins.install(OPERATOR, { source: await archive("weather", [ACME]) });
    await host.plugins.approve(OPERATOR, "weather", {});
    await host.close();
  }

  it("lets what the host wrote load after a restart", async () => {
    await prepared();
    const host = await home.open({ env: SECRET });
    await host.plugins.load(OPERATOR, "weather");
  });

  it("refuses a record, a grant and a trusted key that somebody else edited", async () => {
    await prepared();
    let saved:
      | { plugin: { source: string; seal: string | null }; grant: { scopes: string; seal: string | null } }
      | undefined;
    await edit(async (db) => {
      saved = {
        plugin: await db.query.selectFrom("plugins").select(["source", "seal"]).executeTakeFirstOrThrow(),
        grant: await db.query.selectFrom("grants").select(["scopes", "seal"]).executeTakeFirstOrThrow(),
      };
    });
    const sound = saved;
    if (!sound) throw new Error("there is a plugin and a grant");
    for (const change of [
      { plugin: { ...sound.plugin, source: "directory:/x" }, grant: sound.grant },
      { plugin: { ...sound.plugin, seal: null }, grant: sound.grant },
      { plugin: sound.plugin, grant: { ...sound.grant, scopes: "[]" } },
      { plugin: sound.plugin, grant: { ...sound.grant, seal: "0".repeat(64) } },
    ]) {
      await edit(async (db) => {
        await db.query.updateTable("plugins").set(change.plugin).execute();
        await db.query.updateTable("grants").set(change.grant).execute();
      });
      const host = await home.open({ env: SECRET });
      await expect(host.plugins.load(OPERATOR, "weather")).rejects.toEqual(code("seal_invalid"));
      await host.close();
    }
    await edit(async (db) => {
      await db.query.updateTable("plugins").set(sound.plugin).execute();
      await db.query.updateTable("grants").set(sound.grant).execute();
      await db.query.updateTable("trusted_keys").set({ id: MALLORY.id }).execute();
    });
    const host = await home.open({ env: SECRET });
    expect(await host.keys.list()).toMatchObject([{ id: MALLORY.id, state: "unsealed" }]);
    await expect(host.plugins.load(OPERATOR, "weather")).rejects.toEqual(code("signature_required"));
  });

  it("does not let an edit bring a withdrawn grant back", async () => {
    await prepared();
    const first = await home.open({ env: SECRET });
    await first.plugins.deny(OPERATOR, "weather");
    await first.close();
    await edit(async (db) => {
      await db.query.updateTable("grants").set({ withdrawn_at: null, withdrawn_by: null }).execute();
      await db.query.updateTable("plugins").set({ state: "approved" }).execute();
    });
    const host = await home.open({ env: SECRET });
    await expect(host.plugins.load(OPERATOR, "weather")).rejects.toEqual(code("seal_invalid"));
  });

  it("changes its key: the one before checks until everything is sealed anew", async () => {
    await prepared();
    const next = { PLUGIN_SECRET_KEY: "fedcba9876543210fedcba9876543210" };
    const alone = await home.open({ env: next });
    await expect(alone.plugins.load(OPERATOR, "weather")).rejects.toEqual(code("seal_invalid"));
    await alone.close();
    const both = await home.open({ env: { ...next, PLUGIN_SECRET_KEY_PREVIOUS: SECRET.PLUGIN_SECRET_KEY } });
    await both.plugins.load(OPERATOR, "weather");
    expect(await both.keys.reseal(OPERATOR)).toEqual({ plugins: 1, grants: 1, keys: 1 });
    await both.close();
    const after = await home.open({ env: next });
    await after.plugins.load(OPERATOR, "weather");
  });

  it("is off without a key, which the doctor says, and refuses to be too short [S3-97]", async () => {
    home = await makeHome();
    await expect(home.open({ env: { PLUGIN_SECRET_KEY: "short" } })).rejects.toEqual(code("usage"));
    const host = await home.open();
    const { checks } = await host.doctor();
    expect(checks.find(({ name }) => name === "secret key")).toMatchObject({
      ok: false,
      detail: expect.stringContaining("off"),
    });
    await expect(host.keys.reseal(OPERATOR)).rejects.toEqual(code("usage"));
  });
});
