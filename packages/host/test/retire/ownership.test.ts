import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Host } from "../../src/host-api.ts";
import { generateSigningKey, writeRotation } from "../../src/trust/index.ts";
import { AGENT, makeHome, OPERATOR, type TestHome } from "../support/home.ts";
import { needsNamespace } from "../support/namespace.ts";
import { archive, folder } from "./archive.ts";

needsNamespace();

const ACME = generateSigningKey();
const OTHER = generateSigningKey();
const NOTHING = { kv: null, file: null };
const NOTED = { kv: "mine", file: "mine" };
/** Unsigned archives are refused by default above low risk; here their data is what matters. */
const LAX = `plugins: { enabled: true }
trust: { signatures: { medium: preferred, high: preferred, critical: preferred } }
policy: { defaults: { read: allow, write: allow, external: allow, destructive: deny } }
`;

let home: TestHome;
let host: Host;
beforeEach(async () => {
  home = await makeHome(LAX);
  host = await home.open();
});
afterEach(() => home?.remove());

async function run(source: string, approve: Parameters<Host["plugins"]["approve"]>[2] = {}): Promise<void> {
  const { plugin } = await host.plugins.install(OPERATOR, { source });
  await host.plugins.approve(OPERATOR, "notes", { version: plugin.version, allowTools: ["keep", "show"], ...approve });
  await host.plugins.load(OPERATOR, "notes", { version: plugin.version });
}

async function answer(tool: string, input: object): Promise<unknown> {
  const said = await host.invoke(AGENT, { tool: `notes__${tool}`, input });
  if (!said.success) throw new Error(`${said.code}: ${said.error} ${said.detail ?? ""}`);
  return said.result;
}

const keep = (text = "mine") => answer("keep", { text });
const show = () => answer("show", {});
const color = async () => (await host.plugins.config("notes"))["color"];

async function trustBoth(): Promise<void> {
  await host.keys.trust(OPERATOR, { name: "acme", key: ACME.id, scopes: ["*"] });
  await host.keys.trust(OPERATOR, { name: "other", key: OTHER.id, scopes: ["*"] });
}

describe("what a plugin keeps", () => {
  it("stays over an upgrade and over an uninstall for the same publisher, wherever it came from", async () => {
    await trustBoth();
    await run(await archive(home, { folder: "one" }, [ACME]));
    await keep();
    await host.plugins.setConfig(OPERATOR, "notes", { color: "red" });
    await run(await archive(home, { folder: "two", version: "2.0.0" }, [ACME]));
    expect([await show(), await color()]).toEqual([NOTED, "red"]);
    await host.plugins.uninstall(OPERATOR, "notes");
    await run(await archive(home, { folder: "three", version: "3.0.0" }, [ACME]));
    expect([await show(), await color()]).toEqual([NOTED, "red"]);
  });

  it("is never seen by another publisher's plugin of the same id, nor by an unsigned one", async () => {
    await trustBoth();
    await run(await archive(home, { folder: "one" }, [ACME]));
    await keep();
    await host.plugins.setConfig(OPERATOR, "notes", { color: "red" });
    for (const [name, keys] of [
      ["other", [OTHER]],
      ["unsigned", []],
    ] as const) {
      await host.plugins.uninstall(OPERATOR, "notes");
      await run(await archive(home, { folder: name, version: "9.0.0" }, keys));
      expect([await show(), await color()]).toEqual([NOTHING, undefined]);
      await keep(name);
    }
    // Side by side, too: each sees its own.
    await run(await archive(home, { folder: "back", version: "1.1.0" }, [ACME]));
    expect([await show(), await color()]).toEqual([NOTED, "red"]);
    await host.plugins.load(OPERATOR, "notes", { version: "9.0.0" });
    expect([await show(), await color()]).toEqual([{ kv: "unsigned", file: "unsigned" }, undefined]);
  });

  it("of an unsigned plugin goes to the next one from the same folder, and from no other place", async () => {
    await run(await folder(home, { folder: "here" }));
    await keep();
    await run(await folder(home, { folder: "here", version: "2.0.0" }));
    expect(await show()).toEqual(NOTED);
    await host.plugins.uninstall(OPERATOR, "notes");
    await run(await folder(home, { folder: "elsewhere", version: "3.0.0" }));
    expect(await show()).toEqual(NOTHING);
    await run(await archive(home, { folder: "packed", version: "4.0.0" }));
    expect(await show()).toEqual(NOTHING);
    await run(
      await archive(home, {
        folder: "packed",
        version: "5.0.0",
        code: `${(await import("./archive.ts")).KEEPER}// other\n`,
      }),
    );
    expect(await show()).toEqual(NOTHING);
  });

  it("is handed on when the operator says so at approval, and only then", async () => {
    await run(await folder(home, { folder: "one" }));
    await keep();
    await host.plugins.setConfig(OPERATOR, "notes", { color: "red" });
    await host.plugins.uninstall(OPERATOR, "notes");
    const source = await folder(home, { folder: "two", version: "2.0.0" });
    const { warnings } = await host.plugins.install(OPERATOR, { source });
    expect(warnings).toEqual(expect.arrayContaining([expect.stringContaining("--keep-data")]));
    await run(source, { keepData: true });
    expect([await show(), await color()]).toEqual([NOTED, "red"]);
    const [event] = await host.audit.query({ type: "grant.written", plugin: "notes", order: "desc", limit: 1 });
    expect(event?.data).toMatchObject({ data_of: expect.stringMatching(/^unsigned:directory:.*one$/) });
    await host.plugins.uninstall(OPERATOR, "notes");

    // Whose, when there are several; and nobody loses what is their own.
    await run(await folder(home, { folder: "three", version: "3.0.0" }));
    await keep("third");
    await host.plugins.approve(OPERATOR, "notes", { keepData: true }).then(
      () => expect.unreachable(),
      (error: unknown) => expect(error).toMatchObject({ code: "conflict" }),
    );
    expect((await host.plugins.info("notes")).state).toBe("running");
    await host.plugins.uninstall(OPERATOR, "notes");
    const fourth = await folder(home, { folder: "four", version: "4.0.0" });
    await host.plugins.install(OPERATOR, { source: fourth });
    const ambiguous = host.plugins.approve(OPERATOR, "notes", { keepData: true });
    await expect(ambiguous).rejects.toMatchObject({ code: "conflict" });
    const owners = await ambiguous.catch((error: { data: { owners: string[] } }) => error.data.owners);
    const third = Array.isArray(owners) ? owners.find((owner) => owner.endsWith("three")) : undefined;
    await expect(host.plugins.approve(OPERATOR, "notes", { keepData: "nobody" })).rejects.toMatchObject({
      code: "usage",
    });
    await run(fourth, { keepData: third ?? "" });
    expect(await show()).toEqual({ kv: "third", file: "third" });
  });

  it("goes along when the signer of the very same bytes becomes trusted, and to a publisher's next key", async () => {
    await run(await archive(home, { folder: "one" }, [ACME]));
    await keep();
    await host.keys.trust(OPERATOR, { name: "acme", key: ACME.id, scopes: ["*"] });
    await host.plugins.unload(OPERATOR, "notes");
    await host.plugins.load(OPERATOR, "notes");
    expect(await show()).toEqual(NOTED);
    const next = generateSigningKey();
    await host.keys.rotate(OPERATOR, writeRotation(ACME, next));
    await run(await archive(home, { folder: "two", version: "2.0.0" }, [next]));
    expect(await show()).toEqual(NOTED);
  });

  it("is gone after a purge, for good, and of that publisher only; without one it stays", async () => {
    await trustBoth();
    await run(await archive(home, { folder: "one" }, [ACME]));
    await keep();
    await run(await archive(home, { folder: "two", version: "2.0.0" }, [OTHER]));
    await keep("other");
    await host.plugins.setConfig(OPERATOR, "notes", { color: "red" });
    await host.plugins.uninstall(OPERATOR, "notes", { version: "2.0.0", purge: true });
    await run(await archive(home, { folder: "two", version: "2.0.0" }, [OTHER]));
    expect([await show(), await color()]).toEqual([NOTHING, undefined]);
    await host.plugins.load(OPERATOR, "notes", { version: "1.0.0" });
    expect(await show()).toEqual(NOTED);
    await host.plugins.uninstall(OPERATOR, "notes");
    // What is left of plugins that are gone can be purged, too.
    await host.plugins.uninstall(OPERATOR, "notes", { purge: true });
    await expect(host.plugins.uninstall(OPERATOR, "notes", { purge: true })).rejects.toMatchObject({
      code: "not_found",
    });
    await run(await archive(home, { folder: "one" }, [ACME]));
    expect(await show()).toEqual(NOTHING);
    expect(await host.audit.query({ type: "data.purged" })).not.toEqual([]);
  });
});
