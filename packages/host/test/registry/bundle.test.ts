import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { SERVED_BUILTINS } from "../../src/registry/builtins.ts";
import { type BundleOptions, bundlePlugin, readSource } from "../../src/registry/index.ts";
import { pluginFolder, refusal, temporaryFolder, writeFiles } from "./plugin-folder.ts";

async function bundle(files: Readonly<Record<string, string>>, entry = "plugin.ts", options: BundleOptions = {}) {
  return bundlePlugin(await readSource(pluginFolder(files)), entry, options);
}

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

/** Imports a bundle here in the test; it is our own text. */
async function run(bytes: Uint8Array): Promise<Record<string, unknown>> {
  const module: object = await import(`data:text/javascript;base64,${Buffer.from(bytes).toString("base64")}`);
  return Object.fromEntries(Object.entries(module));
}

describe("bundlePlugin", () => {
  it("makes one module of TypeScript, JSON and text, with no import left", async () => {
    const { bytes, inputs } = await bundle({
      "plugin.ts":
        'import { a } from "./lib/a.ts"; import data from "./data.json"; import note from "./note.txt"; const x: number = a; export default [x, data.n, note];',
      "lib/a.ts": "export const a: number = 1;",
      "data.json": '{"n": 2}',
      "note.txt": "three",
    });
    expect(inputs).toEqual(["data.json", "lib/a.ts", "note.txt", "plugin.ts"]);
    expect(textOf(bytes)).not.toMatch(/^import /m);
    expect((await run(bytes))["default"]).toEqual([1, 2, "three"]);
  });

  it("bundles a single JavaScript file without imports in the same way", async () => {
    const { bytes } = await bundle({ "plugin.mjs": "export default { tools: {} };" }, "./plugin.mjs");
    expect((await run(bytes))["default"]).toEqual({ tools: {} });
  });

  it("takes packages from the plugin's own node_modules, CommonJS too, and honours browser fields", async () => {
    const { bytes } = await bundle({
      "plugin.ts": 'import lib from "lib"; import { esm } from "@scope/esm"; export default [lib, esm];',
      "node_modules/lib/package.json":
        '{"main": "index.js", "browser": {"fs": false, "./node.js": false, "./dir": false, "./x.js": "./y.js"}}',
      "node_modules/lib/index.js":
        'module.exports = [require("fs"), require("./node.js"), require("./dir"), require("./x.js")];',
      "node_modules/lib/node.js": 'module.exports = "for Node";',
      "node_modules/lib/dir/index.js": 'module.exports = "for Node";',
      "node_modules/lib/x.js": 'module.exports = "x";',
      "node_modules/lib/y.js": 'module.exports = "y";',
      "node_modules/@scope/esm/package.json": '{"exports": {".": {"node": "./node.js", "deno": "./deno.js"}}}',
      "node_modules/@scope/esm/node.js": 'export const esm = "node";',
      "node_modules/@scope/esm/deno.js": 'export const esm = "deno";',
    });
    expect((await run(bytes))["default"]).toEqual([[{}, {}, {}, "y"], "deno"]);
  });

  it("gives the same bytes wherever the plugin lies and whatever its folder is called", async () => {
    const files = {
      "index.ts": 'import { b } from "./b.js"; import c from "c"; export default { b, c };',
      "b.js": "exports.b = require('./index.cjs');",
      "index.cjs": "module.exports = 1;",
      "node_modules/c/index.js": "module.exports = class {};",
    };
    const above = temporaryFolder();
    const first = await bundlePlugin(await readSource(writeFiles(join(above, "one"), files)), "index.ts");
    const second = await bundlePlugin(
      await readSource(writeFiles(join(above, "very/much/deeper-two"), files)),
      "index.ts",
    );
    expect(textOf(second.bytes)).toBe(textOf(first.bytes));
    expect(textOf(first.bytes)).not.toContain(above);
  });

  it("bundles the bytes that were read, not those that are on disk now", async () => {
    const root = pluginFolder({
      "plugin.ts": 'import { a } from "./a.ts"; export default a;',
      "a.ts": 'export const a = "read";',
    });
    const tree = await readSource(root);
    writeFiles(root, { "a.ts": 'export const a = "swapped";', "plugin.ts": "export default 0;" });
    expect((await run((await bundlePlugin(tree, "plugin.ts")).bytes))["default"]).toBe("read");
  });

  it("gives the host's own SDK to a plugin that installed nothing", async () => {
    const sdk = pluginFolder({
      "dist/index.js": 'export { definePlugin } from "./define.js";',
      "dist/define.js": "export const definePlugin = (plugin) => plugin;",
    });
    const { bytes, inputs } = await bundle(
      { "plugin.ts": 'import { definePlugin } from "@sallyport/sdk"; export default definePlugin({ tools: {} });' },
      "plugin.ts",
      { sdkEntry: () => join(sdk, "dist/index.js") },
    );
    expect(inputs).toEqual(["plugin.ts"]);
    expect((await run(bytes))["default"]).toEqual({ tools: {} });
    expect(textOf(bytes)).not.toContain(sdk);
  });

  it("finds the SDK in this workspace", async () => {
    const { bytes } = await bundle({
      "plugin.ts": 'import { definePlugin } from "@sallyport/sdk"; export default definePlugin({ tools: {} });',
    });
    expect((await run(bytes))["default"]).toEqual({ tools: {} });
  });

  it("takes no configuration of the author's", async () => {
    const { bytes } = await bundle({
      "plugin.ts": 'import { a } from "dep"; export default a;',
      "node_modules/dep/index.js": 'export const a = "right";',
      "evil.ts": 'export const a = "wrong";',
      "tsconfig.json": '{"compilerOptions": {"baseUrl": ".", "paths": {"dep": ["./evil.ts"]}}}',
      "esbuild.config.mjs": "throw new Error('ran');",
    });
    expect((await run(bytes))["default"]).toBe("right");
  });

  it.each(["ky", "axios", "ofetch"])("bundles the HTTP client %s from npm, unmodified", async (name) => {
    const root = pluginFolder({
      "plugin.ts": `import * as library from "${name}"; export default { tools: { kind: () => typeof library } };`,
    });
    copyPackage(name, join(root, "node_modules"));
    const { bytes } = await bundlePlugin(await readSource(root), "plugin.ts");
    expect(textOf(bytes)).not.toMatch(/^import /m);
    const { default: plugin } = await run(bytes);
    expect(plugin).toMatchObject({ tools: { kind: expect.any(Function) } });
  });
});

describe("what a bundle may not take", () => {
  const outside = "outside the plugin";

  it("refuses a file outside the root, named with its import and line [S2-38] [S2-40]", async () => {
    const above = temporaryFolder();
    writeFiles(above, {
      "secret.ts": "export default 1;",
      "p/src/plugin.ts": '\nimport secret from "../../secret.ts"; export default secret;',
    });
    const tree = await readSource(join(above, "p"));
    const error = await refusal(bundlePlugin(tree, "src/plugin.ts"));
    expect(error).toMatchObject({
      code: "bundle_failed",
      data: { problems: [{ file: "src/plugin.ts", line: 2, column: 20 }] },
    });
    expect(error.message).toContain('"../../secret.ts"');
    expect(error.message).toContain(outside);
    expect(error.message).not.toContain(above);
    expect(error.fix).toContain("node_modules");
  });

  it("refuses absolute paths, and packages that lie above the root", async () => {
    const above = temporaryFolder();
    writeFiles(above, {
      "node_modules/shared/index.js": "export default 1;",
      "p/a.ts": 'import s from "shared"; export default s;',
      "p/b.ts": 'import p from "/etc/hostname.txt"; export default p;',
    });
    const tree = await readSource(join(above, "p"));
    expect((await refusal(bundlePlugin(tree, "a.ts"))).message).toContain(outside);
    expect((await refusal(bundlePlugin(tree, "b.ts"))).code).toBe("bundle_failed");
  });

  it("refuses links in node_modules that lead out, and follows those that stay inside", async () => {
    const elsewhere = pluginFolder({ "index.js": "export default 'stolen';" });
    const root = pluginFolder({
      "a.ts": 'import x from "out"; export default x;',
      "b.ts": 'import x from "in"; export default x;',
      "node_modules/.store/in/index.js": "export default 'mine';",
    });
    symlinkSync(elsewhere, join(root, "node_modules/out"));
    symlinkSync(".store/in", join(root, "node_modules/in"));
    const tree = await readSource(root);
    expect((await refusal(bundlePlugin(tree, "a.ts"))).message).toContain(outside);
    expect((await run((await bundlePlugin(tree, "b.ts")).bytes))["default"]).toBe("mine");
  });

  it("refuses a dependency that others may write", async () => {
    const root = pluginFolder({
      "a.ts": 'import x from "lib"; export default x;',
      "node_modules/lib/index.js": "export default 1;",
    });
    const tree = await readSource(root);
    chmodSync(join(root, "node_modules/lib"), 0o777);
    expect(await refusal(bundlePlugin(tree, "a.ts"))).toMatchObject({ code: "source_unsafe" });
  });

  it("refuses a source that appeared after the directory was read", async () => {
    const root = pluginFolder({ "plugin.ts": 'import x from "./late.ts"; export default x;' });
    const tree = await readSource(root);
    writeFiles(root, { "late.ts": "export default 1;" });
    expect(await refusal(bundlePlugin(tree, "plugin.ts"))).toMatchObject({ code: "source_unsafe" });
  });

  it.each([
    ['import "node:child_process";', "forbidden"],
    ['import { exec } from "child_process"; exec("id");', "forbidden"],
    ['import vm from "node:vm"; vm.runInThisContext("1");', "forbidden"],
    ['await import("node:worker_threads");', "forbidden"],
    ['require("inspector/promises");', "forbidden"],
    ['try { require("child_process") } catch {}', "forbidden"],
    ['import os from "os"; os.hostname();', "does not exist"],
    ['import os from "node:os"; os.hostname();', "does not exist"],
    ['import sys from "node:sys"; sys.inspect(1);', "does not exist"],
    ['import fs from "fs/promises"; fs.readFile("/etc/passwd");', "does not exist"],
    ['const net = require("net"); net.connect(1);', "does not exist"],
    ['import "https://example.com/a.js";', "remote"],
    ['import "npm:left-pad";', "remote"],
    ['import "data:text/javascript,1";', "remote"],
    ['import "file:///etc/passwd";', "remote"],
    ['import "//example.com/a.js";', "remote"],
    ['import "./addon.node";', "native addons"],
    ['require("../build/Release/addon.node");', "native addons"],
    ['import "@sallyport/sdk/testing";', "for tests"],
    ['import "subprocess";', "Could not resolve"],
  ])("refuses %s [S3-7] [S3-79] [S3-80] [S3-81] [S3-87]", async (line, words) => {
    const error = await refusal(bundle({ "plugin.ts": `\n${line}\nexport default {};` }));
    expect(error).toMatchObject({ code: "bundle_failed", data: { problems: [{ file: "plugin.ts", line: 2 }] } });
    expect(error.message).toContain(words);
    expect(error.fix).toBeTruthy();
  });

  it("leaves harmless modules of Node's to the engine, for import and for require", async () => {
    const { bytes } = await bundle({
      "plugin.ts":
        'import { Buffer } from "node:buffer"; import { basename } from "path"; import lib from "lib"; export default [Buffer.from("a").toString("hex"), basename("/a/b"), lib];',
      "node_modules/lib/index.js":
        'const Emitter = require("events"); const { inspect } = require("node:util"); module.exports = [new Emitter() instanceof Emitter, inspect(1)];',
    });
    expect((await run(bytes))["default"]).toEqual(["61", "b", [true, "1"]]);
    const imports = [...textOf(bytes).matchAll(/^import .* from "(.*)";$/gm)].map((match) => match[1] ?? "");
    expect(imports.toSorted()).toEqual(["node:buffer", "node:events", "node:path", "node:util"]);
  });

  it("prefers a package of the plugin's to Node's module of that name", async () => {
    const { bytes } = await bundle({
      "plugin.ts": 'import events from "events"; export default events;',
      "node_modules/events/index.js": 'module.exports = "mine";',
    });
    expect((await run(bytes))["default"]).toBe("mine");
  });

  it("leaves to the engine only what it has without any permission", () => {
    const require = createRequire(import.meta.url);
    const engine = require.resolve(
      `@deno/${process.platform}-${process.arch}${process.platform === "linux" ? "-glibc" : ""}/deno`,
    );
    const file = join(
      pluginFolder({
        "main.mjs": SERVED_BUILTINS.map((name) => `import * as _${name.replace("/", "_")} from "node:${name}";`).join(
          "\n",
        ),
      }),
      "main.mjs",
    );
    const flags = ["--no-prompt", "--no-config", "--no-lock", "--no-npm", "--no-remote", "--cached-only"];
    const done = spawnSync(engine, ["run", ...flags, file], {
      env: { DENO_DIR: temporaryFolder(), DENO_NO_UPDATE_CHECK: "1" },
      encoding: "utf8",
    });
    expect([done.status, done.stderr]).toEqual([0, ""]);
  });

  it("lets a library do without a module of Node's that it tries to require", async () => {
    const { bytes } = await bundle(
      { "plugin.js": "let fs = null; try { fs = require('fs'); } catch {} export default fs;" },
      "plugin.js",
    );
    expect((await run(bytes))["default"]).toBeNull();
  });

  it("looks at the module graph, not at text [S3-87]", async () => {
    const { warnings } = await bundle({
      "plugin.ts":
        '// import "node:child_process"; eval("1")\nexport default { text: "import(\\"node:vm\\"); eval(x); new Function(y)", f: (eval_: number) => eval_, g: (x: unknown) => x instanceof Function };',
      "unused.ts": 'import "node:child_process"; export default 1;',
    });
    expect(warnings).toEqual([]);
  });

  it.each([
    ['export const f = () => import("o" + Math.random());', "computed"],
    ['const name = ["child", "process"].join("_"); export const f = () => require(name);', "computed"],
    ["export const f = (name) => import(`node:${name}`);", "computed"],
    ['export const f = () => eval("1");', "eval"],
    ['export const f = () => (0, eval)("1");', "eval"],
    ['const run = globalThis.eval; export const f = () => run("1");', "eval"],
    ['export const f = () => new Function("return 1")();', "Function"],
    ['const F = globalThis["Function"]; export const f = () => F("1");', "Function"],
    ['export const f = () => new Deno.Command("id");', "Deno"],
    ['export const f = () => process.binding("fs");', "process.binding"],
    ['export const f = () => new Worker("x");', "Worker"],
  ])("flags %s with file and line, in dependencies too [S3-7] [S3-87]", async (line, word) => {
    const { warnings } = await bundle({
      "plugin.ts": 'export { f as default } from "dep";',
      "node_modules/dep/index.js": `\n\n${line}`,
    });
    expect(warnings).toEqual([{ file: "node_modules/dep/index.js", line: 3, problem: expect.stringContaining(word) }]);
  });

  it("flags what is put together from pieces as computed, even when the pieces are constant [S3-79]", async () => {
    const { warnings } = await bundle({
      "plugin.ts": "const load = (name: string) => import(name);\nexport default () => load('o' + 's');",
    });
    expect(warnings).toEqual([{ file: "plugin.ts", line: 1, problem: expect.stringContaining("computed") }]);
  });

  it("shows a syntax error with its place", async () => {
    const error = await refusal(bundle({ "plugin.ts": "export default {\n  oops oops\n};" }));
    expect(error).toMatchObject({ code: "bundle_failed", data: { problems: [{ file: "plugin.ts", line: 2 }] } });
  });

  it("shows hostile text in an error escaped", async () => {
    const error = await refusal(bundle({ "plugin.ts": 'import "./\u202e\u001b[31mx";' }));
    expect(JSON.stringify([error.message, error.data])).not.toMatch(/\u202e|\\u001b/);
  });

  it("refuses files of other kinds", async () => {
    const error = await refusal(bundle({ "plugin.ts": 'import "./style.css"; export default 1;', "style.css": "" }));
    expect(error).toMatchObject({ code: "bundle_failed", data: { problems: [{ file: "plugin.ts", line: 1 }] } });
  });

  it("refuses a bundle over its cap", async () => {
    const error = await refusal(
      bundle({ "plugin.ts": `export default "${"x".repeat(2000)}";` }, "plugin.ts", { maxBytes: 1000 }),
    );
    expect(error).toMatchObject({ code: "source_too_large", data: { limit: 1000 } });
  });

  it("refuses a module nested so deeply that the bundler would die of it", async () => {
    for (const text of ["(", "[", "{"]) {
      const error = await refusal(bundle({ "plugin.ts": `export default 1;\n${text.repeat(200_000)}` }));
      expect(error).toMatchObject({ code: "source_too_large" });
      expect(error.message).toContain('"plugin.ts" is too large or too deeply nested');
    }
  });

  it("refuses an entry that is not there, not inside, a dependency, or no module [S2-39] [S4-40]", async () => {
    const files = { "plugin.ts": "export default 1;", "data.csv": "", "node_modules/x/index.js": "export default 1;" };
    for (const entry of [
      "missing.ts",
      "../plugin.ts",
      "/etc/passwd",
      "data.csv",
      "node_modules/x/index.js",
      "src/../plugin.ts",
      "PLUGIN.ts",
      "",
      ".",
    ]) {
      expect(await refusal(bundle(files, entry)), entry).toMatchObject({ code: "entry_invalid" });
    }
  });

  it("refuses an entry without a default export", async () => {
    expect(await refusal(bundle({ "plugin.ts": "export const a = 1;" }))).toMatchObject({ code: "entry_invalid" });
  });

  it("never runs what it bundles [S2-45]", async () => {
    const { bytes } = await bundle({
      "plugin.ts": "globalThis.itRan = true; export default 1;",
      "package.json": '{"scripts": {"install": "touch ran", "prepare": "touch ran"}}',
    });
    expect(bytes.length).toBeGreaterThan(0);
    expect(Reflect.get(globalThis, "itRan")).toBeUndefined();
  });

  it("gives up at its deadline, and can bundle again", async () => {
    const error = await refusal(bundle({ "plugin.ts": "export default 1;" }, "plugin.ts", { deadlineMs: 0 }));
    expect(error).toMatchObject({ code: "bundle_failed" });
    expect(error.message).toContain("longer than 0 ms");
    expect((await bundle({ "plugin.ts": "export default 1;" })).bytes.length).toBeGreaterThan(0);
  });

  it.runIf(process.platform === "linux")(
    "leaves no process behind, also when several bundle at the same time",
    async () => {
      await Promise.all(["1", "2", "3"].map((value) => bundle({ "plugin.ts": `export default ${value};` })));
      // A killed child is gone when the kernel has ended it, a moment after the signal.
      await vi.waitFor(() => expect(children().filter((line) => line.includes("esbuild"))).toEqual([]), {
        timeout: 10_000,
      });
    },
  );
});

/** Command lines of this process's children. */
function children(): string[] {
  const pids = readdirSync(`/proc/${process.pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${process.pid}/task/${task}/children`, "utf8").split(" "),
  );
  return pids.filter((pid) => pid !== "").map((pid) => readOrEmpty(`/proc/${pid}/cmdline`));
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Copies an installed package and what it depends on. */
function copyPackage(name: string, target: string, seen = new Set<string>()): void {
  if (seen.has(name)) return;
  seen.add(name);
  const require = createRequire(import.meta.url);
  const from = (require.resolve.paths(name) ?? [])
    .map((path) => join(path, name))
    .find((path) => readdirOrNone(path).includes("package.json"));
  if (from === undefined) throw new Error(`${name} is not installed`);
  mkdirSync(dirname(join(target, name)), { recursive: true });
  cpSync(from, join(target, name), { recursive: true });
  const { dependencies = {} }: { dependencies?: Record<string, string> } = JSON.parse(
    readFileSync(join(from, "package.json"), "utf8"),
  );
  for (const dependency of Object.keys(dependencies)) copyPackage(dependency, target, seen);
}

function readdirOrNone(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
