import { hash } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { signAt } from "../../src/cli/sign-files.ts";
import type { Host } from "../../src/host-api.ts";
import { findManifest, readManifest } from "../../src/manifest/index.ts";
import { openSource, packPlugin, writeArchive } from "../../src/registry/index.ts";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { AGENT, makeHome, manifestOf, OPERATOR, type TestHome, toolLine } from "../support/home.ts";
import { pluginFolder, temporaryFolder, writeFiles } from "../registry/plugin-folder.ts";
import { AUTHOR, DAY, type Site, site } from "../registry-index/support.ts";
import { type NpmServer, startNpmRegistry } from "./verdaccio.ts";

const NET = "permissions: { network: [{ host: api.example.com, port: 443, scheme: https, reason: Reads. }] }";
const CODE = "export default { tools: { look: () => ({ seen: true }) } };\n";

let home: TestHome;
afterEach(() => home.remove());

async function withNpm(url: string): Promise<Host> {
  home = await makeHome();
  const host = await home.open();
  await host.registries.add(OPERATOR, { name: "npm", place: url, npm: true, private: true });
  return host;
}

/** The folder that an author publishes: packed, signed, with scripts that must never run. */
async function publishable(version: string, more: string, sign: boolean): Promise<string> {
  const manifest = manifestOf("weather", [toolLine("look")], more).replace("version: 1.0.0", `version: ${version}`);
  const from = pluginFolder({ "plugin.yml": manifest, "plugin.js": CODE });
  const { files } = await packPlugin(await openSource(from), { findManifest, readManifest });
  const texts = Object.fromEntries(files.map(({ path, bytes }) => [path, Buffer.from(bytes).toString("utf8")]));
  const ran = `touch ${join(tmpdir(), "sallyport-npm-script-ran")}`;
  const scripts = { preinstall: ran, install: ran, postinstall: ran, prepare: ran };
  const pkg = {
    name: "@acme/weather",
    version,
    license: "MIT",
    scripts,
    dependencies: { "no-such-package-at-all": "*" },
  };
  const folder = writeFiles(temporaryFolder(), { ...texts, "package.json": JSON.stringify(pkg) });
  if (sign) await signAt(folder, { key: AUTHOR });
  return folder;
}

describe("a real npm registry", () => {
  let folder: string;
  let npm: NpmServer;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "sallyport-verdaccio-"));
    npm = await startNpmRegistry(folder);
  });
  afterAll(async () => {
    await npm.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it("gives a signed package that runs, with its version and hash kept, and no script of it ever run [S4-44] [S4-45] [S4-62]", async () => {
    await npm.publish(await publishable("1.0.0", NET, true));
    await npm.publish(await publishable("1.1.0", NET, false));
    const host = await withNpm(npm.url);
    await host.keys.trust(OPERATOR, { name: "Acme", key: AUTHOR.id, scopes: ["weather"] });
    await expect(host.plugins.install(OPERATOR, { source: "npm:@acme/weather" })).rejects.toMatchObject({
      code: "signature_required",
    });
    const { plugin, warnings } = await host.plugins.install(OPERATOR, { source: "npm:@acme/weather@~1.0" });
    expect(plugin).toMatchObject({ id: "weather", version: "1.0.0", signer: { state: "signed", name: "Acme" } });
    expect(plugin.source).toMatch(/^npm:npm\/@acme\/weather@1\.0\.0#sha512-[A-Za-z0-9+/]{86}==$/);
    expect(warnings).toContainEqual(expect.stringContaining("not curated"));
    expect(warnings).toContainEqual(expect.stringContaining("npm:@acme/weather@1.0.0"));
    expect(existsSync(join(tmpdir(), "sallyport-npm-script-ran"))).toBe(false);
    await host.plugins.approve(OPERATOR, "weather", { allowTools: ["look"] });
    await host.plugins.load(OPERATOR, "weather");
    expect(await host.invoke(AGENT, { tool: "weather__look", input: {} })).toMatchObject({ success: true });
    await expect(host.plugins.install(OPERATOR, { source: "npm:@acme/nothing" })).rejects.toMatchObject({
      code: "not_found",
    });
    await expect(host.plugins.install(OPERATOR, { source: "npm:@acme/weather@^2" })).rejects.toMatchObject({
      code: "no_version",
    });
  });
});

interface Doc {
  name: string;
  readonly "dist-tags": Record<string, string>;
  readonly versions: Record<
    string,
    { version: string; deprecated?: string; dist: { tarball: string; integrity?: string } }
  >;
  readonly time: Record<string, string>;
}

/** A registry that says what a test wants it to say, and a way to install from it. */
async function told(change: (doc: Doc, server: Site) => void) {
  const server = await site(temporaryFolder());
  const from = pluginFolder({ "plugin.yml": manifestOf("weather", [toolLine("look")]), "plugin.js": CODE });
  const archive = Buffer.from(writeArchive((await openSource(from)).files));
  const integrity = `sha512-${hash("sha512", archive, "base64")}`;
  server.instead.set("w.tgz", archive);
  const doc: Doc = {
    name: "weather",
    "dist-tags": { latest: "1.0.0" },
    versions: { "1.0.0": { version: "1.0.0", dist: { tarball: `${server.url}w.tgz`, integrity } } },
    time: {},
  };
  change(doc, server);
  server.instead.set("weather", Buffer.from(JSON.stringify(doc)));
  const host = await withNpm(server.url);
  return (source: string) => host.plugins.install(OPERATOR, { source });
}

const first = (doc: Doc) => {
  const found = doc.versions["1.0.0"];
  if (!found) throw new Error("no version");
  return found;
};

describe("an npm registry that lies", () => {
  it("is taken at its word only as far as the hashes hold", async () => {
    const install = await told(() => undefined);
    expect((await install("npm:weather@1.0.0")).plugin).toMatchObject({ id: "weather", signer: { state: "unsigned" } });
  });

  it("is refused when the archive is another one", async () => {
    const install = await told((_doc, server) => server.instead.set("w.tgz", Buffer.from("other")));
    await expect(install("npm:weather")).rejects.toMatchObject({ code: "registry_untrusted" });
  });

  it("gives nothing without a SHA-512, from another server, or under another name", async () => {
    for (const change of [
      (doc: Doc) => void delete first(doc).dist.integrity,
      (doc: Doc) => void (first(doc).dist.integrity = "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk="),
      (doc: Doc) => void (first(doc).dist.tarball = "https://evil.example/w.tgz"),
      (doc: Doc) => void (first(doc).dist.tarball = "file:///etc/passwd"),
      (doc: Doc) => void (first(doc).version = "2.0.0"),
    ]) {
      const install = await told(change);
      await expect(install("npm:weather")).rejects.toMatchObject({ code: "no_version" });
      await home.remove();
    }
    const install = await told((doc) => void (doc.name = "other"));
    await expect(install("npm:weather")).rejects.toMatchObject({ code: "registry_untrusted" });
  });

  it("is refused when the package is another version than it says", async () => {
    const install = await told((doc) => {
      doc.versions["3.0.0"] = { ...first(doc), version: "3.0.0" };
    });
    await expect(install("npm:weather@3.0.0")).rejects.toMatchObject({ code: "digest_mismatch" });
  });

  it("has its tags and marks of age read as npm means them", async () => {
    const install = await told((doc) => {
      doc.versions["9.0.0"] = { ...first(doc), version: "9.0.0" };
      doc["dist-tags"]["old"] = "1.0.0";
      doc.time["1.0.0"] = new Date(Date.now() - DAY).toISOString();
      first(doc).deprecated = "use another";
    });
    // Not above what its publisher calls the latest.
    const { plugin, warnings } = await install("npm:weather");
    expect(plugin.version).toBe("1.0.0");
    expect(warnings).toContainEqual(expect.stringContaining("deprecated: use another"));
    expect((await install("npm:weather@old")).plugin.version).toBe("1.0.0");
    await expect(install("npm:weather@newest")).rejects.toMatchObject({ code: "not_found" });
  });
});
