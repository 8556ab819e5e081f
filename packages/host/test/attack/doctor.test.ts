import { chmod, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { checkPlaces } from "../../src/cli/doctor/places.ts";
import type { Host } from "../../src/host-api.ts";
import { storeRoot } from "../../src/isolation/index.ts";
import { installed, makeHome, OPERATOR, repositoryPlugin, type TestHome } from "../support/home.ts";
import { needsNamespace } from "../support/namespace.ts";

let home: TestHome;
beforeEach(async () => {
  home = await makeHome();
});
afterEach(() => home.remove());

describe("what a home is made of", () => {
  const failed = (): string[] =>
    checkPlaces(home.path, {})
      .filter(({ ok }) => !ok)
      .map(({ name, fix }) => `${name}: ${fix?.split(" '")[0]}`);

  it("is well in a fresh home and in one that was used", async () => {
    expect(failed()).toEqual([]);
    await home.open();
    expect(failed()).toEqual([]);
  });

  it.each([
    ["keys", "keys", 0o755, "keys: Run: chmod 700"],
    ["the audit key", "keys/audit.pem", 0o644, "audit key: Run: chmod 600"],
    ["the database", "state.db", 0o604, "database: Run: chmod 600"],
    ["config.yml", "config.yml", 0o666, "config.yml: Run: chmod 600"],
  ])("names %s, when others can reach it [S3-106]", async (_what, file, mode, told) => {
    await home.open();
    await chmod(join(home.path, file), mode);
    expect(failed()).toEqual([told]);
  });

  it("names a home that others can reach, and one that is not there", async () => {
    await chmod(home.path, 0o755);
    expect(failed()).toEqual(["home: Run: chmod 700"]);
    expect(checkPlaces("/nonexistent/home", {})).toMatchObject([
      { name: "home", ok: false, fix: expect.stringContaining("init") },
    ]);
  });

  it("names a runtime folder that others can reach", async () => {
    const folder = await mkdtemp(join(tmpdir(), "sallyport-run-"));
    await chmod(folder, 0o700);
    await writeFile(join(folder, "sallyport"), "no folder");
    const found = checkPlaces(home.path, { XDG_RUNTIME_DIR: folder });
    expect(found.find(({ name }) => name === "runtime folder")).toMatchObject({ ok: false });
    await rm(folder, { recursive: true });
  });
});

describe("what a host says of itself", () => {
  needsNamespace();
  const checkOf = async (host: Host, name: string) => (await host.doctor()).checks.find((check) => check.name === name);

  it("covers the checklist of security and of production [S3-107] [S3-109]", async () => {
    const host = await home.open({ env: { PLUGIN_SECRET_KEY: "k".repeat(32) } });
    await installed(host, repositoryPlugin("echo"));
    const { checks } = await host.doctor();
    const ok = Object.fromEntries(checks.map((check) => [check.name, check.ok]));
    expect(ok).toMatchObject({
      "secret key": true,
      "isolation floor": true,
      policy: true,
      permissions: true,
      signatures: true,
      sandbox: true,
      monitoring: true,
      "audit chain": true,
      configuration: true,
      "operator passphrase": false,
    });
    expect(await checkOf(host, "sandbox")).toMatchObject({ detail: expect.stringContaining("1 running plugins") });
    expect(await checkOf(host, "signatures")).toMatchObject({ detail: expect.stringContaining("0 of 1 active") });
  });

  it("names the interpreters of programs, and counts one that was named and is missing", async () => {
    const host = await home.open();
    const [python, node, none] = await Promise.all(
      ["python", "node", "none"].map((kind) => checkOf(host, `interpreter ${kind}`)),
    );
    for (const check of [python, node])
      expect(check).toMatchObject({ ok: true, detail: expect.stringMatching(/^(?:\/|not available: )/) });
    expect(none).toMatchObject({ ok: true, detail: expect.stringMatching(/^executables run at namespace/) });
    const named = await makeHome("programs: { interpreters: { python: /nonexistent/python3 } }\n");
    try {
      expect(await checkOf(await named.open(), "interpreter python")).toMatchObject({
        ok: false,
        detail: "not available: /nonexistent/python3 is not there.",
        fix: expect.stringContaining("programs.interpreters.python"),
      });
    } finally {
      await named.remove();
    }
  });

  it("names a plugin whose stored bytes changed [S3-106]", async () => {
    const host = await home.open();
    await installed(host, repositoryPlugin("echo"));
    expect(await checkOf(host, "content store")).toMatchObject({ ok: true });
    await tamper(home.path);
    for (const name of ["content store", "permissions"])
      expect(await checkOf(host, name)).toMatchObject({ ok: false, detail: "echo 1.0.0: digest_mismatch" });
  });

  it("names a plugin that a gate would refuse now, and one that failed [S3-106]", async () => {
    const host = await home.open();
    await installed(host, repositoryPlugin("echo"));
    await host.plugins.revoke(OPERATOR, "echo");
    expect(await checkOf(host, "permissions")).toMatchObject({
      ok: true,
      detail: expect.stringContaining("0 approved"),
    });
    const crashing = await home.plugin("crashing", {
      "plugin.yml": `manifest_version: 1
id: crashing
name: Crashing
version: 1.0.0
description: Ends while it starts.
license: MIT
entry: plugin.js
contributes: { tools: [{ name: x, description: X., effect: read, input_schema: { type: object } }] }
permissions: {}
config_schema: { type: object, properties: {} }
`,
      "plugin.js": "export default { initialize: () => false, tools: { x: () => ({}) } };",
    });
    await expect(installed(host, crashing)).rejects.toThrow();
    expect(await checkOf(host, "plugin registration")).toMatchObject({
      ok: false,
      detail: expect.stringContaining("crashing failed"),
    });
  });

  it("names a floor, a policy and signatures that were lowered [S3-109]", async () => {
    await home.writeConfig(
      "plugins: { enabled: true }\nisolation: { minimum: runtime }\npolicy: { defaults: { destructive: allow } }\ntrust: { signatures: { high: preferred } }\n",
    );
    const host = await home.open();
    for (const name of ["isolation floor", "policy", "signatures", "secret key"])
      expect([name, (await checkOf(host, name))?.ok]).toEqual([name, false]);
  });
});

async function tamper(path: string): Promise<void> {
  const store = storeRoot(path, { hostIsRoot: process.getuid?.() === 0 });
  const names = await readdir(store, { recursive: true });
  const file = names.find((name) => name.endsWith("plugin.js")) ?? "";
  await chmod(join(store, file), 0o644);
  await writeFile(join(store, file), "changed");
}
