import { rename, unlink } from "node:fs/promises";
import { SallyportError } from "../kernel/index.ts";
import { keyId, newKey, parseVaultKey, readPrivate, unavailable, writePrivate } from "./vault-file.ts";

/** Where the vault's key is kept. The host asks this place and no other. */
export const KEY_SOURCES = ["file", "env", "keyring"] as const;
export type KeySource = (typeof KEY_SOURCES)[number];

/**
 * The place of the vault's key. A new key waits beside the old one until the vault is sealed with it, so that at every moment the
 * key that the vault needs is there.
 */
export interface KeyPlace {
  readonly source: KeySource;
  current(): Promise<Buffer | undefined>;
  /** The one that waits, or with `env` the one before. */
  other(): Promise<Buffer | undefined>;
  /** Whether `other` is the older of the two: then a vault that it opens is sealed anew with the current one. */
  readonly otherIsOld: boolean;
  /** @throws {SallyportError} `usage` where only the operator can change the key. */
  prepare(key: Buffer): Promise<void>;
  /** The key that waits becomes the current one. */
  promote(): Promise<void>;
  /** Forgets the key that waits. */
  discard(): Promise<void>;
}

/** `<file>`, mode 0600, with a new key in `<file>.next`. */
export function keyInFile(file: string): KeyPlace {
  const waiting = `${file}.next`;
  return {
    source: "file",
    otherIsOld: false,
    current: () => readKey(file),
    other: () => readKey(waiting),
    prepare: (key) => writePrivate(waiting, Buffer.from(`${key.toString("hex")}\n`)),
    promote: () => rename(waiting, file).catch(unwritable),
    discard: () =>
      unlink(waiting).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "ENOENT") unwritable(error);
      }),
  };
}

function unwritable(cause: unknown): never {
  throw unavailable("The vault's key cannot be written.", "The file system refused.", cause);
}

/** Text of `SALLYPORT_VAULT_KEY` and `SALLYPORT_VAULT_KEY_PREVIOUS`. */
export function keyInEnvironment(key: string | undefined, previous: string | undefined): KeyPlace {
  return {
    source: "env",
    otherIsOld: true,
    current: async () => givenKey(key),
    other: async () => givenKey(previous),
    prepare() {
      throw new SallyportError("usage", "The vault's key is in the environment, which only you can change.", {
        detail: "Start the owner once with both keys: then the vault is sealed with the new one.",
        fix: "Set SALLYPORT_VAULT_KEY to the new key and SALLYPORT_VAULT_KEY_PREVIOUS to the old one, and restart.",
      });
    },
    promote: () => Promise.resolve(),
    discard: () => Promise.resolve(),
  };
}

/** What is needed of the system's keyring. Each may reject when there is none, or it is locked. */
export interface Keyring {
  get(account: string): Promise<string | null>;
  set(account: string, password: string): Promise<void>;
  remove(account: string): Promise<void>;
}

/** @param account names the home; the new key waits under `<account>.next`. */
export function keyInKeyring(open: () => Promise<Keyring>, account: string): KeyPlace {
  const waiting = `${account}.next`;
  const within = async <T>(use: (keyring: Keyring) => Promise<T>): Promise<T> => {
    try {
      return await use(await open());
    } catch (cause) {
      throw unavailable(
        "The system's keyring cannot be used.",
        "config.yml says that the vault's key is there, and no other place is asked. Machines without a desktop session often have none.",
        cause,
      );
    }
  };
  const read = async (name: string): Promise<Buffer | undefined> => {
    const text = await within((keyring) => keyring.get(name));
    return text === null ? undefined : parseVaultKey(text);
  };
  return {
    source: "keyring",
    otherIsOld: false,
    current: () => read(account),
    other: () => read(waiting),
    prepare: (key) => within((keyring) => keyring.set(waiting, key.toString("hex"))),
    promote: () =>
      within(async (keyring) => {
        const key = await keyring.get(waiting);
        if (key === null) throw new Error("the new key is gone");
        await keyring.set(account, key);
        await keyring.remove(waiting);
      }),
    discard: () => within((keyring) => keyring.remove(waiting)),
  };
}

/**
 * The key that opens the vault, or a new one when there is no vault. What a crash left of a change of keys is brought to its end.
 * @param wanted id of the key that the vault was sealed with; `undefined` when there is no vault.
 */
export async function keyFor(
  place: KeyPlace,
  wanted: string | undefined,
): Promise<{ readonly key: Buffer; readonly sealAnew?: Buffer }> {
  const current = await place.current();
  if (wanted === undefined) {
    if (current !== undefined) return { key: current };
    if (place.source === "env") throw missing(place, undefined);
    const key = newKey();
    await place.prepare(key);
    await place.promote();
    return { key };
  }
  if (current !== undefined && keyId(current) === wanted) {
    if (!place.otherIsOld) await place.discard();
    return { key: current };
  }
  const other = await place.other();
  if (other === undefined || keyId(other) !== wanted) throw missing(place, current, wanted);
  if (place.otherIsOld) return { key: other, ...(current === undefined ? {} : { sealAnew: current }) };
  await place.promote();
  return { key: other };
}

const PLACES: Readonly<Record<KeySource, string>> = {
  file: "keys/vault.key",
  env: "SALLYPORT_VAULT_KEY",
  keyring: "the system's keyring",
};

function missing({ source }: KeyPlace, found: Buffer | undefined, wanted?: string): SallyportError {
  const what =
    found === undefined ? `There is no key in ${PLACES[source]}.` : `${PLACES[source]} holds the key ${keyId(found)}.`;
  return unavailable(
    found === undefined ? "The vault's key is missing." : "The vault does not open with this key.",
    wanted === undefined ? what : `It was sealed with the key ${wanted}. ${what} No other place is asked.`,
  );
}

async function readKey(path: string): Promise<Buffer | undefined> {
  const bytes = await readPrivate(path);
  return bytes === undefined ? undefined : parseVaultKey(bytes.toString("utf8"));
}

function givenKey(text: string | undefined): Buffer | undefined {
  return text === undefined || text === "" ? undefined : parseVaultKey(text);
}
