import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openSource } from "../../src/registry/index.ts";
import { importSigningKey, isEncryptedKey, readPluginSignature, readRotation } from "../../src/trust/index.ts";
import { type CommandWorld, openCommandWorld } from "../support/command.ts";
import { manifestOf, toolLine } from "../support/home.ts";

let world: CommandWorld;
let folder: string;
beforeEach(async () => {
  world = await openCommandWorld();
  folder = await mkdtemp(join(tmpdir(), "sallyport-signing-"));
});
afterEach(async () => {
  await world.close();
  await rm(folder, { recursive: true });
});

const keyOf = (name: string): string => join(world.home, "keys", "authors", `${name}.pem`);

async function packed(): Promise<string> {
  const files = {
    "plugin.yml": manifestOf("weather", [toolLine("look")]),
    ".sallyport/bundle.mjs": "export default {};\n",
  };
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  return folder;
}

describe("key", () => {
  it("generate writes a key that only its owner can read, and never over another [S3-97]", async () => {
    const made = await world.json(["key", "generate", "acme"]);
    expect(made).toMatchObject({ code: 0, answer: { success: true, name: "acme", file: keyOf("acme") } });
    expect((await stat(keyOf("acme"))).mode & 0o777).toBe(0o600);
    const pem = await readFile(keyOf("acme"), "utf8");
    expect(made.answer).toMatchObject({ key: importSigningKey(pem).id });
    expect(await world.json(["key", "generate", "acme"])).toMatchObject({ code: 1, answer: { code: "conflict" } });
    expect(await readFile(keyOf("acme"), "utf8")).toBe(pem);
    expect(await world.json(["key", "generate", "../x"])).toMatchObject({ code: 2 });
    expect((await world.sallyport(["key", "list"])).out).toContain(importSigningKey(pem).id);
  });

  it("generate encrypts with a passphrase, without which nothing is signed", async () => {
    const env = { SALLYPORT_KEY_PASSPHRASE: "correct horse" };
    const file = join(folder, "own.pem");
    expect((await world.sallyport(["key", "generate", "acme", "--encrypt", "--out", file], { env })).code).toBe(0);
    expect(isEncryptedKey(await readFile(file, "utf8"))).toBe(true);
    const plugin = await packed();
    await rm(file.replace(".pem", ".pub"));
    const elsewhere = join(dirname(folder), `${Date.now()}-key.pem`);
    await writeFile(elsewhere, await readFile(file), { mode: 0o600 });
    await rm(file);
    try {
      const sign = ["plugin", "sign", plugin, "--key", elsewhere];
      expect(await world.json(sign)).toMatchObject({ code: 2, answer: { code: "usage" } });
      expect((await world.json(sign, { env })).code).toBe(0);
    } finally {
      await rm(elsewhere);
    }
    expect(await world.json(["key", "generate", "other", "--encrypt"])).toMatchObject({ code: 2 });
  });

  it("trust, untrust, revoke and reseal say to the owner what was meant", async () => {
    await world.sallyport([
      "key",
      "trust",
      "acme",
      "ed25519:x",
      "--scope",
      "acme/*,weather",
      "--expires",
      "2030-02-01",
    ]);
    await world.sallyport(["key", "untrust", "acme"]);
    await world.sallyport(["key", "revoke", "acme", "--reason", "stolen"]);
    await world.sallyport(["key", "reseal"]);
    const calls = world.host.calls.filter(({ verb }) => verb.startsWith("keys."));
    expect(calls.map(({ verb, args }) => [verb, ...args.slice(1)])).toEqual([
      [
        "keys.trust",
        { name: "acme", key: "ed25519:x", scopes: ["acme/*", "weather"], expiresAt: Date.UTC(2030, 1, 1) },
      ],
      ["keys.untrust", "acme"],
      ["keys.revoke", "acme", "stolen"],
      ["keys.reseal"],
    ]);
    expect(await world.json(["key", "trust", "acme"])).toMatchObject({ code: 2 });
  });

  it("rotate writes what both keys signed, and trust hands it on", async () => {
    await world.sallyport(["key", "generate", "acme"]);
    await world.sallyport(["key", "generate", "next"]);
    const file = join(folder, "rotation.json");
    expect((await world.sallyport(["key", "rotate", "acme", "next", "--out", file])).code).toBe(0);
    const statement = await readFile(file, "utf8");
    expect(readRotation(statement).to).toBe(importSigningKey(await readFile(keyOf("next"), "utf8")).id);
    await world.sallyport(["key", "trust", "acme", "--rotation", file]);
    expect(world.host.calls.find(({ verb }) => verb === "keys.rotate")?.args.at(-1)).toBe(statement);
  });
});

describe("plugin sign and verify", () => {
  it("sign a packed folder with a key of the home, and refuse a key that others can read", async () => {
    await world.sallyport(["key", "generate", "acme"]);
    const plugin = await packed();
    const { code, answer } = await world.json(["plugin", "sign", plugin, "--key", "acme"]);
    expect(code).toBe(0);
    const { signature = "" } = await openSource(plugin);
    expect(answer).toMatchObject({ id: "weather", digest: readPluginSignature(signature).facts.treeDigest });
    await writeFile(join(folder, "open.pem"), await readFile(keyOf("acme")), { mode: 0o644 });
    expect(await world.json(["plugin", "sign", plugin, "--key", join(folder, "open.pem")])).toMatchObject({
      code: 5,
      answer: { code: "home_unsafe" },
    });
    expect(await world.json(["plugin", "sign", plugin, "--key", "nobody"])).toMatchObject({ code: 2 });
    expect(await world.json(["plugin", "sign", plugin, "--seal"])).toMatchObject({ code: 2 });
  });

  it("verify exits 5 unless somebody who is trusted signed, and says what is missing", async () => {
    const plugin = await packed();
    const { code, answer } = await world.json(["plugin", "verify", plugin]);
    expect([code, answer]).toMatchObject([5, { success: false, trust: { missing: ["signature", "provenance"] } }]);
    expect(world.host.calls.find(({ verb }) => verb === "verify")?.args.at(-1)).toEqual({ source: plugin });
    await world.sallyport(["plugin", "verify", "weather", "--version", "1.2.0"]);
    expect(world.host.calls.findLast(({ verb }) => verb === "verify")?.args.at(-1)).toEqual({
      id: "weather",
      version: "1.2.0",
    });
    const shown = await world.sallyport(["plugin", "verify", plugin]);
    expect(shown.out).toContain("It is not signed.");
    expect(shown.out).toContain("Missing: signature or provenance");
  });
});
