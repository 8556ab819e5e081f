import { chmod, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { Host } from "../../src/host-api.ts";
import { systemClock } from "../../src/kernel/index.ts";
import { createContentStore, stampTree } from "../../src/registry/index.ts";
import { storeRoot } from "../../src/isolation/index.ts";
import { openDatabase } from "../../src/store/index.ts";
import { AGENT, installed, makeHome, manifestOf, OPERATOR, type TestHome, toolLine } from "../support/home.ts";

const HOUR = 3_600_000;
/** Long after any file was written: what was verified counts as settled. */
const later = { ...systemClock, now: () => Date.now() + HOUR };

let home: TestHome;
afterEach(() => home?.remove());

async function withPlugin(): Promise<{ host: Host; bundle: string }> {
  home = await makeHome();
  const host = await home.open({ clock: later });
  const code = "export default { tools: { look: () => ({ seen: true }) } };\n";
  const source = await home.plugin("t", { "plugin.yml": manifestOf("t", [toolLine("look")]), "plugin.js": code });
  await installed(host, source);
  const { digest } = await host.plugins.info("t");
  const root = storeRoot(home.path, { hostIsRoot: process.getuid?.() === 0 });
  return { host, bundle: join(root, digest.replace("sha256:", ""), "files", ".sallyport", "bundle.mjs") };
}

async function edit(path: string): Promise<void> {
  const text = await readFile(path, "utf8");
  await chmod(path, 0o600);
  await writeFile(path, text.replace("true", "!!0 "));
}

/** The same size, the same modes, the same times of the content. */
async function editUnseen(path: string): Promise<void> {
  const before = await stat(path);
  await edit(path);
  await chmod(path, before.mode);
  await utimes(path, before.atime, before.mtime);
}

const look = (host: Host) => host.invoke(AGENT, { tool: "t__look", input: {} });

describe("what is stored", () => {
  it("is read once, and again only where the file system shows a change, also after a restart", async () => {
    const { host, bundle } = await withPlugin();
    await host.plugins.verifyAll(OPERATOR, { full: false });
    expect(await host.plugins.verifyAll(OPERATOR, { full: false })).toEqual({ checked: 1, reread: 0, problems: [] });
    expect(await host.plugins.verifyAll(OPERATOR)).toEqual({ checked: 1, reread: 1, problems: [] });
    await host.close();
    const second = await home.open({ clock: later });
    expect(await second.plugins.verifyAll(OPERATOR, { full: false })).toMatchObject({ reread: 0 });
    // Touched, and still the same.
    await utimes(bundle, new Date(), new Date());
    expect(await second.plugins.verifyAll(OPERATOR, { full: false })).toMatchObject({ reread: 1, problems: [] });
  });

  it("and was edited while the host was down is found at its start, stopped, and named", async () => {
    const { host, bundle } = await withPlugin();
    await host.plugins.verifyAll(OPERATOR, { full: false });
    await host.close();
    await editUnseen(bundle);
    const second = await home.open({ clock: later });
    const problem = {
      id: "t",
      code: "digest_mismatch",
      file: ".sallyport/bundle.mjs",
      expected: expect.stringMatching(/^sha256:/),
      actual: expect.stringMatching(/^sha256:/),
    };
    expect((await second.plugins.verifyAll(OPERATOR, { full: false })).problems).toMatchObject([problem]);
    expect(await second.plugins.info("t")).toMatchObject({
      state: "validated",
      lastError: expect.stringContaining("is not what was approved"),
    });
    expect(await look(second)).toMatchObject({ code: "unknown_tool" });
    await expect(second.plugins.load(OPERATOR, "t")).rejects.toMatchObject({ code: "digest_mismatch" });
    const events = await second.audit.query({ plugin: "t", type: "plugin.lifecycle" });
    expect(events).toContainEqual(expect.objectContaining({ reason: "digest_mismatch", decision: "deny" }));
  });

  it("and was edited while the host ran is found at the next load, with sizes and times put back", async () => {
    const { host, bundle } = await withPlugin();
    await host.plugins.verifyAll(OPERATOR, { full: false });
    await host.plugins.unload(OPERATOR, "t");
    await editUnseen(bundle);
    await expect(host.plugins.load(OPERATOR, "t")).rejects.toMatchObject({
      code: "digest_mismatch",
      data: { file: ".sallyport/bundle.mjs" },
    });
  });

  it("is stopped by a full check while it runs", async () => {
    const { host, bundle } = await withPlugin();
    expect(await look(host)).toMatchObject({ success: true });
    await edit(bundle);
    expect((await host.plugins.verifyAll(OPERATOR)).problems).toHaveLength(1);
    expect(await look(host)).toMatchObject({ code: "unknown_tool" });
  });

  it("and is gone is told, and changes nothing else", async () => {
    const { host, bundle } = await withPlugin();
    await host.plugins.unload(OPERATOR, "t");
    await rm(join(bundle, "..", "..", ".."), { recursive: true });
    expect((await host.plugins.verifyAll(OPERATOR)).problems).toMatchObject([{ code: "not_found" }]);
    expect(await host.plugins.info("t")).toMatchObject({ state: "stopped" });
  });

  it("is not believed on the word of an edited database, with a seal key", async () => {
    const env = { PLUGIN_SECRET_KEY: "0123456789abcdef0123456789abcdef" };
    const { host } = await withPlugin();
    await host.close();
    const sealed = await home.open({ clock: later, env });
    await sealed.keys.reseal(OPERATOR);
    await sealed.plugins.verifyAll(OPERATOR);
    expect(await sealed.plugins.verifyAll(OPERATOR, { full: false })).toMatchObject({ reread: 0 });
    await sealed.close();
    const db = await openDatabase({ path: join(home.path, "state.db"), clock: later });
    expect(await db.query.selectFrom("verified_trees").selectAll().execute()).toHaveLength(1);
    await db.query
      .updateTable("verified_trees")
      .set({ verified_at: 1, seal: "0".repeat(64) })
      .execute();
    await db.close();
    const third = await home.open({ clock: later, env });
    const events: number[] = [];
    const pass = await third.plugins.verifyAll(OPERATOR, { full: true, onProgress: (done) => events.push(done) });
    expect([pass.reread, events]).toEqual([1, [1]]);
  });
});

describe("a stamp of a tree", () => {
  it("changes with any write, new, removed, renamed or linked file, owner's bits and times, and with nothing read", async () => {
    home = await makeHome();
    const store = await createContentStore(join(home.path, "store"), { readableByAll: false });
    const bytes = Buffer.from("export default {};\n");
    const { digest } = await store.put([
      {
        path: "a/b.mjs",
        mode: 0o644,
        size: bytes.length,
        sha256: (await import("../../src/kernel/index.ts")).sha256(bytes),
        bytes,
      },
    ]);
    const root = store.pathOf(digest);
    const stamp = async () => (await stampTree(root))?.text;
    const first = await stamp();
    await readFile(join(root, "a", "b.mjs"));
    await readdir(join(root, "a"));
    expect(await stamp()).toBe(first);
    const seen = new Set([first]);
    const file = join(root, "a", "b.mjs");
    const changes = [
      () => chmod(file, 0o600),
      () => writeFile(file, bytes),
      () => utimes(file, 1, 1),
      () => writeFile(join(root, "a", "c"), ""),
      () => rm(join(root, "a", "c")),
    ];
    for (const change of changes) {
      await change();
      seen.add(await stamp());
    }
    expect(seen.size).toBe(changes.length + 1);
    expect(await stampTree(join(root, "nothing"))).toBeUndefined();
  });
});
