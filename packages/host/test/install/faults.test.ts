import { execFile } from "node:child_process";
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Host } from "../../src/host-api.ts";
import { storeRoot } from "../../src/isolation/index.ts";
import { sha256, systemClock } from "../../src/kernel/index.ts";
import { readLock, writeLock } from "../../src/registry/index.ts";
import { createSettings, openDatabase } from "../../src/store/index.ts";
import { temporaryFolder } from "../registry/plugin-folder.ts";
import { addArchive, index, KEEPER } from "../registry-index/support.ts";
import { AGENT, installed, makeHome, manifestOf, OPERATOR, type TestHome, toolLine } from "../support/home.ts";
import { needsNamespace } from "../support/namespace.ts";

needsNamespace();

const CHILD = fileURLToPath(new URL("./fault-child.mjs", import.meta.url));
const UPGRADE = fileURLToPath(new URL("./upgrade-child.mjs", import.meta.url));
let home: TestHome;
let host: Host;
beforeEach(async () => {
  home = await makeHome();
  host = await home.open();
});
afterEach(() => home.remove());

const lockPath = (): string => join(home.path, "plugin.lock.json");
const stored = (): Promise<string[]> => readdir(storeRoot(home.path, { hostIsRoot: process.getuid?.() === 0 }));

function written(id: string, version: string, more: Readonly<Record<string, string>> = {}): Promise<string> {
  return home.plugin(`${id}-${version}`, {
    "plugin.yml": manifestOf(id, [toolLine("look")]).replace("1.0.0", version),
    "plugin.js": `export default { tools: { look: () => ({ version: "${version}" }) } };`,
    ...more,
  });
}

/** Runs a child, perhaps under a limit of the shell's, to its end. */
function run(source: string, step: string, { limit = "", child = CHILD } = {}): Promise<string> {
  const command = `${limit}exec "$0" "$@"`;
  return new Promise((resolve) => {
    execFile("/bin/bash", ["-c", command, process.execPath, child, home.path, source, step], (error, stdout) =>
      resolve(error?.signal ?? stdout),
    );
  });
}

describe("an install that is killed with -9", () => {
  it.each(["fetch", "manifest", "bundle", "trust", "store", "register", "lock"])(
    "as the step %s begins leaves the old version, its lock and nothing else",
    async (step) => {
      await installed(host, await written("t", "1.0.0"));
      const before = { lock: await readFile(lockPath(), "utf8"), store: await stored() };
      await host.close();
      const source = await written("t", "2.0.0");
      expect(await run(source, step)).toBe("SIGKILL");

      host = await home.open();
      expect(await host.plugins.list()).toMatchObject([{ id: "t", version: "1.0.0", state: "idle" }]);
      await expect(host.plugins.info("t", "2.0.0")).rejects.toMatchObject({ code: "not_found" });
      expect(await readFile(lockPath(), "utf8")).toBe(before.lock);
      // The host collects what is left over at its start.
      expect((await stored()).toSorted()).toEqual(before.store.toSorted());
      expect((await readdir(home.path)).filter((name) => name.includes(".new"))).toEqual([]);
      expect(await host.plugins.install(OPERATOR, { source })).toMatchObject({ plugin: { version: "2.0.0" } });
      expect(await host.plugins.load(OPERATOR, "t", { version: "1.0.0" })).toMatchObject({ state: "running" });
    },
    60_000,
  );

  it("between the store and the lock is finished at the next start", async () => {
    await host.plugins.install(OPERATOR, { source: await written("t", "1.0.0") });
    const before = await readFile(lockPath(), "utf8");
    await host.plugins.install(OPERATOR, { source: await written("u", "1.0.0") });
    const after = await readFile(lockPath(), "utf8");
    await host.close();
    const digest = (text: string): string => sha256(writeLock(Object.values(readLock(text).plugins)));
    const db = await openDatabase({ path: join(home.path, "state.db"), clock: systemClock });
    await createSettings(db).set("lock.pending", `${digest(before)} ${digest(after)}`);
    await db.close();
    await writeFile(lockPath(), before);

    host = await home.open();
    expect(await readFile(lockPath(), "utf8")).toBe(after);
    expect(await host.plugins.lock()).toMatchObject({ state: "intact" });
    await host.close();
    // Only once: whoever puts the old one back later is found.
    await writeFile(lockPath(), before);
    host = await home.open();
    expect(await host.plugins.lock()).toMatchObject({
      state: "changed",
      differences: [{ plugin: "u@1.0.0", field: "entry" }],
    });
  });
});

describe("an install that brings another plugin along and is killed with -9", () => {
  it.each(["trust:2", "store:2", "register:2", "lock:2"])("at %s leaves neither", async (step) => {
    const folder = temporaryFolder();
    const wishes = "permissions: {}\ndependencies:";
    await addArchive(folder, { id: "geo", version: "1.0.0", more: `${wishes} {}` });
    await addArchive(folder, { id: "trip", version: "1.0.0", more: `${wishes} { geo: "*" }` });
    await index(folder, { now: Date.now(), name: "acme" });
    await host.registries.add(OPERATOR, { name: "acme", place: folder, key: KEEPER.id, private: true });
    const before = await stored();
    await host.close();
    expect(await run("acme:trip", step)).toBe("SIGKILL");

    host = await home.open();
    expect(await host.plugins.list()).toEqual([]);
    expect(await host.approvals.list({ state: "pending" })).toEqual([]);
    expect((await stored()).toSorted()).toEqual(before.toSorted());
    const { dependencies } = await host.plugins.install(OPERATOR, { source: "acme:trip" });
    expect(dependencies.map(({ plugin }) => plugin.id)).toEqual(["geo"]);
  });
});

describe("an upgrade that is killed with -9", () => {
  it("after any of its events leaves the old version or the new one, whole, and is finished by upgrading again", async () => {
    await installed(host, await written("t", "1.0.0"), { allowTools: ["look"] });
    await host.close();
    const source = await written("t", "2.0.0");
    const before = join(home.path, "..", "before");
    await cp(home.path, before, { recursive: true });
    const ends = new Set<string>();
    for (let fatal = 1, done = false; !done; fatal += 3) {
      await rm(home.path, { recursive: true });
      await cp(before, home.path, { recursive: true });
      done = (await run(source, String(fatal), { child: UPGRADE })).startsWith("upgraded");
      const after = await home.open();
      try {
        const [plugin, ...others] = await after.plugins.list();
        expect(others).toEqual([]);
        const version = plugin?.version ?? "";
        ends.add(version);
        expect(await after.plugins.lock()).toMatchObject({ state: "intact" });
        await after.plugins.load(OPERATOR, "t");
        expect(await after.invoke(AGENT, { tool: "t__look", input: {} })).toMatchObject({ result: { version } });
        if (done || fatal % 2 === 0) continue;
        const { digest } = await after.plugins.upgrade(OPERATOR, "t", { source, dryRun: true });
        await after.plugins.upgrade(OPERATOR, "t", { source, approve: digest });
        expect(await after.plugins.info("t")).toMatchObject({ version: "2.0.0", state: "running" });
      } finally {
        await after.close();
      }
    }
    expect([...ends].toSorted()).toEqual(["1.0.0", "2.0.0"]);
  }, 120_000);
});

describe("an install without room on the disk", () => {
  it("leaves the old version, its lock and nothing else", async () => {
    await installed(host, await written("t", "1.0.0"));
    const before = { lock: await readFile(lockPath(), "utf8"), store: await stored() };
    await host.close();
    const source = await written("t", "2.0.0", { "data.txt": "x".repeat(12 * 1024 * 1024) });
    // In blocks of 1024 bytes: the database fits, the plugin does not.
    expect(await run(source, "none", { limit: "ulimit -f 8192; " })).toMatch(/^failed /);
    host = await home.open();
    expect(await host.plugins.list()).toMatchObject([{ id: "t", version: "1.0.0" }]);
    expect(await readFile(lockPath(), "utf8")).toBe(before.lock);
    expect((await stored()).toSorted()).toEqual(before.store.toSorted());
  }, 60_000);
});

describe("plugin gc", () => {
  it("removes what no installed plugin names, and nothing else", async () => {
    await installed(host, await written("t", "1.0.0"));
    const before = await stored();
    const root = storeRoot(home.path, { hostIsRoot: process.getuid?.() === 0 });
    const left = "0".repeat(64);
    await mkdir(join(root, left, "files"), { recursive: true });
    expect(await host.plugins.collect(OPERATOR)).toEqual({ removed: [`sha256:${left}`] });
    expect((await stored()).toSorted()).toEqual(before.toSorted());
    expect(await host.plugins.info("t")).toMatchObject({ state: "running" });
  });
});
