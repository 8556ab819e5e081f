import { readdirSync } from "node:fs";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { type Owner, serveOwner } from "../../src/cli/index.ts";
import { createRegistryApp } from "../../src/registry/index.ts";
import { runCommand } from "../support/command.ts";
import { makeHome, manifestOf, type TestHome, toolLine } from "../support/home.ts";
import { temporaryFolder, writeFiles } from "../registry/plugin-folder.ts";
import { addArchive, registryFolder } from "../registry-index/support.ts";

let home: TestHome;
let owner: Owner;
beforeEach(async () => {
  home = await makeHome();
  const clock = { now: () => Date.parse("2030-01-01T00:00:00Z"), monotonic: () => performance.now() };
  const host = await home.open({ clock });
  owner = await serveOwner(host, {
    home: home.path,
    env: {},
    version: "0.0.0-test",
    background: false,
    idleMs: 60_000,
    onDefect: () => undefined,
  });
});
afterEach(async () => {
  await owner.stop();
  await home.remove();
});

async function json(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const { code, out } = await runCommand(["--home", home.path, ...args, "--json"], { env });
  const answer: unknown = JSON.parse(out);
  return { code, answer };
}

const people = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  runCommand(["--home", home.path, ...args], { env });

describe("the verbs of registries", () => {
  it("publish, index, add, find, install, yank and remove, in REGISTRY_DIR if no folder is named [S3-33] [S3-99]", async () => {
    const [from, to] = [temporaryFolder(), temporaryFolder()];
    const env = { REGISTRY_DIR: to };
    const made = await json(["key", "generate", "keeper"]);
    const { key } = z.object({ key: z.string() }).parse(made.answer);
    const file = join(from, await addArchive(from));
    expect(await json(["plugin", "publish", file], env)).toMatchObject({
      code: 0,
      answer: { created: true, id: "weather" },
    });
    expect(await json(["registry", "index"], env)).toMatchObject({ code: 2, answer: { code: "usage" } });
    expect(await json(["registry", "index", "--key", "keeper", "--name", "acme"], env)).toMatchObject({
      code: 0,
      answer: { counter: 1, key, added: ["weather@1.0.0"], versions: 1 },
    });
    expect(await json(["registry", "add", "acme", "--key", key], env)).toMatchObject({
      code: 0,
      answer: { name: "acme", place: to, state: "ready", versions: 1 },
    });
    const found = await people(["plugin", "search", "weather"]);
    expect(found.out).toMatch(/weather\s+1\.0\.0\s+acme\s+nobody trusted/);
    expect(found.out).toContain("sallyport plugin install acme:weather@1.0.0");
    expect(await json(["plugin", "search", "--category", "monitoring"])).toMatchObject({
      answer: { hits: [], total: 0 },
    });
    expect(await json(["plugin", "install", "acme:weather@1.0.0"])).toMatchObject({
      code: 0,
      answer: { plugin: { id: "weather", source: expect.stringContaining("index:acme/weather@1.0.0#sha512-") } },
    });
    expect(
      await json(["registry", "yank", to, "weather@1.0.0", "--key", "keeper", "--reason", "wrong unit"]),
    ).toMatchObject({
      code: 0,
      answer: { yanked: true, counter: 2 },
    });
    expect(await json(["registry", "refresh"])).toMatchObject({
      code: 0,
      answer: { registries: [{ ok: true, counter: 2 }] },
    });
    expect(await json(["plugin", "install", "weather"])).toMatchObject({ code: 1, answer: { code: "no_version" } });
    expect((await people(["registry", "list"])).out).toMatch(/acme\s+index\s+ready\s+1/);
    expect((await people(["registry", "remove", "acme"])).code).toBe(0);
    expect(await json(["registry", "list"])).toEqual({ code: 0, answer: [] });
  });

  it("end with 5 when a registry cannot be trusted, and say why", async () => {
    const folder = await registryFolder();
    const made = z.object({ key: z.string() }).parse((await json(["key", "generate", "keeper"])).answer);
    expect(await json(["registry", "add", "acme", folder, "--key", made.key])).toMatchObject({
      code: 5,
      answer: { code: "registry_untrusted" },
    });
    expect(await json(["plugin", "publish", "x.tgz", "--to", "https://example.com/"])).toMatchObject({ code: 2 });
  });

  it("install finds a plugin's folder in PLUGIN_DIR [S3-98]", async () => {
    const folder = temporaryFolder();
    await mkdir(join(folder, "weather"));
    writeFiles(join(folder, "weather"), {
      "plugin.yml": manifestOf("weather", [toolLine("look")]),
      "plugin.js": "export default { tools: { look: () => 1 } };\n",
    });
    expect(await json(["plugin", "install", "weather"])).toMatchObject({ code: 2, answer: { code: "not_found" } });
    expect(await json(["plugin", "install", "weather"], { PLUGIN_DIR: folder })).toMatchObject({
      code: 0,
      answer: { plugin: { id: "weather", source: `directory:${join(folder, "weather")}` } },
    });
  });

  it("install takes no folder that only happens to lie here for a plugin of a registry", async () => {
    const here = readdirSync(".").find((name) => /^[a-z]+$/.test(name)) ?? "";
    expect(await json(["plugin", "install", here])).toMatchObject({
      code: 2,
      answer: { code: "usage", fix: expect.stringContaining(`./${here}`) },
    });
  });
});

describe("what registry serve hosts", () => {
  it("is the signed file, the index and the archives, and nothing else of the folder", async () => {
    const folder = await registryFolder();
    await writeFile(join(folder, "secret.txt"), "secret");
    await writeFile(join(folder, ".hidden.tgz"), "secret");
    await symlink("/etc/hostname", join(folder, "link.tgz"));
    await mkdir(join(folder, "folder.tgz"));
    const app = createRegistryApp(folder);
    const status = async (path: string, method = "GET") =>
      (await app.fetch(new Request(`http://127.0.0.1${path}`, { method }))).status;
    expect(await status("/registry.json")).toBe(200);
    const archive = await app.fetch(new Request("http://127.0.0.1/weather-1.0.0.tgz"));
    expect((await archive.arrayBuffer()).byteLength).toBe(Number(archive.headers.get("content-length")));
    expect(await status("/weather-1.0.0.tgz", "HEAD")).toBe(200);
    for (const path of [
      "/",
      "/secret.txt",
      "/.hidden.tgz",
      "/link.tgz",
      "/folder.tgz",
      "/..%2fregistry.json",
      "/a/registry.json",
      "/none.tgz",
    ]) {
      expect([path, await status(path)]).toEqual([path, 404]);
    }
    expect(await status("/registry.json", "POST")).toBe(404);
  });
});
