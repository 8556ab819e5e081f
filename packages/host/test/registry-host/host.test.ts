import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { indexFileOf, writeIndex } from "../../src/registry/index-format.ts";
import { openPointer, signPointer } from "../../src/registry/index-pointer.ts";
import { readIndexOf } from "../../src/registry/index-build.ts";
import { type IndexEntry, POINTER_FILE } from "../../src/registry/index.ts";
import { starterConfig } from "../../src/config/index.ts";
import { systemClock } from "../../src/kernel/index.ts";
import { openDatabase } from "../../src/store/index.ts";
import { AGENT, makeHome, OPERATOR, type TestHome } from "../support/home.ts";
import { temporaryFolder } from "../registry/plugin-folder.ts";
import {
  addArchive,
  AUTHOR,
  client,
  DAY,
  HOUR,
  index,
  KEEPER,
  registryFolder,
  site,
} from "../registry-index/support.ts";

let home: TestHome;
afterEach(() => home.remove());

const NET = "permissions: { network: [{ host: api.example.com, port: 443, scheme: https, reason: Reads. }] }";

/** A folder whose times are those of this machine, since a host uses its own clock. */
async function folderOf(...versions: readonly string[]): Promise<string> {
  const folder = temporaryFolder();
  for (const version of versions) await addArchive(folder, { version });
  await index(folder, { now: Date.now() });
  return folder;
}

async function open(place: string, config?: string) {
  home = await makeHome(config);
  const host = await home.open();
  await host.registries.add(OPERATOR, { name: "acme", place, key: KEEPER.id, private: true });
  return host;
}

/** What only who has the registry's key can do. */
async function resign(
  folder: string,
  change: (entries: readonly IndexEntry[]) => readonly IndexEntry[],
): Promise<void> {
  const before = await readIndexOf(folder, KEEPER.id);
  if (!before) throw new Error("no index");
  const bytes = writeIndex(change(before.entries));
  const file = indexFileOf(bytes);
  await writeFile(join(folder, file.file), bytes);
  const pointer = { ...before.pointer, counter: before.pointer.counter + 1, index: file };
  await writeFile(join(folder, POINTER_FILE), signPointer(pointer, KEEPER));
}

const refused = (code: string, more: Readonly<Record<string, unknown>> = {}) =>
  expect.objectContaining({ code, ...more });

describe("a host with a registry", () => {
  it("installs a pinned version over HTTP, runs it, and records where it came from and its hash [S2-43] [S3-11] [S4-44] [S4-45]", async () => {
    const { url } = await site(await folderOf("1.9.0", "1.10.0"));
    const host = await open(url);
    const { plugin, warnings } = await host.plugins.install(OPERATOR, { source: "acme:weather@1.9.0" });
    expect(plugin).toMatchObject({ id: "weather", version: "1.9.0" });
    expect(plugin.source).toMatch(/^index:acme\/weather@1\.9\.0#sha512-[A-Za-z0-9+/]{86}==$/);
    expect(warnings.join("\n")).not.toContain("pinned");
    await host.plugins.approve(OPERATOR, "weather", { allowTools: ["look"] });
    await host.plugins.load(OPERATOR, "weather");
    expect(await host.invoke(AGENT, { tool: "weather__look", input: {} })).toMatchObject({ success: true });
  });

  it("chooses the newest of a range and says that it was not pinned [S2-65]", async () => {
    const host = await open(await folderOf("1.9.0", "1.10.0", "2.0.0-rc.1"));
    const { plugin, warnings } = await host.plugins.install(OPERATOR, { source: "weather" });
    expect(plugin.version).toBe("1.10.0");
    expect(warnings).toContainEqual(expect.stringContaining("not pinned"));
    expect(warnings).toContainEqual(expect.stringContaining("acme:weather@1.10.0"));
    await expect(host.plugins.install(OPERATOR, { source: "weather@^3" })).rejects.toEqual(
      refused("no_version", { detail: expect.stringContaining("1.9.0: is outside the range.") }),
    );
    await expect(host.plugins.install(OPERATOR, { source: "nothing" })).rejects.toEqual(refused("not_found"));
  });

  it("wrong software: refuses what the index names as something else, and leaves nothing behind", async () => {
    const folder = temporaryFolder();
    await addArchive(folder, { id: "other" });
    await addArchive(folder);
    await index(folder, { now: Date.now() });
    const host = await open(folder);
    await resign(folder, ([other, ...rest]) =>
      other ? [other, ...rest, { ...other, id: "weather", version: "2.0.0" }] : [],
    );
    await expect(host.plugins.install(OPERATOR, { source: "weather@2.0.0" })).rejects.toEqual(
      refused("digest_mismatch", { data: { what: "id", expected: "weather", actual: "other" } }),
    );
    expect(await host.plugins.list()).toEqual([]);
  });

  it("extraneous dependencies: refuses an index that adds to what the publisher signed", async () => {
    const folder = await folderOf("1.0.0");
    const host = await open(folder);
    await resign(folder, (entries) => entries.map((entry) => ({ ...entry, dependencies: { evil: "*" } })));
    await expect(host.plugins.install(OPERATOR, { source: "weather" })).rejects.toEqual(refused("digest_mismatch"));
    expect(await host.plugins.list()).toEqual([]);
  });

  it("key compromise: chooses nothing that a revoked key signed, and nothing from a registry whose key was revoked", async () => {
    const folder = await folderOf("1.0.0");
    const host = await open(folder);
    await host.keys.revoke(OPERATOR, AUTHOR.id, "stolen");
    await expect(host.plugins.install(OPERATOR, { source: "weather@1.0.0" })).rejects.toEqual(
      refused("no_version", { detail: expect.stringContaining("is signed by a key that was revoked here") }),
    );
    await host.keys.revoke(OPERATOR, KEEPER.id, "stolen too");
    await expect(host.plugins.install(OPERATOR, { source: "weather" })).rejects.toEqual(refused("revoked"));
    expect((await host.registries.list())[0]?.state).toBe("revoked");
    await expect(host.registries.add(OPERATOR, { name: "again", place: folder, key: KEEPER.id })).rejects.toEqual(
      refused("revoked"),
    );
  });

  it("asks which registry is meant when two have the plugin, or one does not answer", async () => {
    const folder = await folderOf("1.0.0");
    const host = await open(folder);
    const second = await site(await folderOf("9.9.9"));
    await host.registries.add(OPERATOR, { name: "zoo", place: second.url, key: KEEPER.id, private: true });
    await expect(host.plugins.install(OPERATOR, { source: "weather" })).rejects.toEqual(
      refused("conflict", { data: { registries: ["acme", "zoo"] } }),
    );
    expect((await host.plugins.install(OPERATOR, { source: "acme:weather" })).plugin.version).toBe("1.0.0");
    second.instead.set(POINTER_FILE, Buffer.from("{}"));
    await expect(host.plugins.install(OPERATOR, { source: "weather" })).rejects.toEqual(refused("registry_untrusted"));
  });

  it("upgrades from the registry that a plugin came from, whatever another one has under the same id", async () => {
    const folder = await folderOf("1.0.0");
    const host = await open(folder);
    await host.plugins.install(OPERATOR, { source: "weather" });
    const zoo = await folderOf("9.9.9");
    await host.registries.add(OPERATOR, { name: "zoo", place: zoo, key: KEEPER.id });
    expect(await host.plugins.upgrade(OPERATOR, "weather", { dryRun: true })).toMatchObject({ state: "current" });
    await resign(folder, () => []);
    await expect(host.plugins.upgrade(OPERATOR, "weather", { dryRun: true })).rejects.toEqual(refused("not_found"));
  });

  it("works from the copy of the index while nobody answers, and never goes back after a restart", async () => {
    const folder = await folderOf("1.0.0");
    const old = await readFile(join(folder, POINTER_FILE));
    const server = await site(folder);
    const host = await open(server.url);
    await addArchive(folder, { version: "1.1.0" });
    await index(folder, { now: Date.now() });
    await host.registries.refresh(OPERATOR);
    await host.close();

    const again = await home.open();
    server.instead.set(POINTER_FILE, (_request, response) => void response.writeHead(503).end());
    const { plugin, warnings } = await again.plugins.install(OPERATOR, { source: "acme:weather" });
    expect(plugin.version).toBe("1.1.0");
    expect(warnings).toContainEqual(expect.stringContaining("does not answer"));
    server.instead.set(POINTER_FILE, old);
    const [answer] = await again.registries.refresh(OPERATOR);
    expect(answer).toMatchObject({ ok: false, code: "registry_untrusted" });
    await expect(again.plugins.install(OPERATOR, { source: "acme:weather" })).rejects.toEqual(
      refused("registry_untrusted"),
    );
  });

  it("believes no registry that somebody else wrote into the database of a sealed home", async () => {
    const folder = await folderOf("1.0.0");
    const env = { PLUGIN_SECRET_KEY: "0123456789abcdef0123456789abcdef" };
    home = await makeHome();
    const host = await home.open({ env });
    await host.registries.add(OPERATOR, { name: "acme", place: folder, key: KEEPER.id });
    expect((await host.plugins.install(OPERATOR, { source: "acme:weather" })).plugin.version).toBe("1.0.0");
    await host.close();
    const db = await openDatabase({ path: join(home.path, "state.db"), clock: systemClock });
    await db.query.updateTable("registries").set({ public_key: AUTHOR.id }).execute();
    await db.close();
    const again = await home.open({ env });
    expect((await again.registries.list())[0]?.state).toBe("unsealed");
    await expect(again.plugins.install(OPERATOR, { source: "acme:weather" })).rejects.toEqual(refused("seal_invalid"));
  });

  it("waits for trust.minimum_age, and explains it", async () => {
    const folder = temporaryFolder();
    await addArchive(folder);
    await index(folder, { now: Date.now() - 5 * DAY });
    await addArchive(folder, { version: "1.1.0" });
    await index(folder, { now: Date.now() - HOUR });
    const host = await open(folder, `${starterConfig({ pluginsEnabled: true })}\ntrust: { minimum_age: 3d }\n`);
    expect((await host.plugins.install(OPERATOR, { source: "weather" })).plugin.version).toBe("1.0.0");
    await expect(host.plugins.install(OPERATOR, { source: "weather@1.1.0" })).rejects.toEqual(
      refused("no_version", { detail: expect.stringContaining("trust.minimum_age asks for 3 days") }),
    );
  });

  it("shows source, version, publisher, signature and permissions of what it finds [S3-36] [S4-39]", async () => {
    const folder = temporaryFolder();
    await addArchive(folder, { id: "acme/geo", keys: [] });
    await addArchive(folder, { more: NET });
    await index(folder, { now: Date.now() });
    const host = await open(folder);
    await host.keys.trust(OPERATOR, { name: "Acme", key: AUTHOR.id, scopes: ["weather"] });
    const { hits, total, warnings } = await host.registries.search({ text: "" });
    expect([total, warnings]).toEqual([2, []]);
    expect(hits.map(({ id, version, registry, signer }) => ({ id, version, registry, signer }))).toEqual([
      { id: "acme/geo", version: "1.0.0", registry: "acme", signer: { state: "unsigned" } },
      { id: "weather", version: "1.0.0", registry: "acme", signer: { state: "signed", key: AUTHOR.id, name: "Acme" } },
    ]);
    expect(hits[1]?.permissions).toContainEqual({
      capability: "network",
      key: "network:api.example.com:443",
      risk: "high",
    });
    expect(hits[1]?.integrity).toMatch(/^sha512-/);
    // A trusted key counts for the ids that it may sign, and for no other.
    await host.keys.trust(OPERATOR, { name: "Acme", key: AUTHOR.id, scopes: ["other"] });
    expect((await host.registries.search({ text: "weather" })).hits[0]?.signer.state).toBe("unknown");
  });

  it("adds a registry only when its index is there and by the given key; writes it into the audit; forgets it when told", async () => {
    const folder = await registryFolder();
    home = await makeHome();
    const host = await home.open({ clock: { now: () => Date.UTC(2026, 5, 2), monotonic: () => performance.now() } });
    const add = (request: Readonly<Record<string, unknown>>) =>
      host.registries.add(OPERATOR, { name: "acme", place: folder, key: KEEPER.id, ...request });
    await expect(add({ key: AUTHOR.id })).rejects.toEqual(refused("registry_untrusted"));
    await expect(add({ place: temporaryFolder() })).rejects.toEqual(refused("not_found"));
    await expect(add({ name: "npm" })).rejects.toEqual(refused("usage"));
    await expect(add({ name: "../x" })).rejects.toEqual(refused("usage"));
    await expect(add({ place: "http://127.0.0.1:9/" })).rejects.toEqual(refused("usage"));
    await expect(add({ place: "https://127.0.0.1:9/" })).rejects.toEqual(refused("address_refused"));
    await expect(add({ place: "https://user:pass@example.com/" })).rejects.toEqual(refused("usage"));
    expect(await host.registries.list()).toEqual([]);
    expect(await add({})).toMatchObject({ state: "ready", counter: 1, versions: 1 });
    await expect(add({})).rejects.toEqual(refused("conflict"));
    await host.registries.remove(OPERATOR, "acme");
    const types = (await host.audit.query({ limit: 50, order: "asc" })).map(({ type }) => type);
    expect(types.filter((type) => type.startsWith("registry."))).toEqual(["registry.added", "registry.removed"]);
    expect(openPointer(await readFile(join(folder, POINTER_FILE), "utf8"), KEEPER.id).counter).toBe(1);
    expect((await client(folder).refresh()).entries).toHaveLength(1);
  });
});
