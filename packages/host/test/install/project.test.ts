import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { pinInProject, readLockOf, specOf } from "../../src/cli/project-lock.ts";
import type { Host } from "../../src/host-api.ts";
import type { LockEntry } from "../../src/registry/index.ts";
import { makeHome, manifestOf, OPERATOR, type TestHome, toolLine } from "../support/home.ts";

let home: TestHome;
let host: Host;
let project: string;
beforeEach(async () => {
  home = await makeHome();
  host = await home.open();
  project = await mkdtemp(join(tmpdir(), "sallyport-project-"));
});
afterEach(async () => {
  await home.remove();
  await rm(project, { recursive: true, force: true });
});

async function written(code = "({})"): Promise<string> {
  const root = join(project, "plugins", "t");
  await mkdir(root, { recursive: true });
  await writeFile(join(root, "plugin.yml"), manifestOf("t", [toolLine("look")]));
  await writeFile(join(root, "plugin.js"), `export default { tools: { look: () => ${code} } };`);
  return root;
}

const install = (frozen: LockEntry): Promise<unknown> =>
  host.plugins.install(OPERATOR, { source: specOf(frozen), frozen });

describe("plugin.lock.json of a project", () => {
  it("names what is below it by a relative path, and installs exactly that in another home [S2-46] [S2-47]", async () => {
    const { lock } = await host.plugins.install(OPERATOR, { source: await written() });
    await pinInProject(project, lock);
    const text = await readFile(join(project, "plugin.lock.json"), "utf8");
    expect(text).toContain('"source": "directory:./plugins/t"');
    expect(text).not.toContain(project);
    await pinInProject(project, lock);
    expect(await readFile(join(project, "plugin.lock.json"), "utf8")).toBe(text);

    await host.plugins.uninstall(OPERATOR, "t");
    const [pinned] = await readLockOf(project);
    if (!pinned) return expect.fail("nothing is pinned");
    expect(await install(pinned)).toMatchObject({ plugin: { id: "t", version: "1.0.0", digest: lock.integrity } });
  });

  it.each([
    ["other code", {}, "({ evil: true })", "integrity"],
    ["another version", { version: "9.9.9" }, "({})", "version"],
    ["another signer", { signer: "ed25519:x" }, "({})", "signer"],
    ["another source", { source: "directory:/elsewhere" }, "({})", "source"],
  ])("refuses %s than it pins, and keeps nothing of it [S2-46] [S2-51]", async (_what, change, code, field) => {
    const { lock } = await host.plugins.install(OPERATOR, { source: await written() });
    await host.plugins.uninstall(OPERATOR, "t");
    await written(code);
    await expect(install({ ...lock, ...change })).rejects.toMatchObject({
      code: "lock_mismatch",
      data: { file: "plugin.lock.json", field, expected: expect.any(String), actual: expect.any(String) },
    });
    expect(await host.plugins.list()).toEqual([]);
    expect(await host.plugins.collect(OPERATOR)).toEqual({ removed: [] });
  });

  it("is refused when it is missing or not as Sallyport writes it", async () => {
    await expect(readLockOf(project)).rejects.toMatchObject({ code: "lock_mismatch" });
    await writeFile(join(project, "plugin.lock.json"), '{"lock_version":1,"plugins":{"t@1.0.0":{}}}');
    await expect(readLockOf(project)).rejects.toMatchObject({ code: "lock_mismatch" });
  });
});
