import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { keyInEnvironment, keyInFile, openVault, type Vault } from "../../src/secrets/index.ts";
import { SallyportError } from "../../src/kernel/index.ts";

let home = "";
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "sallyport-vault-"));
});
afterEach(() => rm(home, { recursive: true, force: true }));

const file = (): string => join(home, "vault");
const keyFile = (): string => join(home, "keys", "vault.key");
const open = (key?: string): Promise<Vault> =>
  openVault({
    file: file(),
    key: key === undefined ? keyInFile(keyFile()) : keyInEnvironment(key, undefined),
    clock: { now: () => 42, monotonic: () => 0 },
  });
const codeOf = async (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "no error",
    (error: unknown) => (error instanceof SallyportError ? error.code : String(error)),
  );
const ORIGIN = ["https://api.example.com"];

describe("the vault", () => {
  it("keeps a value over a restart, sealed, readable by its owner only", async () => {
    await (await open()).set("KEY", "the value itself", ["https://API.example.com:443/", "https://api.example.com"]);
    const again = await open();
    expect(again.use("KEY")).toMatchObject({ value: "the value itself", origins: ORIGIN, updatedAt: 42 });
    expect((await readFile(file())).includes("the value")).toBe(false);
    for (const path of [file(), keyFile()]) expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await readdir(home)).toSorted()).toEqual(["keys", "vault"]);
  });

  it("lists names, origins and times, never values", async () => {
    const vault = await open();
    await vault.set("B", "value-b", ORIGIN);
    await vault.set("A", "value-a", ["http://localhost:8123"]);
    expect(vault.list()).toEqual([
      { name: "A", origins: ["http://localhost:8123"], version: 1, updatedAt: 42 },
      { name: "B", origins: ORIGIN, version: 1, updatedAt: 42 },
    ]);
    expect(JSON.stringify(vault.list())).not.toContain("value");
  });

  it("replaces and removes, and still knows the old values so that they stay hidden", async () => {
    const vault = await open();
    await vault.set("KEY", "first", ORIGIN);
    await vault.set("KEY", "second", ORIGIN);
    await vault.remove("KEY");
    expect(vault.use("KEY")).toBeUndefined();
    expect((await open()).use("KEY")).toBeUndefined();
    expect(vault.known().map(({ value }) => value)).toEqual(["first", "second"]);
    expect(await codeOf(vault.remove("KEY"))).toBe("not_found");
  });

  it("keeps every one of many changes made at the same time", async () => {
    const vault = await open();
    await Promise.all(Array.from({ length: 20 }, (_, index) => vault.set(`KEY_${index}`, `value ${index}`, ORIGIN)));
    expect((await open()).list()).toHaveLength(20);
  });

  it("takes its key from the operator when one is given", async () => {
    const key = "ab".repeat(32);
    await (await open(key)).set("KEY", "value", ORIGIN);
    expect(await readdir(home)).toEqual(["vault"]);
    expect((await open(Buffer.from(key, "hex").toString("base64"))).use("KEY")?.value).toBe("value");
    expect(await codeOf(open("cd".repeat(32)))).toBe("vault_unavailable");
    expect(await codeOf(open("short"))).toBe("vault_unavailable");
    expect(await codeOf(open())).toBe("vault_unavailable");
  });

  it("does not open when one bit was changed, cut, or the key is gone", async () => {
    await (await open()).set("KEY", "value", ORIGIN);
    const bytes = await readFile(file());
    // The name of the form, the key's id, the revision, the nonce, the tag and the content.
    const header = bytes.indexOf("\n", bytes.indexOf("\n") + 1) + 1;
    for (const at of [0, 30, header - 3, header, header + 12, header + 28, bytes.length - 1]) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 1;
      await writeFile(file(), changed);
      expect(await codeOf(open())).toBe("vault_unavailable");
    }
    for (const length of [0, 5, 20, header - 1, header, header + 28]) {
      await writeFile(file(), bytes.subarray(0, length));
      expect(await codeOf(open())).toBe("vault_unavailable");
    }
    await writeFile(file(), bytes);
    await rm(keyFile());
    expect(await codeOf(open())).toBe("vault_unavailable");
    expect(await readdir(join(home, "keys"))).toEqual([]);
  });

  it("refuses a file that others can read, and one that is a link", async () => {
    await (await open()).set("KEY", "value", ORIGIN);
    for (const path of [file(), keyFile()]) {
      await chmod(path, 0o640);
      expect(await codeOf(open())).toBe("vault_unavailable");
      await chmod(path, 0o600);
    }
    await mkdir(join(home, "other"));
    await symlink(file(), join(home, "other", "vault"));
    expect(
      await codeOf(
        openVault({
          file: join(home, "other", "vault"),
          key: keyInFile(keyFile()),
          clock: { now: () => 0, monotonic: () => 0 },
        }),
      ),
    ).toBe("vault_unavailable");
  });

  it.each([
    ["no origin", "KEY", "value", []],
    ["plain http to the internet", "KEY", "value", ["http://api.example.com"]],
    ["plain http to a public address", "KEY", "value", ["http://8.8.8.8"]],
    ["a pattern", "KEY", "value", ["https://*.example.com"]],
    ["a path", "KEY", "value", ["https://api.example.com/v1"]],
    ["a user name", "KEY", "value", ["https://me@api.example.com"]],
    ["no URL", "KEY", "value", ["api.example.com"]],
    ["another scheme", "KEY", "value", ["ftp://api.example.com"]],
    ["a short value", "KEY", "abc", ORIGIN],
    ["a huge value", "KEY", "x".repeat(20_000), ORIGIN],
    ["half a character", "KEY", "value\ud800", ORIGIN],
    ["an odd name", "../KEY", "value", ORIGIN],
    ["no name", "", "value", ORIGIN],
  ])("refuses to set a secret with %s", async (_what, name, value, origins) => {
    const vault = await open();
    expect(await codeOf(vault.set(name, value, origins))).toBe("usage");
    expect(vault.list()).toEqual([]);
  });

  it("binds plain http on this machine and the local network", async () => {
    const vault = await open();
    const origins = [
      "http://localhost:8123",
      "http://127.0.0.1:8123",
      "http://homeassistant.local:8123",
      "http://192.168.1.4",
      "http://[fd00::1]:80",
    ];
    await vault.set("KEY", "value", origins);
    expect(vault.use("KEY")?.origins).toEqual([...origins.slice(0, 4), "http://[fd00::1]"]);
  });
});
