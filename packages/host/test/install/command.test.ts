import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { type Owner, serveOwner } from "../../src/cli/index.ts";
import { storeRoot } from "../../src/isolation/index.ts";
import { temporaryFolder } from "../registry/plugin-folder.ts";
import { addArchive, AUTHOR, type PluginFacts } from "../registry-index/support.ts";
import { runCommand } from "../support/command.ts";
import { makeHome, type TestHome } from "../support/home.ts";
import { needsNamespace } from "../support/namespace.ts";

needsNamespace();

const NET = "permissions: { network: [{ host: api.example.com, port: 443, scheme: https, reason: Reads. }] }";
const NEEDS = "permissions: {}\ndependencies: { geo: ^2.0.0 }";

let home: TestHome;
let owner: Owner;
let folder: string;
let project: string;
beforeEach(async () => {
  [home, folder, project] = [await makeHome(), temporaryFolder(), temporaryFolder()];
  const clock = { now: () => Date.parse("2030-01-01T00:00:00Z"), monotonic: () => performance.now() };
  owner = await serveOwner(await home.open({ clock }), {
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

const people = (...args: readonly string[]) => runCommand(["--home", home.path, ...args]);

async function json(...args: readonly string[]) {
  const { code, out } = await people(...args, "--json");
  const answer: unknown = JSON.parse(out);
  return { code, answer };
}

/** Ends with 0, or the test fails with what was answered. */
async function done(...args: readonly string[]) {
  const ran = await json(...args);
  expect(ran).toMatchObject({ code: 0 });
  return ran.answer;
}

/** Puts a version into the registry's folder and signs the index anew. */
async function publish(facts: PluginFacts): Promise<void> {
  const from = temporaryFolder();
  await done("plugin", "publish", join(from, await addArchive(from, facts)), "--to", folder);
}

async function indexed(): Promise<void> {
  await done("registry", "index", folder, "--key", "keeper", "--name", "acme");
}

const says = (what: string) => `export default { tools: { look: () => ({ says: "${what}" }) } };\n`;
const look = async () => (await json("tool", "call", "weather__look")).answer;
const lockOf = async () =>
  z
    .object({ plugins: z.record(z.string(), z.unknown()) })
    .parse(JSON.parse(await readFile(join(project, "plugin.lock.json"), "utf8")));

async function withRegistry(...offers: readonly PluginFacts[]): Promise<void> {
  const { key } = z.object({ key: z.string() }).parse(await done("key", "generate", "keeper"));
  for (const facts of offers) await publish(facts);
  await indexed();
  await done("registry", "add", "acme", folder, "--key", key);
  await done("key", "trust", "author", AUTHOR.id, "--scope", "*");
}

describe("a plugin of a registry, by the command", () => {
  it("is installed, approved, called, upgraded with a question about what is added only, and taken back [S2-43] [S4-44] [S4-61]", async () => {
    await withRegistry({ version: "1.0.0", code: says("one") });
    expect(await done("plugin", "install", "weather@1")).toMatchObject({ plugin: { version: "1.0.0" } });
    await done("plugin", "approve", "weather", "--yes", "--allow-tools", "look");
    await done("plugin", "load", "weather");
    expect(await look()).toMatchObject({ success: true, result: { says: "one" } });

    await publish({ version: "1.0.1", code: says("mended") });
    await publish({ version: "1.1.0", code: says("two"), more: NET });
    await indexed();
    const rows = await people("plugin", "upgrade", "--all", "--dry-run");
    expect(rows.out).toMatch(/weather\s+1\.0\.0\s+1\.1\.0\s+possible\s+.*api\.example\.com/);
    // Nothing is added: nothing is asked.
    expect(await done("plugin", "upgrade", "weather", "--to", "1.0.1")).toMatchObject({ state: "upgraded" });
    expect(await look()).toMatchObject({ result: { says: "mended" } });

    const asked = await json("plugin", "upgrade", "weather");
    expect(asked).toMatchObject({
      code: 4,
      answer: {
        state: "waiting",
        to: "1.1.0",
        difference: { questions: [expect.stringContaining("api.example.com")] },
      },
    });
    expect(await look()).toMatchObject({ result: { says: "mended" } });
    const { digest } = z.object({ digest: z.string() }).parse(asked.answer);
    expect(await done("plugin", "upgrade", "weather", "--to", "1.1.0", "--yes", "--allow-tools", "look")).toMatchObject(
      {
        state: "upgraded",
        digest,
        source: expect.stringMatching(/^index:acme\/weather@1\.1\.0#sha512-/),
      },
    );
    expect(await look()).toMatchObject({ result: { says: "two" } });
    expect(await done("plugin", "upgrade", "weather")).toMatchObject({ state: "current" });

    expect(await done("plugin", "rollback", "weather")).toMatchObject({
      plugin: { version: "1.0.1", state: "running" },
    });
    expect(await look()).toMatchObject({ result: { says: "mended" } });
    expect(await done("plugin", "rollback", "weather", "--to", "1.0.0")).toMatchObject({
      plugin: { version: "1.0.0" },
    });
    expect(await look()).toMatchObject({ result: { says: "one" } });
  });

  it("comes with what it needs, is pinned with it, and installed from the lock exactly so [S2-46] [S3-12]", async () => {
    await withRegistry({ id: "geo", version: "2.0.0" }, { version: "1.0.0", more: NEEDS });
    const told = await people("plugin", "install", "weather@1.0.0", "--project", project);
    expect(told.code).toBe(0);
    expect(told.out).toMatch(
      /Installed geo 2\.0\.0.*weather 1\.0\.0 needs it \(\^2\.0\.0\).*Installed weather 1\.0\.0/s,
    );
    expect(told.out).toMatch(/Next: sallyport plugin approve geo\nNext: sallyport plugin approve weather\n$/);
    expect(Object.keys((await lockOf()).plugins)).toEqual(["geo@2.0.0", "weather@1.0.0"]);

    for (const id of ["weather", "geo"]) await done("plugin", "uninstall", id);
    await publish({ id: "geo", version: "2.5.0" });
    await publish({ version: "1.9.0", more: NEEDS });
    await indexed();
    await done("registry", "refresh");
    expect(await done("plugin", "install", "--frozen", "--project", project)).toMatchObject({
      installed: [{ plugin: { id: "geo", version: "2.0.0" } }, { plugin: { id: "weather", version: "1.0.0" } }],
    });
    expect(await json("plugin", "install", "geo@2.5.0", "--frozen", "--project", project)).toMatchObject({
      code: 5,
      answer: { code: "lock_mismatch" },
    });
    // What the lock says counts, not what it is called.
    const file = join(project, "plugin.lock.json");
    await writeFile(file, (await readFile(file, "utf8")).replace(/"code": "sha256:.{8}/, '"code": "sha256:00000000'));
    for (const id of ["weather", "geo"]) await done("plugin", "uninstall", id);
    expect(await json("plugin", "install", "--frozen", "--project", project)).toMatchObject({
      code: 5,
      answer: { code: "lock_mismatch" },
    });
    expect(await done("plugin", "list")).toEqual([]);
  });

  it("is pinned in the home, where an edited lock is told and written anew only when said, and what is left over goes [S2-46]", async () => {
    await withRegistry({ version: "1.0.0" });
    await done("plugin", "install", "weather@1.0.0");
    await done("plugin", "approve", "weather", "--yes");
    expect(await done("plugin", "lock")).toMatchObject({ state: "intact", plugins: 1 });
    const file = join(home.path, "plugin.lock.json");
    await writeFile(file, (await readFile(file, "utf8")).replaceAll('"version": "1.0.0"', '"version": "1.0.1"'));
    expect(await json("plugin", "lock")).toMatchObject({ code: 5, answer: { success: false } });
    expect(await json("plugin", "load", "weather")).toMatchObject({ code: 5, answer: { code: "lock_mismatch" } });
    expect(await done("plugin", "lock", "--restore")).toMatchObject({ state: "intact" });
    await done("plugin", "load", "weather");

    const left = "a".repeat(64);
    const root = storeRoot(home.path, { hostIsRoot: process.getuid?.() === 0 });
    await mkdir(join(root, left, "files"), { recursive: true });
    expect(await done("plugin", "gc")).toMatchObject({ removed: [`sha256:${left}`] });
    expect(await done("plugin", "gc")).toMatchObject({ removed: [] });
  });
});
