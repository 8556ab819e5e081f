import { spawnSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { scaffoldPlugin } from "../../src/authoring/index.ts";
import { sdkSpecifier } from "../../src/authoring/sdk.ts";
import { findManifest, readManifest } from "../../src/manifest/index.ts";
import { createContentStore, installSource } from "../../src/registry/index.ts";

const made: string[] = [];

afterEach(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true });
});

function folder(): string {
  const path = realpathSync(mkdtempSync(join(tmpdir(), "sallyport-new-")));
  made.push(path);
  return path;
}

/** The workspace's packages, as `npm install` would have put them there. */
function installPackages(dir: string): void {
  const modules = dirname(dirname(createRequire(import.meta.url).resolve("vitest/package.json")));
  mkdirSync(join(dir, "node_modules", "@sallyport"), { recursive: true });
  for (const name of ["vitest", "typescript", "@types"])
    symlinkSync(join(modules, name), join(dir, "node_modules", name));
  symlinkSync(realpathSync(join(modules, "@sallyport", "sdk")), join(dir, "node_modules", "@sallyport", "sdk"));
}

function run(dir: string, script: string, ...args: readonly string[]): { status: number | null; output: string } {
  const done = spawnSync(process.execPath, [join(dir, "node_modules", script), ...args], {
    cwd: dir,
    encoding: "utf8",
    env: { PATH: process.env["PATH"] },
  });
  return { status: done.status, output: done.stdout + done.stderr };
}

describe.each(["tool", "http"] as const)("scaffoldPlugin, template %s", (template) => {
  it("writes a plugin that installs as it is, without npm", async () => {
    const dir = join(folder(), "new");
    const { files } = await scaffoldPlugin({ dir, id: "acme/my-plugin", template });
    expect(files).toEqual([
      ".gitignore",
      "README.md",
      "package.json",
      "plugin.yml",
      "src/plugin.ts",
      "src/tool-types.ts",
      "test/plugin.test.ts",
      "tsconfig.json",
    ]);
    const store = await createContentStore(join(folder(), "store"), { readableByAll: false });
    const installed = await installSource(dir, { store, findManifest, readManifest });
    expect(installed.manifest).toMatchObject({ id: "acme/my-plugin", name: "My Plugin", version: "0.1.0" });
    expect(installed.warnings).toEqual([]);
  });

  it("passes its own type check and test", async () => {
    const dir = folder();
    await scaffoldPlugin({ dir, id: "my-plugin", template });
    installPackages(dir);
    expect(run(dir, "typescript/bin/tsc")).toEqual({ status: 0, output: "" });
    const tested = run(dir, "vitest/vitest.mjs", "run");
    expect(tested.status, tested.output).toBe(0);
    expect(tested.output).toContain("1 passed");
  });
});

describe("scaffoldPlugin", () => {
  it("tells editors where the manifest's schema is", async () => {
    const dir = folder();
    await scaffoldPlugin({ dir, id: "my-plugin" });
    const [first] = readFileSync(join(dir, "plugin.yml"), "utf8").split("\n");
    const path = /^# yaml-language-server: \$schema=\.\/(.+)$/.exec(first ?? "")?.[1] ?? "";
    installPackages(dir);
    expect(existsSync(join(dir, path)), path).toBe(true);
  });

  it("lets nobody else write, whatever the umask", async () => {
    const dir = join(folder(), "new");
    const before = process.umask(0);
    try {
      await scaffoldPlugin({ dir, id: "my-plugin" });
    } finally {
      process.umask(before);
    }
    for (const path of ["", "src", "plugin.yml", "src/plugin.ts"])
      expect(lstatSync(join(dir, path)).mode & 0o022, path).toBe(0);
  });

  it("refuses a folder with anything in it, and touches nothing", async () => {
    const dir = folder();
    writeFileSync(join(dir, ".hidden"), "mine");
    await expect(scaffoldPlugin({ dir, id: "my-plugin" })).rejects.toMatchObject({ code: "conflict" });
    expect(readdirSync(dir)).toEqual([".hidden"]);
  });

  it("refuses an id that no manifest may have, before it makes a folder", async () => {
    const dir = join(folder(), "new");
    for (const id of ["../x", "My Plugin", "sallyport", "", "a\nb: c"]) {
      await expect(scaffoldPlugin({ dir, id }), id).rejects.toMatchObject({ code: "manifest_invalid" });
    }
    expect(existsSync(dir)).toBe(false);
  });

  it("writes the SDK that it is told into package.json", async () => {
    const dir = folder();
    await scaffoldPlugin({ dir, id: "my-plugin", sdk: "file:../sdk" });
    expect(JSON.parse(readFileSync(join(dir, "package.json"), "utf8"))).toMatchObject({
      devDependencies: { "@sallyport/sdk": "file:../sdk" },
    });
  });

  it("names an SDK that npm can find: the checkout's own, or a published version", async () => {
    const dir = folder();
    await scaffoldPlugin({ dir, id: "my-plugin" });
    const { devDependencies }: { devDependencies: Record<string, string> } = JSON.parse(
      readFileSync(join(dir, "package.json"), "utf8"),
    );
    const path = (devDependencies["@sallyport/sdk"] ?? "").replace(/^file:/, "");
    expect(JSON.parse(readFileSync(join(path, "package.json"), "utf8"))).toMatchObject({ name: "@sallyport/sdk" });
    expect(sdkSpecifier("/usr/lib/node_modules/@sallyport/sdk/dist/index.js")).toMatch(/^\^\d/);
  });
});
