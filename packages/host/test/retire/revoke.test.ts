import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Host } from "../../src/host-api.ts";
import { findManifest, readManifest } from "../../src/manifest/index.ts";
import { openSource, preparePlugin } from "../../src/registry/index.ts";
import { generateSigningKey } from "../../src/trust/index.ts";
import { AGENT, makeHome, OPERATOR, type TestHome } from "../support/home.ts";
import { needsNamespace } from "../support/namespace.ts";
import { archive, folder, KEEPER } from "./archive.ts";

needsNamespace();

const LAX = `plugins: { enabled: true }
trust: { signatures: { medium: preferred, high: preferred, critical: preferred } }
policy: { defaults: { read: allow, write: allow, external: allow, destructive: deny } }
`;
const REVOKED = { code: "revoked" };

let home: TestHome;
let host: Host;
beforeEach(async () => {
  home = await makeHome(LAX);
  host = await home.open();
});
afterEach(() => home?.remove());

async function run(source: string): Promise<string> {
  const { plugin } = await host.plugins.install(OPERATOR, { source });
  await host.plugins.approve(OPERATOR, plugin.id, { version: plugin.version });
  await host.plugins.load(OPERATOR, plugin.id, { version: plugin.version });
  return plugin.id;
}

const digestsOf = async (source: string) => preparePlugin(await openSource(source), { findManifest, readManifest });
const install = (source: string) => host.plugins.install(OPERATOR, { source });
const show = (id = "notes") => host.invoke(AGENT, { tool: `${id}__show`, input: {} });

async function reopen(): Promise<void> {
  await host.close();
  host = await home.open();
}

describe("revoking", () => {
  it("by id holds for other code under the id, and for the code under another id, version or packing", async () => {
    await run(await folder(home, { folder: "one" }));
    await host.plugins.revoke(OPERATOR, "notes", "it lied");
    await host.plugins.uninstall(OPERATOR, "notes", { purge: true });
    await reopen();
    await expect(
      install(await folder(home, { folder: "new", code: "export default { tools: { keep() {}, show() {} } };" })),
    ).rejects.toMatchObject(REVOKED);
    for (const made of [{ id: "other" }, { id: "acme/notes" }, { id: "other", version: "2.0.0" }]) {
      await expect(install(await folder(home, { ...made, folder: `f-${made.version}` }))).rejects.toMatchObject(
        REVOKED,
      );
      await expect(install(await archive(home, { ...made, folder: `a-${made.version}` }))).rejects.toMatchObject(
        REVOKED,
      );
    }
    expect(await host.plugins.list()).toEqual([]);
  });

  it("by tree digest stops exactly those bytes at once, installed or not, and no others", async () => {
    const source = await folder(home, { folder: "one" });
    const { treeDigest } = await digestsOf(source);
    await run(source);
    expect(await show()).toMatchObject({ success: true });
    const mark = { kind: "tree_digest", value: treeDigest } as const;
    const { stopped } = await host.plugins.revokeMark(OPERATOR, mark, "bad build");
    expect(stopped).toMatchObject([{ id: "notes", version: "1.0.0", state: "revoked" }]);
    expect(await show()).toMatchObject({ code: "unknown_tool" });
    await expect(host.plugins.load(OPERATOR, "notes")).rejects.toMatchObject(REVOKED);
    await host.plugins.uninstall(OPERATOR, "notes");
    await reopen();
    await expect(install(source)).rejects.toMatchObject(REVOKED);
    expect(await run(await folder(home, { folder: "one", version: "1.0.1" }))).toBe("notes");

    const next = await folder(home, { folder: "two", version: "2.0.0" });
    const value = (await digestsOf(next)).treeDigest;
    expect((await host.plugins.revokeMark(OPERATOR, { kind: "tree_digest", value })).stopped).toEqual([]);
    await expect(install(next)).rejects.toMatchObject(REVOKED);
  });

  it("by code digest stops every plugin with that code, whatever its id, version, files beside it or packing", async () => {
    const first = await folder(home, { folder: "one" });
    await run(first);
    await run(await archive(home, { id: "twin", folder: "two", version: "7.0.0" }));
    await run(await folder(home, { id: "innocent", folder: "three", code: `${KEEPER}console.log(1);\n` }));
    const { codeDigest } = await digestsOf(first);
    const { stopped } = await host.plugins.revokeMark(OPERATOR, { kind: "code_digest", value: codeDigest });
    expect(stopped.map(({ id }) => id).toSorted()).toEqual(["notes", "twin"]);
    expect(await show("twin")).toMatchObject({ code: "unknown_tool" });
    expect(await show("innocent")).toMatchObject({ success: true });
    const dressed = await home.plugin("four", {});
    await folder(home, { id: "dressed", folder: "four" });
    await home.plugin("four", { "README.md": "Something else.", "data/more.txt": "more" });
    await expect(install(dressed)).rejects.toMatchObject(REVOKED);
  });

  it("by key holds for whatever it signed, trusted or not, and for what comes later", async () => {
    const mallory = generateSigningKey();
    await host.keys.trust(OPERATOR, { name: "mallory", key: mallory.id, scopes: ["*"] });
    await run(await archive(home, { folder: "one" }, [mallory]));
    const { stopped } = await host.plugins.revokeMark(OPERATOR, { kind: "publisher_key", value: mallory.id }, "stolen");
    expect(stopped).toMatchObject([{ id: "notes", state: "revoked" }]);
    await reopen();
    const later = await archive(home, { id: "later", folder: "two", code: `${KEEPER}//2\n` }, [mallory]);
    await expect(install(later)).rejects.toMatchObject(REVOKED);
    await expect(host.keys.trust(OPERATOR, { name: "m", key: mallory.id, scopes: ["*"] })).rejects.toMatchObject(
      REVOKED,
    );

    // Never trusted: the plugin runs as an unsigned one would, until its signer is revoked.
    const eve = generateSigningKey();
    await run(await archive(home, { id: "eves", folder: "three", code: `${KEEPER}//3\n` }, [eve]));
    expect((await host.plugins.revokeMark(OPERATOR, { kind: "publisher_key", value: eve.id })).stopped).toMatchObject([
      { id: "eves" },
    ]);
    expect(await show("eves")).toMatchObject({ code: "unknown_tool" });
  });

  it("of an id that is not installed is possible, and an installed one has it by name", async () => {
    await host.plugins.revokeMark(OPERATOR, { kind: "id", value: "notes" });
    await expect(install(await folder(home, { folder: "one" }))).rejects.toMatchObject(REVOKED);
    await expect(host.plugins.revoke(OPERATOR, "nothing")).rejects.toMatchObject({ code: "not_found" });
  });

  it("refuses what is no id, digest or key, and keeps the first reason", async () => {
    const bad = [
      ["id", "No Id"],
      ["tree_digest", "sha256:ab"],
      ["tree_digest", `SHA256:${"ab".repeat(32)}`],
      ["code_digest", "ab".repeat(32)],
      ["publisher_key", "acme"],
    ] as const;
    for (const [kind, value] of bad) {
      await expect(host.plugins.revokeMark(OPERATOR, { kind, value })).rejects.toMatchObject({ code: "usage" });
    }
    expect(await host.plugins.revocations()).toEqual([]);
    const mark = { kind: "id", value: "notes" } as const;
    await host.plugins.revokeMark(OPERATOR, mark, "first");
    await host.plugins.revokeMark({ name: "eve" }, mark, "second");
    expect(await host.plugins.revocations()).toMatchObject([{ ...mark, reason: "first", revokedBy: "tester" }]);
    expect(await host.audit.query({ type: "plugin.revoked" })).toHaveLength(2);
  });
});
