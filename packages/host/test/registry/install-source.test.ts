import { existsSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { SallyportError, sha256 } from "../../src/kernel/index.ts";
import { createContentStore, type InstallPorts, installSource } from "../../src/registry/index.ts";
import { codeDigest, treeDigest } from "../../src/trust/index.ts";
import { pluginFolder, refusal, temporaryFolder } from "./plugin-folder.ts";

interface TestManifest {
  readonly id: string;
  readonly entry: string;
}

/** A manifest of two words, so that these tests are about installing alone. */
function readManifest({ bytes }: { readonly bytes: Uint8Array }) {
  const text = Buffer.from(bytes).toString();
  const [id, entry] = text.split(" ");
  if (id === undefined || entry === undefined) throw new SallyportError("manifest_invalid", "two words");
  return { manifest: { id, entry }, digest: sha256(text), warnings: ["from the manifest"] };
}

async function ports(): Promise<InstallPorts<TestManifest> & { readonly root: string }> {
  const root = join(temporaryFolder(), "store");
  return {
    root,
    store: await createContentStore(root, { readableByAll: false }),
    findManifest: (names) => {
      const name = names.find((candidate) => candidate === "plugin.yml");
      if (name === undefined) throw new SallyportError("manifest_missing", "none");
      return name;
    },
    readManifest,
  };
}

const plain = {
  "plugin.yml": "demo src/plugin.ts",
  "src/plugin.ts": "export default { tools: { f: () => import(String(1)) } };",
};

function withDependency(value: number): Readonly<Record<string, string>> {
  return {
    "plugin.yml": "demo a.ts",
    "a.ts": 'export { default } from "dep";',
    "node_modules/dep/index.js": `export default ${value};`,
  };
}

function refuseRevoked(): never {
  throw new SallyportError("revoked", "no");
}

describe("installSource", () => {
  it("reads, bundles, hashes and stores, and says each step [S2-44]", async () => {
    const given = await ports();
    const steps: string[] = [];
    const installed = await installSource(pluginFolder({ ...plain, "config.yml": "units: metric" }), given, (step) =>
      steps.push(`${step.name} ${step.index}/${step.of}`),
    );
    expect(steps).toEqual(["fetch 0/5", "manifest 1/5", "bundle 2/5", "trust 3/5", "store 4/5"]);
    expect(installed).toMatchObject({
      manifest: { id: "demo", entry: "src/plugin.ts" },
      manifestDigest: sha256("demo src/plugin.ts"),
      treeDigest: treeDigest(installed.files),
      codeDigest: codeDigest(installed.files),
      defaults: { units: "metric" },
      bundlePath: ".sallyport/bundle.mjs",
      created: true,
      warnings: ["from the manifest", "src/plugin.ts:1 imports a module whose name is computed when it runs"],
    });
    expect(installed.files.map((file) => file.path)).toContain(".sallyport/bundle.mjs");
    expect(readFileSync(join(installed.root, installed.bundlePath), "utf8")).toContain("// plugin:src/plugin.ts");
    await given.store.verify(installed.treeDigest);
  });

  it("covers the bundle, dependencies included, with the tree digest [S2-44]", async () => {
    const given = await ports();
    const one = await installSource(pluginFolder(withDependency(1)), given);
    const same = await installSource(pluginFolder(withDependency(1)), given);
    const other = await installSource(pluginFolder(withDependency(2)), given);
    expect(same).toMatchObject({ treeDigest: one.treeDigest, created: false });
    expect(other.treeDigest).not.toBe(one.treeDigest);
    expect(other.codeDigest).not.toBe(one.codeDigest);
  });

  it("knows the same code under another id", async () => {
    const given = await ports();
    const one = await installSource(pluginFolder(plain), given);
    const renamed = await installSource(pluginFolder({ ...plain, "plugin.yml": "other src/plugin.ts" }), given);
    expect(renamed.codeDigest).toBe(one.codeDigest);
    expect(renamed.treeDigest).not.toBe(one.treeDigest);
  });

  it("ships {} as configuration when there is no file [S2-25]", async () => {
    expect((await installSource(pluginFolder(plain), await ports())).defaults).toEqual({});
  });

  it.each(["config.yml", "config.yaml", "config.json"])("reads the shipped %s [S2-24]", async (name) => {
    const text = name.endsWith("json") ? '{"a": {"b": [1]}}' : "a: { b: [1] }";
    expect((await installSource(pluginFolder({ ...plain, [name]: text }), await ports())).defaults).toEqual({
      a: { b: [1] },
    });
  });

  it.each<[string, Readonly<Record<string, string>>]>([
    ["two files", { "config.yml": "a: 1", "config.json": "{}" }],
    ["a list", { "config.yml": "- 1" }],
    ["a text", { "config.json": '"text"' }],
    ["null in JSON", { "config.json": "null" }],
    ["bad YAML", { "config.yml": "a: [" }],
    ["bad JSON", { "config.json": "{a: 1}" }],
    ["twice the same key", { "config.yml": "a: 1\na: 2" }],
    ["an alias", { "config.yml": "a: &x [1]\nb: *x" }],
    ["a billion laughs", { "config.yml": "a: &a [1,1]\nb: &b [*a,*a]\nc: [*b,*b]" }],
    ["a tag", { "config.yml": "a: !!js/function x" }],
    ["a dangerous key", { "config.yml": "__proto__: { x: 1 }" }],
    ["a dangerous key in JSON", { "config.json": '{"a": {"__proto__": 1}}' }],
    ["deep nesting", { "config.json": `{"a":${"[".repeat(5000)}${"]".repeat(5000)}}` }],
    ["deep nesting in YAML", { "config.yml": `a: ${"- ".repeat(20_000)}1` }],
    ["too many bytes", { "config.yml": `a: ${"x".repeat(70_000)}` }],
  ])("refuses a shipped configuration with %s", async (_, files) => {
    const given = await ports();
    expect(await refusal(installSource(pluginFolder({ ...plain, ...files }), given))).toMatchObject({
      code: "plugin_config_invalid",
    });
    expect(readdirSync(given.root)).toEqual([]);
  });

  it("leaves nothing behind when any step refuses", async () => {
    const given = await ports();
    const linked = pluginFolder(plain);
    symlinkSync("/etc/passwd", join(linked, "link"));
    for (const [source, code] of [
      [linked, "source_unsafe"],
      [pluginFolder({ "src/plugin.ts": "" }), "manifest_missing"],
      [pluginFolder({ ...plain, "plugin.yml": "oneword" }), "manifest_invalid"],
      [pluginFolder({ ...plain, "plugin.yml": "demo ../x.ts" }), "entry_invalid"],
      [pluginFolder({ ...plain, "src/plugin.ts": "import 'node:vm'; export default 1" }), "bundle_failed"],
    ] as const) {
      expect(await refusal(installSource(source, given))).toMatchObject({ code });
      expect(readdirSync(given.root)).toEqual([]);
    }
  });

  it("asks before it bundles, so that a revoked or unwanted plugin goes no further", async () => {
    const steps: string[] = [];
    expect(
      await refusal(
        installSource(pluginFolder(plain), { ...(await ports()), inspect: refuseRevoked }, (step) =>
          steps.push(step.name),
        ),
      ),
    ).toMatchObject({ code: "revoked" });
    expect(steps).toEqual(["fetch", "manifest"]);
  });

  it("runs no script of the plugin and none of its code [S2-45]", async () => {
    const mark = join(temporaryFolder(), "ran");
    const script = `touch ${mark}`;
    const root = pluginFolder({
      "plugin.yml": "demo plugin.ts",
      "plugin.ts": `globalThis.process?.getBuiltinModule?.("fs").writeFileSync(${JSON.stringify(mark)}, ""); export { default } from "dep";`,
      "package.json": JSON.stringify({
        scripts: { preinstall: script, install: script, postinstall: script, prepare: script, build: script },
      }),
      "node_modules/dep/package.json": JSON.stringify({
        main: "i.js",
        scripts: { preinstall: script, postinstall: script },
      }),
      "node_modules/dep/i.js": "export default {};",
      "esbuild.config.js": `require("fs").writeFileSync(${JSON.stringify(mark)}, "")`,
    });
    await installSource(root, await ports());
    expect(existsSync(mark)).toBe(false);
  });
});
