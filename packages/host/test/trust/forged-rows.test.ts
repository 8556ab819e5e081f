import { readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { signAt } from "../../src/cli/sign-files.ts";
import { systemClock } from "../../src/kernel/index.ts";
import { findManifest, readManifest } from "../../src/manifest/index.ts";
import { openSource, packPlugin } from "../../src/registry/index.ts";
import { openDatabase } from "../../src/store/index.ts";
import type { SigningKey } from "../../src/trust/index.ts";
import { index, KEEPER, registryFolder } from "../registry-index/support.ts";
import { AGENT, makeHome, manifestOf, OPERATOR, type TestHome, toolLine } from "../support/home.ts";
import { ACME, MALLORY } from "./support.ts";

const SECRET = { PLUGIN_SECRET_KEY: "0123456789abcdef0123456789abcdef" };
const GOOD = "export default { tools: { look: () => ({ by: 'acme' }) } };\n";
const EVIL = "export default { tools: { look: () => ({ by: 'mallory' }) } };\n";

let home: TestHome;
afterEach(() => home.remove());

const code = (value: string) => expect.objectContaining({ code: value });

async function archive(keys: readonly SigningKey[], file = "weather.tgz"): Promise<string> {
  const dir = await home.plugin("weather", {
    "plugin.yml": manifestOf("weather", [toolLine("look")]),
    "plugin.js": GOOD,
  });
  const { archive: bytes } = await packPlugin(await openSource(dir), { findManifest, readManifest });
  const path = join(dirname(dir), file);
  await writeFile(path, bytes, { mode: 0o644 });
  for (const key of keys) await signAt(path, { key });
  return path;
}

async function edit(change: (db: Awaited<ReturnType<typeof openDatabase>>) => Promise<unknown>): Promise<void> {
  const db = await openDatabase({ path: join(home.path, "state.db"), clock: systemClock });
  await change(db);
  await db.close();
}

describe("an edited state.db", () => {
  it("does not get its records sealed by installing the same bytes again", async () => {
    home = await makeHome();
    const first = await home.open({ env: SECRET });
    await first.keys.trust(OPERATOR, { name: "acme", key: ACME.id, scopes: ["weather"] });
    const source = await archive([ACME]);
    await first.plugins.install(OPERATOR, { source });
    await first.plugins.approve(OPERATOR, "weather", {});
    await first.close();
    await edit((db) =>
      db.query
        .updateTable("plugins")
        .set({ defaults: '{"forged":true}', signature: null, publisher_key: null })
        .execute(),
    );
    const host = await home.open({ env: SECRET });
    await expect(host.plugins.load(OPERATOR, "weather")).rejects.toEqual(code("seal_invalid"));
    await expect(host.plugins.install(OPERATOR, { source })).rejects.toEqual(code("seal_invalid"));
    await expect(host.plugins.load(OPERATOR, "weather")).rejects.toEqual(code("seal_invalid"));
  });

  it("does not get its records sealed by trusting a key", async () => {
    home = await makeHome();
    const first = await home.open({ env: SECRET });
    await first.plugins.install(OPERATOR, { source: await archive([ACME]) });
    await first.plugins.approve(OPERATOR, "weather", {});
    await first.close();
    await edit((db) => db.query.updateTable("plugins").set({ defaults: '{"forged":true}' }).execute());
    const host = await home.open({ env: SECRET });
    await host.keys.trust(OPERATOR, { name: "acme", key: ACME.id, scopes: ["weather"] });
    await expect(host.plugins.load(OPERATOR, "weather")).rejects.toEqual(code("seal_invalid"));
  });

  it("does not make other bytes run than those that were verified", async () => {
    home = await makeHome();
    const first = await home.open({ env: SECRET });
    await first.plugins.install(OPERATOR, { source: await archive([]) });
    await first.plugins.approve(OPERATOR, "weather", { allowTools: ["look"] });
    await first.close();
    const evil = await home.plugin("evil", { ".sallyport/bundle.mjs": EVIL });
    await edit((db) => db.query.updateTable("plugins").set({ root: evil }).execute());
    const host = await home.open({ env: SECRET });
    await host.plugins.load(OPERATOR, "weather");
    expect(await host.invoke(AGENT, { tool: "weather__look", input: {} })).toMatchObject({ result: { by: "acme" } });
  });

  it("does not get a lock written that pins what it says", async () => {
    home = await makeHome();
    const first = await home.open({ env: SECRET });
    await first.plugins.install(OPERATOR, { source: await archive([]) });
    await first.close();
    const lockFile = join(home.path, "plugin.lock.json");
    const before = await readFile(lockFile, "utf8");
    expect(await readdir(home.path)).toContain("plugin.lock.json");
    const probe = await home.open({ env: SECRET });
    const pendings: string[] = [];
    await probe.close();
    // What the host itself would leave behind when it is killed between the store and the file.
    const { sha256 } = await import("../../src/kernel/index.ts");
    const { readLock, writeLock } = await import("../../src/registry/index.ts");
    const digestOf = (text: string) => sha256(writeLock(Object.values(readLock(text).plugins)));
    pendings.push(`${digestOf(before)} ${sha256(writeLock([]))}`);
    await edit(async (db) => {
      await db.query.deleteFrom("plugins").execute();
      await db.query
        .insertInto("settings")
        .values({ key: "lock.pending", value: pendings[0] ?? "" })
        .execute();
    });
    const host = await home.open({ env: SECRET });
    expect(await host.plugins.lock()).toMatchObject({ state: "changed" });
    expect(await readFile(lockFile, "utf8")).toBe(before);
  });
});

describe("a home that was sealed", () => {
  it("is not open to edits because its owner was started without the key", async () => {
    home = await makeHome();
    const first = await home.open({ env: SECRET });
    await first.keys.trust(OPERATOR, { name: "acme", key: ACME.id, scopes: ["weather"] });
    await first.plugins.install(OPERATOR, { source: await archive([ACME]) });
    await first.plugins.approve(OPERATOR, "weather", {});
    await first.close();
    const second = await home.open();
    expect(await second.keys.list()).toMatchObject([{ state: "unsealed" }]);
    await expect(second.plugins.load(OPERATOR, "weather")).rejects.toEqual(code("seal_invalid"));
    await second.close();
    // Nor when the edit takes the seals along: the lock, which is no part of the database, has one.
    await edit(async (db) => {
      await db.query.updateTable("plugins").set({ seal: null, signature: null, publisher_key: null }).execute();
      await db.query.updateTable("grants").set({ seal: null }).execute();
    });
    const third = await home.open();
    await expect(third.plugins.load(OPERATOR, "weather")).rejects.toEqual(code("lock_mismatch"));
    await third.plugins.install(OPERATOR, { source: await archive([ACME]) });
    await expect(third.plugins.load(OPERATOR, "weather")).rejects.toEqual(code("lock_mismatch"));
  });

  it("has a way on when the key is lost: restore the lock, install and approve again", async () => {
    home = await makeHome();
    const first = await home.open({ env: SECRET });
    const source = await archive([]);
    await first.plugins.install(OPERATOR, { source });
    await first.close();
    const host = await home.open();
    await host.plugins.uninstall(OPERATOR, "weather");
    await host.plugins.restoreLock(OPERATOR);
    await host.plugins.install(OPERATOR, { source });
    await host.plugins.approve(OPERATOR, "weather", {});
    await host.plugins.load(OPERATOR, "weather");
    expect((await host.plugins.info("weather")).state).toBe("running");
  });

  it("changes its key without sealing what was edited, and takes its registries along", async () => {
    home = await makeHome();
    const first = await home.open({ env: SECRET });
    await first.plugins.install(OPERATOR, { source: await archive([]) });
    await first.plugins.approve(OPERATOR, "weather", {});
    const place = await registryFolder();
    await index(place, { now: Date.now() });
    await first.registries.add(OPERATOR, { name: "acme", place, key: KEEPER.id });
    await first.plugins.deny(OPERATOR, "weather");
    await first.keys.trust(OPERATOR, { name: "acme", key: ACME.id });
    await first.close();
    await edit(async (db) => {
      await db.query.updateTable("grants").set({ withdrawn_at: null, withdrawn_by: null }).execute();
      await db.query.updateTable("plugins").set({ state: "approved" }).execute();
      await db.query.updateTable("trusted_keys").set({ scopes: '["*"]' }).execute();
    });
    const next = { PLUGIN_SECRET_KEY: "fedcba9876543210fedcba9876543210" };
    const second = await home.open({ env: { ...next, PLUGIN_SECRET_KEY_PREVIOUS: SECRET.PLUGIN_SECRET_KEY } });
    expect(await second.keys.reseal(OPERATOR)).toEqual({ plugins: 1, grants: 0, keys: 0 });
    await second.close();
    const host = await home.open({ env: next });
    await expect(host.plugins.load(OPERATOR, "weather")).rejects.toEqual(code("seal_invalid"));
    expect(await host.keys.list()).toMatchObject([{ state: "unsealed" }]);
    expect(await host.registries.list()).toMatchObject([{ name: "acme", state: "ready" }]);
  });

  it("takes no former key alone", async () => {
    home = await makeHome();
    const env = { PLUGIN_SECRET_KEY_PREVIOUS: SECRET.PLUGIN_SECRET_KEY };
    await expect(home.open({ env })).rejects.toEqual(code("usage"));
  });
});

describe("data of a publisher", () => {
  it("is not taken over by another trusted publisher who signs the same bytes", async () => {
    home = await makeHome();
    const host = await home.open();
    await host.keys.trust(OPERATOR, { name: "acme", key: ACME.id, scopes: ["*"] });
    await host.keys.trust(OPERATOR, { name: "mallory", key: MALLORY.id, scopes: ["*"] });
    await host.plugins.install(OPERATOR, { source: await archive([ACME]) });
    await host.plugins.install(OPERATOR, { source: await archive([MALLORY], "again.tgz") });
    expect((await host.plugins.info("weather")).signer).toMatchObject({ name: "acme" });
  });
});
