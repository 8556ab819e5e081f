import { chmodSync, cpSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { spawnSync } from "node:child_process";
import { describe, expect, it, vi } from "vitest";
import { findManifest, readManifest } from "../../src/manifest/index.ts";
import {
  BUNDLE_PATH,
  createContentStore,
  installSource,
  openArchive,
  openSource,
  packPlugin,
  SOURCE_MAP_PATH,
  writeArchive,
} from "../../src/registry/index.ts";
import { SIGNATURE_FILE, treeDigest } from "../../src/trust/index.ts";
import { tgz } from "./hostile-tar.ts";
import { pluginFolder, refusal, temporaryFolder, writeFiles } from "./plugin-folder.ts";

const ports = { findManifest, readManifest };
const manifest = (entry: string): string =>
  `id: demo\nname: Demo\nversion: 1.2.0\ndescription: A demo.\nentry: ${entry}\ncontributes: {}\npermissions: {}\nconfig_schema: {}\n`;

const files = {
  "plugin.yml": manifest("src/plugin.ts"),
  "config.yml": "{}",
  "README.md": "# Demo",
  LICENSE: "MIT",
  "src/plugin.ts": 'import { one } from "./one.ts"; import dep from "dep"; export default { tools: {}, one, dep };',
  "src/one.ts": "export const one: number = 1;",
  "node_modules/dep/index.js": "export default 2;",
};
const extras = {
  ".env": "TOKEN=secret",
  ".npmrc": "x",
  "key.pem": "-----BEGIN PRIVATE KEY-----",
  "package.json": "{}",
  "docs/README.md": "not at the root",
  ".git/config": "",
};

const pack = async (folder: string) => packPlugin(await openSource(folder), ports);
const packed = async () => pack(pluginFolder({ ...files, ...extras }));

describe("packPlugin", () => {
  it("holds manifest, bundle, source map, shipped configuration, README and LICENSE, and nothing else", async () => {
    const { archive, files: inside, prepared } = await packed();
    const expected = [BUNDLE_PATH, SOURCE_MAP_PATH, "LICENSE", "README.md", "config.yml", "plugin.yml"];
    expect(inside.map(({ path }) => path).toSorted()).toEqual(expected);
    expect((await openArchive(archive)).files.map(({ path }) => path)).toEqual(expected);
    expect(prepared.manifest.id).toBe("demo");
  });

  it("keeps a source map with the sources, and no path of this machine", async () => {
    const { files: inside } = await packed();
    const map: unknown = JSON.parse(
      Buffer.from(inside.find(({ path }) => path === SOURCE_MAP_PATH)?.bytes ?? "").toString(),
    );
    expect(map).toMatchObject({
      version: 3,
      sources: expect.arrayContaining(["plugin:src/one.ts", "plugin:node_modules/dep/index.js"]),
      sourcesContent: expect.arrayContaining([files["src/one.ts"]]),
    });
    expect(JSON.stringify(map)).not.toContain(dirname(temporaryFolder()));
  });

  it("gives the same bytes again: another folder, order, time, umask, mode, locale and time zone", async () => {
    const { archive, treeDigest: digest } = await packed();
    const copy = temporaryFolder();
    cpSync(pluginFolder({ ...files, ...extras }), copy, { recursive: true });
    utimesSync(join(copy, "plugin.yml"), 1, 1);
    chmodSync(join(copy, "src/plugin.ts"), 0o600);
    chmodSync(join(copy, "README.md"), 0o700);
    const reversed = writeFiles(
      temporaryFolder(),
      Object.fromEntries(Object.entries({ ...files, ...extras }).toReversed()),
    );
    for (const folder of [copy, reversed]) {
      const again = await pack(folder);
      expect(again.treeDigest).toBe(digest);
      expect(Buffer.from(again.archive).equals(archive)).toBe(true);
    }
    const out = join(temporaryFolder(), "out.tgz");
    const script = `
      import { writeFileSync } from "node:fs";
      import { openSource, packPlugin } from ${JSON.stringify(new URL("../../dist/registry/index.js", import.meta.url).href)};
      import { findManifest, readManifest } from ${JSON.stringify(new URL("../../dist/manifest/index.js", import.meta.url).href)};
      process.umask(0o077);
      writeFileSync(${JSON.stringify(out)}, (await packPlugin(await openSource(${JSON.stringify(copy)}), { findManifest, readManifest })).archive);
    `;
    const child = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
      cwd: "/",
      env: { TZ: "Asia/Tokyo", LC_ALL: "tr_TR.UTF-8", LANG: "tr_TR.UTF-8" },
    });
    expect(child.stderr.toString()).toBe("");
    expect(readFileSync(out).equals(archive)).toBe(true);
  });

  it("is installed with the very digests that packing told, from the archive and from it unpacked", async () => {
    const made = await packed();
    const folder = temporaryFolder();
    writeFileSync(join(folder, "demo.tgz"), made.archive, { mode: 0o644 });
    spawnSync("tar", ["-xzf", "demo.tgz"], { cwd: folder });
    const store = await createContentStore(join(temporaryFolder(), "store"), { readableByAll: false });
    for (const source of [join(folder, "demo.tgz"), join(folder, "package")]) {
      const installed = await installSource(source, { ...ports, store });
      expect(installed).toMatchObject({
        treeDigest: made.treeDigest,
        codeDigest: made.codeDigest,
        bundlePath: BUNDLE_PATH,
      });
    }
    expect(await store.list()).toEqual([made.treeDigest]);
  });

  it("packs what is packed into the very same archive, its signature along", async () => {
    const made = await packed();
    const again = await packPlugin(await openArchive(made.archive), ports);
    expect(Buffer.from(again.archive).equals(made.archive)).toBe(true);
    const [first] = made.files;
    if (first === undefined) throw new Error("nothing");
    const bytes = Buffer.from('{"signed":true}');
    const signed = writeArchive([...made.files, { ...first, path: SIGNATURE_FILE, bytes, size: bytes.length }]);
    const third = await packPlugin(await openArchive(signed), ports);
    expect(third.treeDigest).toBe(made.treeDigest);
    expect(Buffer.from(third.archive).equals(signed)).toBe(true);
    expect((await openArchive(third.archive)).signature).toBe('{"signed":true}');
  });

  it("makes of a source in an archive, its packages in it too, what it makes of the same folder", async () => {
    const made = await pack(pluginFolder(files));
    const source = tgz(Object.entries(files).map(([name, body]) => ({ name, body })));
    const archived = await packPlugin(await openArchive(source), ports);
    expect(Buffer.from(archived.archive).equals(made.archive)).toBe(true);
  });

  it("leaves no folder behind where it had to unpack", async () => {
    // A place of its own: other tests unpack into the system's at the same time.
    const place = temporaryFolder();
    vi.stubEnv("TMPDIR", place);
    try {
      await packPlugin(await openArchive(tgz(Object.entries(files).map(([name, body]) => ({ name, body })))), ports);
    } finally {
      vi.unstubAllEnvs();
    }
    expect(readdirSync(place)).toEqual([]);
  });

  it("keeps the files of a program as they are, but hidden ones", async () => {
    const program = `${manifest("main.py")}interpreter: python\n`;
    const opened = await openSource(
      pluginFolder({ "plugin.yml": program, "main.py": "pass", "lib/x.py": "1", ".env": "secret" }),
    );
    const made = await packPlugin(opened, {
      findManifest,
      readManifest: () => ({ manifest: { entry: "main.py", interpreter: "python" }, digest: "", warnings: [] }),
    });
    expect(made.files.map(({ path }) => path).toSorted()).toEqual(["lib/x.py", "main.py", "plugin.yml"]);
  });
});

describe("a packed plugin", () => {
  const bundle = (text: string, more: Readonly<Record<string, string>> = {}): Promise<unknown> =>
    openArchive(
      tgz(
        Object.entries({ "plugin.yml": manifest("src/plugin.ts"), [BUNDLE_PATH]: text, ...more }).map(
          ([name, body]) => ({
            name,
            body,
          }),
        ),
      ),
    ).then((source) => packPlugin(source, ports));

  it.each<[string, string, string]>([
    ["a file beside it", 'import "./other.mjs"; export default {}', "bundle_failed"],
    ["a package", 'import "dep"; export default {}', "bundle_failed"],
    ["the SDK", 'import { definePlugin } from "@sallyport/sdk"; export default {}', "bundle_failed"],
    ["a process", 'import "node:child_process"; export default {}', "bundle_failed"],
    ["a remote module", 'import "https://evil.example/x.js"; export default {}', "bundle_failed"],
    ["a data: module", 'import "data:text/javascript,1"; export default {}', "bundle_failed"],
    ["an absolute path", 'import "/etc/passwd"; export default {}', "bundle_failed"],
    ["nothing, and exports nothing", "globalThis.x = 1", "entry_invalid"],
    ["nothing, and cannot be read", "export default {", "bundle_failed"],
  ])("is refused when its bundle imports %s", async (_, text, code) => {
    expect(await refusal(bundle(text))).toMatchObject({ code });
  });

  it("may import what the engine serves", async () => {
    await expect(bundle('import { Buffer } from "node:buffer"; export default { Buffer };')).resolves.toBeDefined();
  });

  it.each(["src/plugin.ts", "index.js", "lib/other.MJS", "types.d.ts"])(
    "is refused with %s beside the bundle: people would read one and run the other",
    async (name) => {
      expect(await refusal(bundle("export default {}", { [name]: "export default { safe: true }" }))).toMatchObject({
        code: "source_unsafe",
        data: { file: BUNDLE_PATH },
      });
    },
  );

  it("shows what is worth a look in its bundle", async () => {
    const source = await openArchive(
      tgz([
        { name: "plugin.yml", body: manifest("a.ts") },
        { name: BUNDLE_PATH, body: "export default {\n f: () => eval('1') };" },
      ]),
    );
    const { prepared } = await packPlugin(source, ports);
    expect(prepared.imports).toEqual([{ file: BUNDLE_PATH, line: 2, problem: "runs text as code (eval)" }]);
    expect(prepared.treeDigest).toBe(treeDigest(source.files));
  });
});
