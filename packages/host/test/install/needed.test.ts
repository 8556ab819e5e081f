import { readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Host } from "../../src/host-api.ts";
import { indexFileOf, writeIndex } from "../../src/registry/index-format.ts";
import { signPointer } from "../../src/registry/index-pointer.ts";
import { readIndexOf } from "../../src/registry/index-build.ts";
import { POINTER_FILE } from "../../src/registry/index.ts";
import { temporaryFolder } from "../registry/plugin-folder.ts";
import { addArchive, index, KEEPER } from "../registry-index/support.ts";
import { makeHome, manifestOf, OPERATOR, type TestHome, toolLine } from "../support/home.ts";

const NET = "permissions: { network: [{ host: api.example.com, port: 443, scheme: https, reason: Reads. }] }";

let home: TestHome;
let host: Host;
beforeEach(async () => {
  home = await makeHome("plugins: { enabled: true }\ntrust: { signatures: { medium: preferred, high: preferred } }\n");
  host = await home.open();
});
afterEach(() => home.remove());

type Offers = readonly (readonly [id: string, version: string, needs?: Readonly<Record<string, string>>])[];

/** A registry with these versions, known to the host by this name. */
async function registry(name: string, offers: Offers): Promise<string> {
  const folder = temporaryFolder();
  for (const [id, version, needs = {}] of offers) {
    const wishes = id === "geo" ? NET : "permissions: {}";
    await addArchive(folder, { id, version, more: `${wishes}\ndependencies: ${JSON.stringify(needs)}` });
  }
  await index(folder, { now: Date.now(), name });
  await host.registries.add(OPERATOR, { name, place: folder, key: KEEPER.id, private: true });
  return folder;
}

const installedIds = async () => (await host.plugins.list()).map(({ id, version }) => `${id}@${version}`).toSorted();
const install = (source: string, more: { dependencies?: boolean } = {}) =>
  host.plugins.install(OPERATOR, { source, ...more });

function folderOf(id: string, needs: Readonly<Record<string, string>>): Promise<string> {
  return home.plugin(id, {
    "plugin.yml": `${manifestOf(id, [toolLine("look")])}dependencies: ${JSON.stringify(needs)}\n`,
    "plugin.js": "export default { tools: { look: () => ({}) } };",
  });
}

describe("what a plugin of a registry needs", () => {
  it("comes along from there, what needs nothing first, and waits for its own yes [S3-12]", async () => {
    await registry("acme", [
      ["trip", "1.0.0", { maps: "^1.0.0" }],
      ["maps", "1.2.0", { geo: "^2.0.0" }],
      ["geo", "2.1.0"],
      ["geo", "3.0.0"],
    ]);
    const answer = await install("acme:trip@1.0.0");
    expect(answer.dependencies.map(({ plugin, wantedBy }) => [plugin.id, plugin.version, wantedBy])).toEqual([
      ["geo", "2.1.0", [{ id: "maps", version: "1.2.0", range: "^2.0.0" }]],
      ["maps", "1.2.0", [{ id: "trip", version: "1.0.0", range: "^1.0.0" }]],
    ]);
    expect(answer.dependencies[0]).toMatchObject({
      plugin: { source: expect.stringMatching(/^index:acme\/geo@2\.1\.0#sha512-/), state: "pending_approval" },
      approval: { id: expect.any(String) },
      permissions: expect.arrayContaining([
        expect.objectContaining({ sentence: expect.stringContaining("api.example.com"), granted: false }),
      ]),
    });
    await host.plugins.approve(OPERATOR, "trip", {});
    await expect(host.plugins.load(OPERATOR, "trip")).rejects.toMatchObject({ code: "dependency_missing" });
    await host.plugins.approve(OPERATOR, "maps", {});
    await expect(host.plugins.load(OPERATOR, "trip")).rejects.toMatchObject({ code: "dependency_missing" });
    expect(await host.approvals.list({ state: "pending" })).toHaveLength(1);
  });

  it("is left alone when it is there, and told when another version is", async () => {
    await registry("acme", [
      ["maps", "1.0.0", { geo: "^2.0.0" }],
      ["maps", "2.0.0", { geo: "^3.0.0" }],
      ["geo", "2.1.0"],
      ["geo", "3.0.0"],
    ]);
    await install("acme:geo@2.1.0");
    expect(await install("acme:maps@1.0.0")).toMatchObject({ dependencies: [], warnings: [] });
    const { dependencies, warnings } = await install("acme:maps@2.0.0");
    expect(dependencies).toEqual([]);
    expect(warnings).toEqual([
      expect.stringMatching(/maps 2\.0\.0 needs the plugin geo \^3\.0\.0, and 2\.1\.0 is active/),
    ]);
    expect((await host.plugins.info("geo")).version).toBe("2.1.0");
  });

  it("is never taken from another registry, and the plugin is installed without it only when told", async () => {
    await registry("acme", [["maps", "1.0.0", { geo: "^2.0.0" }]]);
    await registry("other", [["geo", "2.9.0"]]);
    await expect(install("acme:maps")).rejects.toMatchObject({
      code: "dependency_missing",
      message: "acme has no geo, which is needed.",
      detail: expect.stringContaining("maps 1.0.0 wants geo ^2.0.0."),
      fix: expect.stringContaining("--no-dependencies"),
    });
    expect(await installedIds()).toEqual([]);
    const { warnings } = await install("acme:maps@1.0.0", { dependencies: false });
    expect(warnings).toEqual([expect.stringContaining("sallyport plugin install 'geo@^2.0.0'")]);
    expect(await installedIds()).toEqual(["maps@1.0.0"]);
  });

  it("is the highest version that does for all that want it", async () => {
    await registry("acme", [
      ["trip", "1.0.0", { maps: "*", geo: "^2.0.0 || ^4.0.0" }],
      ["maps", "1.0.0", { geo: "2.0.0 - 3.5.0" }],
      ["geo", "2.1.0"],
      ["geo", "3.0.0"],
      ["geo", "4.0.0"],
    ]);
    const { dependencies } = await install("acme:trip@1.0.0");
    expect(dependencies.map(({ plugin }) => `${plugin.id}@${plugin.version}`)).toEqual(["geo@2.1.0", "maps@1.0.0"]);
    expect(dependencies[0]?.wantedBy.map(({ id }) => id).toSorted()).toEqual(["maps", "trip"]);
  });

  it.each([
    ["ranges that exclude each other", "^3.0.0", "No version of geo does for all that need it."],
    [
      "ranges that only a version would do for that is not there",
      ">=2.5.0",
      "No version of geo does for all that need it.",
    ],
  ])("is refused for %s, saying who wants what, and nothing is installed", async (_what, range, message) => {
    await registry("acme", [
      ["trip", "1.0.0", { maps: "*", geo: "^2.0.0" }],
      ["maps", "1.0.0", { geo: range }],
      ["geo", "2.1.0"],
      ["geo", "3.0.0"],
    ]);
    await expect(install("acme:trip@1.0.0")).rejects.toMatchObject({
      code: "dependency_conflict",
      message,
      detail: expect.stringMatching(/trip 1\.0\.0 wants geo \^2\.0\.0\. maps 1\.0\.0 wants geo /),
    });
    expect(await installedIds()).toEqual([]);
  });

  it("is refused in a circle, with the way around it", async () => {
    await registry("acme", [
      ["trip", "1.0.0", { maps: "*" }],
      ["maps", "1.0.0", { geo: "*" }],
      ["geo", "1.0.0", { maps: "*" }],
      ["self", "1.0.0", { other: "*" }],
      ["other", "1.0.0", { self: "*" }],
    ]);
    await expect(install("acme:trip")).rejects.toMatchObject({
      code: "dependency_conflict",
      detail: "maps needs geo needs maps",
    });
    await expect(install("acme:self")).rejects.toMatchObject({ detail: "self needs other needs self" });
    expect(await installedIds()).toEqual([]);
  });

  it("extraneous dependencies: is refused before anything is stored, when its registry adds to its publisher's", async () => {
    const folder = await registry("acme", [
      ["trip", "1.0.0", { maps: "*" }],
      ["maps", "1.0.0"],
      ["evil", "1.0.0"],
    ]);
    const before = await readIndexOf(folder, KEEPER.id);
    if (!before) return expect.fail("there is no index");
    const lied = before.entries.map((own) => (own.id === "maps" ? { ...own, dependencies: { evil: "*" } } : own));
    const file = indexFileOf(writeIndex(lied));
    await writeFile(join(folder, file.file), writeIndex(lied));
    const pointer = { ...before.pointer, counter: before.pointer.counter + 1, index: file };
    await writeFile(join(folder, POINTER_FILE), signPointer(pointer, KEEPER));
    await host.registries.remove(OPERATOR, "acme");
    await host.registries.add(OPERATOR, { name: "acme", place: folder, key: KEEPER.id, private: true });
    await expect(install("acme:trip")).rejects.toMatchObject({
      code: "digest_mismatch",
      data: { what: "list of dependencies" },
    });
    expect(await installedIds()).toEqual([]);
    expect(await host.audit.query({ plugin: "evil" })).toEqual([]);
  });

  it("does not stay when the plugin itself does not come", async () => {
    const folder = await registry("acme", [
      ["trip", "1.0.0", { maps: "*" }],
      ["maps", "1.0.0", { geo: "*" }],
      ["geo", "1.0.0"],
    ]);
    const request = { source: "acme:trip", expect: { name: "another" } };
    await expect(host.plugins.install(OPERATOR, request)).rejects.toMatchObject({ code: "manifest_invalid" });
    expect((await host.audit.query({ plugin: "geo", type: "plugin.lifecycle" })).length).toBeGreaterThan(0);
    expect(await installedIds()).toEqual([]);
    expect(await host.plugins.collect(OPERATOR)).toEqual({ removed: [] });
    expect(await host.approvals.list({ state: "pending" })).toEqual([]);

    const archive = join(folder, "maps-1.0.0.tgz");
    const bytes = await readFile(archive);
    bytes[100] = (bytes[100] ?? 0) ^ 1;
    await writeFile(archive, bytes);
    await expect(install("acme:trip")).rejects.toMatchObject({ code: "registry_untrusted" });
    expect(await installedIds()).toEqual([]);
  });

  it("does not come along with what a lock pins", async () => {
    await registry("acme", [
      ["maps", "1.0.0", { geo: "*" }],
      ["geo", "1.0.0"],
    ]);
    const { lock } = await install("acme:maps@1.0.0", { dependencies: false });
    await host.plugins.uninstall(OPERATOR, "maps");
    await host.plugins.install(OPERATOR, { source: "acme:maps@1.0.0", frozen: lock });
    expect(await installedIds()).toEqual(["maps@1.0.0"]);
  });
});

describe("what only a newer version needs", () => {
  const upgrade = (more = {}) => host.plugins.upgrade(OPERATOR, "trip", more);

  it("is named before, comes along, and waits for its own yes while the old version goes on", async () => {
    await registry("acme", [
      ["trip", "1.0.0"],
      ["trip", "1.1.0", { maps: "^1.0.0" }],
      ["maps", "1.2.0", { geo: "*" }],
      ["geo", "2.1.0"],
    ]);
    await install("acme:trip@1.0.0");
    await host.plugins.approve(OPERATOR, "trip", {});
    const needs = [
      { id: "geo", version: "2.1.0" },
      { id: "maps", version: "1.2.0" },
    ];
    expect(await upgrade({ dryRun: true })).toMatchObject({ state: "possible", to: "1.1.0", needs });
    expect(await installedIds()).toEqual(["trip@1.0.0"]);

    const { digest } = await upgrade({ dryRun: true });
    expect(await upgrade({ approve: digest })).toMatchObject({ state: "waiting", needs, plugin: { version: "1.0.0" } });
    expect(await installedIds()).toEqual(["geo@2.1.0", "maps@1.2.0", "trip@1.0.0"]);
    await host.plugins.approve(OPERATOR, "geo", {});
    expect(await upgrade({ approve: digest })).toMatchObject({ state: "waiting", needs: [{ id: "maps" }] });
    await host.plugins.approve(OPERATOR, "maps", {});
    expect(await upgrade({ approve: digest })).toMatchObject({ state: "upgraded", plugin: { version: "1.1.0" } });
  });

  it("does not stay when the newer version does not come", async () => {
    const folder = await registry("acme", [
      ["trip", "1.0.0"],
      ["trip", "1.1.0", { geo: "*" }],
      ["geo", "1.0.0"],
    ]);
    await install("acme:trip@1.0.0");
    await host.plugins.approve(OPERATOR, "trip", {});
    await truncate(join(folder, "geo-1.0.0.tgz"), 100);
    await expect(upgrade()).rejects.toMatchObject({ code: "registry_untrusted" });
    expect(await installedIds()).toEqual(["trip@1.0.0"]);
  });
});

describe("what a plugin of a folder needs", () => {
  it("is told with what to do about it, where there is no registry", async () => {
    const { warnings, dependencies } = await install(await folderOf("trip", { maps: "^1.0.0" }));
    expect(dependencies).toEqual([]);
    expect(warnings).toEqual([
      "trip 1.0.0 needs the plugin maps ^1.0.0, which is not installed, and no registry that was added here has it. Before it can be loaded: sallyport plugin install 'maps@^1.0.0', or the folder or archive that has it: sallyport plugin install ./maps",
    ]);
  });

  it("comes from the one registry that has it, and what that needs from the same one", async () => {
    await registry("acme", [
      ["maps", "1.0.0", { geo: "^1.0.0" }],
      ["geo", "1.0.0"],
    ]);
    await registry("other", [["geo", "1.9.0"]]);
    const { dependencies } = await install(await folderOf("trip", { maps: "^1.0.0" }));
    expect(dependencies.map(({ plugin }) => plugin.source.split("#")[0])).toEqual([
      "index:acme/geo@1.0.0",
      "index:acme/maps@1.0.0",
    ]);
  });

  it("is refused when several registries have it: which one is the operator's to say", async () => {
    await registry("acme", [["geo", "1.0.0"]]);
    await registry("other", [["geo", "1.9.0"]]);
    const source = await folderOf("trip", { geo: "^1.0.0" });
    await expect(install(source)).rejects.toMatchObject({
      code: "conflict",
      detail: expect.stringContaining("trip 1.0.0 wants geo ^1.0.0."),
      fix: expect.stringContaining("acme:geo"),
    });
    await install("acme:geo");
    expect(await install(source)).toMatchObject({ dependencies: [], warnings: [] });
  });
});
