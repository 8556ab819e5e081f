import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Host } from "../../src/host-api.ts";
import { SallyportError } from "../../src/kernel/index.ts";
import { installed, makeHome, manifestOf, OPERATOR, type TestHome, toolLine } from "../support/home.ts";
import { needsNamespace } from "../support/namespace.ts";

needsNamespace();

const SECRET = { PLUGIN_SECRET_KEY: "0123456789abcdef0123456789abcdef" };
let home: TestHome;
let host: Host;
beforeEach(async () => {
  home = await makeHome();
  host = await home.open();
});
afterEach(() => home.remove());

const lockPath = (): string => join(home.path, "plugin.lock.json");
const lockText = (): Promise<string> => readFile(lockPath(), "utf8");
const edit = async (from: string | RegExp, to: string): Promise<void> => {
  const text = await lockText();
  const edited = text.replace(from, to);
  expect(edited).not.toBe(text);
  await writeFile(lockPath(), edited);
};

function written(id: string, version = "1.0.0", folder = `${id}-${version}`): Promise<string> {
  return home.plugin(folder, {
    "plugin.yml": manifestOf(id, [toolLine("look")]).replace("1.0.0", version),
    "plugin.js": "export default { tools: { look: () => ({ seen: true }) } };",
  });
}

async function refusal(work: Promise<unknown>): Promise<SallyportError> {
  const thrown: unknown = await work.then(
    () => expect.fail("it was let in"),
    (error: unknown) => error,
  );
  if (!(thrown instanceof SallyportError)) throw thrown;
  return thrown;
}

describe("plugin.lock.json of a home", () => {
  it("records source, version, integrity, permissions, tools and how each hash was learned [S2-47] [S2-48] [S2-49]", async () => {
    const source = await written("t");
    const { plugin, lock } = await host.plugins.install(OPERATOR, { source });
    const text = await lockText();
    const kept: unknown = JSON.parse(text);
    expect(kept).toEqual({ lock_version: 1, plugins: { "t@1.0.0": lock } });
    expect(lock).toMatchObject({
      id: "t",
      version: "1.0.0",
      source: `directory:${source}`,
      integrity: plugin.digest,
      signer: null,
      permissions: ["tools"],
      dependencies: {},
    });
    expect(Object.keys(lock.tools)).toEqual(["look"]);
    expect(Object.keys(lock.learned).toSorted()).toEqual(["code", "integrity", "manifest"]);
    // The same content is the same text, whatever happens in between.
    await host.plugins.approve(OPERATOR, "t", {});
    await host.plugins.load(OPERATOR, "t");
    await host.plugins.install(OPERATOR, { source });
    expect(await lockText()).toBe(text);
    await host.plugins.uninstall(OPERATOR, "t");
    expect(JSON.parse(await lockText())).toEqual({ lock_version: 1, plugins: {} });
  });

  it.each<[string, string | RegExp, string]>([
    ["version", '"version": "1.0.0"', '"version": "1.0.1"'],
    ["integrity", /"integrity": "sha256:[0-9a-f]{64}"/, `"integrity": "sha256:${"0".repeat(64)}"`],
    ["source", '"source": "directory:', '"source": "directory:/elsewhere'],
    ["tools", /"look": "sha256:./, '"look": "sha256:x'],
    ["permissions", '"tools"\n', '"tools",\n        "network:evil.example:443"\n'],
    ["signer", '"signer": null', '"signer": "ed25519:x"'],
  ])(
    "refuses a load when its %s is not what is installed, and says both [S2-46] [S2-50] [S2-51] [S2-52]",
    async (field: string, from: string | RegExp, to: string) => {
      await installed(host, await written("t"));
      await host.plugins.unload(OPERATOR, "t");
      await edit(from, to);
      if (field === "version") await edit('"t@1.0.0"', '"t@1.0.1"');
      const refused = await refusal(host.plugins.load(OPERATOR, "t"));
      expect(refused).toMatchObject({ code: "lock_mismatch" });
      expect(refused.data).toMatchObject({
        file: "plugin.lock.json",
        field: field === "version" ? "entry" : field,
        expected: expect.any(String),
        actual: expect.any(String),
      });
      expect((await host.plugins.lock()).state).toBe("changed");
      await host.plugins.restoreLock(OPERATOR);
      expect(await host.plugins.lock()).toMatchObject({ state: "intact", differences: [] });
      expect(await host.plugins.load(OPERATOR, "t")).toMatchObject({ state: "running" });
    },
  );

  it("refuses when it is deleted, also after a restart, until an operator restores it [S2-46]", async () => {
    await installed(host, await written("t"));
    await host.plugins.unload(OPERATOR, "t");
    await rm(lockPath());
    for (let round = 0; round < 2; round++) {
      expect(await refusal(host.plugins.load(OPERATOR, "t"))).toMatchObject({ code: "lock_mismatch" });
      expect(await refusal(host.plugins.install(OPERATOR, { source: await written("u") }))).toMatchObject({
        code: "lock_mismatch",
      });
      await host.close();
      host = await home.open();
    }
    expect((await host.plugins.lock()).state).toBe("missing");
    await host.plugins.restoreLock(OPERATOR);
    expect(await host.plugins.load(OPERATOR, "t")).toMatchObject({ state: "running" });
    expect(await host.audit.query({ type: "lock.restored" })).toMatchObject([
      { actor: "operator:tester", data: { was: "missing" } },
    ]);
  });

  it.each(["", "{", "[]", '{"lock_version":2,"plugins":{}}', '{"lock_version":1,"plugins":{},"more":1}'])(
    "refuses what no host writes: %s",
    async (text) => {
      await installed(host, await written("t"));
      await host.plugins.unload(OPERATOR, "t");
      await writeFile(lockPath(), text);
      expect(await refusal(host.plugins.load(OPERATOR, "t"))).toMatchObject({ code: "lock_mismatch" });
      // What takes authority away still works.
      await host.plugins.uninstall(OPERATOR, "t");
      expect(await host.plugins.list()).toEqual([]);
      expect(await readFile(lockPath(), "utf8")).toBe(text);
    },
  );

  it("with a seal refuses an edit of any entry, and with a new key all, until it is sealed again", async () => {
    await host.close();
    host = await home.open({ env: SECRET });
    await installed(host, await written("t"));
    await host.plugins.install(OPERATOR, { source: await written("u") });
    await host.plugins.unload(OPERATOR, "t");
    await edit(/"source": "directory:[^"]*u-1.0.0"/, '"source": "directory:/elsewhere"');
    expect(await refusal(host.plugins.load(OPERATOR, "t"))).toMatchObject({
      code: "lock_mismatch",
      data: { field: "seal" },
    });
    await host.plugins.restoreLock(OPERATOR);
    expect(await host.plugins.load(OPERATOR, "t")).toMatchObject({ state: "running" });
    await host.close();

    const rotated = { PLUGIN_SECRET_KEY: "f".repeat(32) };
    host = await home.open({ env: { ...rotated, PLUGIN_SECRET_KEY_PREVIOUS: SECRET.PLUGIN_SECRET_KEY } });
    await host.keys.reseal(OPERATOR);
    await host.close();
    host = await home.open({ env: rotated });
    expect(await host.plugins.load(OPERATOR, "t")).toMatchObject({ state: "running" });
    expect(await host.plugins.lock()).toMatchObject({ state: "intact", sealed: true });
  });

  it("written by hand into a fresh home pins what may be installed there [S2-46]", async () => {
    const source = await written("t");
    await host.plugins.install(OPERATOR, { source });
    const text = await lockText();
    await host.plugins.uninstall(OPERATOR, "t");
    await host.close();
    await home.remove();

    home = await makeHome();
    await writeFile(lockPath(), text.replaceAll(source, await written("t")));
    host = await home.open();
    expect(await refusal(host.plugins.install(OPERATOR, { source: await written("u") }))).toMatchObject({
      code: "lock_mismatch",
      data: { field: "entry" },
    });
    await host.plugins.install(OPERATOR, { source: await written("t") });
    await host.plugins.approve(OPERATOR, "t", {});
    expect(await host.plugins.load(OPERATOR, "t")).toMatchObject({ state: "running" });
    expect((await host.plugins.lock()).state).toBe("intact");
  });

  it("that cannot be replaced keeps the plugin out, and the home as it was", async () => {
    await installed(host, await written("t"));
    // A folder where the next text would be written: neither root nor anybody else can write it.
    const before = await host.plugins.list();
    const text = await lockText();
    await home.plugin("../home/.plugin.lock.json.new/x", { file: "1" });
    const outcome = await host.plugins.install(OPERATOR, { source: await written("u") }).then(
      () => "installed",
      (error: unknown) => (error instanceof Error && "code" in error ? error.code : "?"),
    );
    expect(outcome).toBe("store_unavailable");
    expect(await host.plugins.list()).toEqual(before);
    expect(await lockText()).toBe(text);
  });
});
