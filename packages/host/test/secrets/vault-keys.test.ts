import { access, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { SallyportError } from "../../src/kernel/index.ts";
import {
  keyInEnvironment,
  keyInFile,
  keyInKeyring,
  type KeyPlace,
  type Keyring,
  openVault,
  type Vault,
} from "../../src/secrets/index.ts";

let home = "";
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "sallyport-vault-keys-"));
});
afterEach(() => rm(home, { recursive: true, force: true }));

const file = (): string => join(home, "vault");
const inFile = (): KeyPlace => keyInFile(join(home, "keys", "vault.key"));
const open = (key: KeyPlace = inFile()): Promise<Vault> =>
  openVault({ file: file(), key, clock: { now: () => 42, monotonic: () => 0 } });
const ORIGIN = ["https://api.example.com"];
const failure = async (promise: Promise<unknown>): Promise<SallyportError> =>
  promise.then(
    () => {
      throw new Error("it did not fail");
    },
    (error: unknown) => {
      if (error instanceof SallyportError) return error;
      throw error;
    },
  );

/** A keyring in memory that can be taken away. */
function fakeKeyring() {
  const entries = new Map<string, string>();
  const keyring: Keyring = {
    get: (account) => Promise.resolve(entries.get(account) ?? null),
    set: (account, password) => Promise.resolve(void entries.set(account, password)),
    remove: (account) => Promise.resolve(void entries.delete(account)),
  };
  return { entries, place: () => keyInKeyring(() => Promise.resolve(keyring), "home") };
}

describe("a new key for the vault", () => {
  it("seals everything anew, and the old key opens nothing any more", async () => {
    const vault = await open();
    await vault.set("KEY", "the value", ORIGIN);
    const oldKey = await readFile(join(home, "keys", "vault.key"), "utf8");
    const before = vault.state;
    const after = await vault.rotateKey();
    expect(after).toMatchObject({ source: "file", revision: 2 });
    expect(after.key).not.toBe(before?.key);
    expect((await open()).use("KEY")?.value).toBe("the value");
    expect(await readdir(join(home, "keys"))).toEqual(["vault.key"]);
    const error = await failure(open(keyInEnvironment(oldKey, undefined)));
    expect(error).toMatchObject({ code: "vault_unavailable" });
    expect(error.detail).toContain(after.key);
    await vault.set("KEY", "another", ORIGIN);
    expect((await open()).use("KEY")?.value).toBe("another");
  });

  /** Stops at one step, as a crash would. */
  const dying = (at: "prepare" | "promote"): KeyPlace => ({
    ...inFile(),
    async [at](...key: [Buffer]) {
      if (at === "prepare") await inFile().prepare(...key);
      throw new Error("killed");
    },
  });

  it.each(["prepare", "promote"] as const)("holds every value after a crash at the step %s", async (at) => {
    await (await open()).set("KEY", "the value", ORIGIN);
    await expect((await open(dying(at))).rotateKey()).rejects.toThrow("killed");
    expect(await readdir(join(home, "keys"))).toEqual(["vault.key", "vault.key.next"]);
    const again = await open();
    expect(again.use("KEY")?.value).toBe("the value");
    expect(await readdir(join(home, "keys"))).toEqual(["vault.key"]);
    expect((await open()).state).toEqual(again.state);
  });

  it("holds every value after a change that did not end was followed by one that crashed", async () => {
    const will = { promote: true, prepare: true };
    const place: KeyPlace = {
      ...inFile(),
      promote: () => (will.promote ? inFile().promote() : Promise.reject(new Error("no room"))),
      async prepare(key) {
        await inFile().prepare(key);
        if (!will.prepare) throw new Error("killed");
      },
    };
    const vault = await open(place);
    await vault.set("KEY", "the value", ORIGIN);
    will.promote = false;
    await expect(vault.rotateKey()).rejects.toThrow("no room");
    Object.assign(will, { promote: true, prepare: false });
    await expect(vault.rotateKey()).rejects.toThrow("killed");
    expect((await open()).use("KEY")?.value).toBe("the value");
  });

  it("leaves nothing of a change that did not come in between a copy of vault and key", async () => {
    const vault = await open();
    await vault.set("KEY", "the value", ORIGIN);
    let rotated: Promise<unknown> = Promise.resolve();
    const copied = await vault.whileStill(async () => {
      const sealed = await readFile(file());
      rotated = vault.rotateKey();
      return { sealed, key: await readFile(join(home, "keys", "vault.key"), "utf8") };
    });
    await rotated;
    await writeFile(file(), copied.sealed);
    expect((await open(keyInEnvironment(copied.key, undefined))).use("KEY")?.value).toBe("the value");
  });
});

describe("a key in the environment", () => {
  const [one, two] = ["ab".repeat(32), "cd".repeat(32)];

  it("changes when the owner starts once with both, and never by itself", async () => {
    const vault = await open(keyInEnvironment(one, undefined));
    await vault.set("KEY", "the value", ORIGIN);
    expect(await failure(vault.rotateKey())).toMatchObject({ code: "usage" });
    expect(await failure(open(keyInEnvironment(two, undefined)))).toMatchObject({ code: "vault_unavailable" });
    expect((await open(keyInEnvironment(two, one))).use("KEY")?.value).toBe("the value");
    expect((await open(keyInEnvironment(two, undefined))).use("KEY")?.value).toBe("the value");
    expect(await failure(open(keyInEnvironment(one, undefined)))).toMatchObject({ code: "vault_unavailable" });
  });

  it("is not looked for in a file when it is missing", async () => {
    await (await open()).set("KEY", "the value", ORIGIN);
    const error = await failure(open(keyInEnvironment(undefined, undefined)));
    expect(error).toMatchObject({ code: "vault_unavailable", message: "The vault's key is missing." });
  });
});

describe("a key in the system's keyring", () => {
  it("is made there, changes there, and no file of it exists", async () => {
    const { entries, place } = fakeKeyring();
    const vault = await open(place());
    await vault.set("KEY", "the value", ORIGIN);
    const before = entries.get("home");
    await vault.rotateKey();
    expect([...entries.keys()]).toEqual(["home"]);
    expect(entries.get("home")).not.toBe(before);
    expect((await open(place())).use("KEY")?.value).toBe("the value");
    await expect(access(join(home, "keys"))).rejects.toThrow("ENOENT");
  });

  it("is not replaced by another place when the keyring is gone", async () => {
    await (await open()).set("KEY", "the value", ORIGIN);
    const gone = keyInKeyring(() => Promise.reject(new Error("no D-Bus")), "home");
    expect(await failure(open(gone))).toMatchObject({
      code: "vault_unavailable",
      message: "The system's keyring cannot be used.",
    });
    expect(await failure(open(fakeKeyring().place()))).toMatchObject({
      code: "vault_unavailable",
      message: "The vault's key is missing.",
    });
  });
});

describe("sensitive values of configurations", () => {
  it("belong to one space, beside the operator's secrets and in no list", async () => {
    const vault = await open();
    await vault.set("apiKey", "operator's own", ORIGIN);
    await vault.setConfig("dat_1", new Map([["apiKey", { value: "value one", origins: ORIGIN }]]));
    await vault.setConfig("dat_2", new Map([["apiKey", { value: "value two", origins: [] }]]));
    const again = await open();
    expect(again.list().map(({ name }) => name)).toEqual(["apiKey"]);
    expect(again.use("config:apiKey", "dat_1")).toMatchObject({ value: "value one", origins: ORIGIN });
    expect(again.use("config:apiKey", "dat_2")).toMatchObject({ value: "value two", origins: [] });
    expect(again.use("config:apiKey")).toBeUndefined();
    expect(again.use("config:apiKey", "dat_3")).toBeUndefined();
    expect(again.use("dat_1\nconfig:apiKey")).toBeUndefined();
    expect(await failure(again.remove("dat_1\nconfig:apiKey"))).toMatchObject({ code: "not_found" });
    await again.removeConfigs(["dat_1"]);
    expect([...again.configOf("dat_1")]).toEqual([]);
    expect([...again.configOf("dat_2").keys()]).toEqual(["apiKey"]);
    expect(again.known().map(({ value }) => value)).toContain("value one");
  });

  it("changes all of several or none", async () => {
    const vault = await open();
    await vault.setConfig("dat_1", new Map([["a", { value: "value a", origins: [] }]]));
    const changes = new Map([
      ["a", null],
      ["b", { value: "b", origins: [] }],
    ]);
    expect(await failure(vault.setConfig("dat_1", changes))).toMatchObject({ code: "usage" });
    expect([...vault.configOf("dat_1").keys()]).toEqual(["a"]);
  });
});

describe("versions", () => {
  it("count how often a value was set, and the vault counts its changes", async () => {
    const vault = await open();
    await vault.set("KEY", "first value", ORIGIN);
    await vault.set("KEY", "second value", ORIGIN);
    expect((await open()).list()).toMatchObject([{ name: "KEY", version: 2 }]);
    expect((await open()).state?.revision).toBe(2);
  });
});
