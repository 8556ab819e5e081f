import { type Clock, SallyportError } from "../kernel/index.ts";
import type { KnownSecret } from "./redactor.ts";
import { keyOf, readContent, type StoredSecret, writeContent } from "./vault-content.ts";
import { keyId, newKey, readHeader, readPrivate, seal, unseal, writePrivate } from "./vault-file.ts";
import { keyFor, type KeyPlace, type KeySource } from "./vault-key.ts";
import { bindableOrigin, checkSecretName, checkSecretValue } from "./vault-rules.ts";

export interface SecretEntry {
  readonly value: string;
  /** `https://host[:port]`, and `http://…` for this machine or the local network. */
  readonly origins: readonly string[];
  readonly updatedAt: number;
}

export interface SecretListing {
  readonly name: string;
  readonly origins: readonly string[];
  /** How often a value was set under this name, counted from 1. */
  readonly version: number;
  readonly updatedAt: number;
}

/** What the broker needs of the vault. */
export interface SecretSource {
  /**
   * An operator's secret by its name, or with `config:KEY` the sensitive value of the configuration that `space` owns.
   * @throws {SallyportError} `vault_unavailable` when the vault could not be opened.
   */
  use(name: string, space?: string): SecretEntry | undefined;
}

export interface VaultState {
  readonly source: KeySource;
  /** Id of the key in force. */
  readonly key: string;
  /** Grows by one with each change; a smaller one than seen before means that an older copy was put back. */
  readonly revision: number;
}

export interface Vault extends SecretSource {
  /** `undefined` when it could not be opened: then `problem` says why, and whatever needs it throws that. */
  readonly state: VaultState | undefined;
  readonly problem: SallyportError | undefined;
  /** Names, origins, versions and times, in order of name; never values. What belongs to configurations is not in it. */
  list(): readonly SecretListing[];
  /** @throws {SallyportError} `usage` for a name, value or origin that is refused; `vault_unavailable`. */
  set(name: string, value: string, origins: readonly string[]): Promise<void>;
  /** @throws {SallyportError} `not_found`; `vault_unavailable`. */
  remove(name: string): Promise<void>;
  /** Sensitive values of one configuration, by key. */
  configOf(space: string): ReadonlyMap<string, SecretEntry>;
  /** Sets values of one configuration, or removes them with `null`, all at once. @throws {SallyportError} `usage` for a value. */
  setConfig(space: string, values: ReadonlyMap<string, ConfigValue | null>): Promise<void>;
  /** Forgets all values of these configurations. */
  removeConfigs(spaces: readonly string[]): Promise<void>;
  /** Seals everything with a new key. @throws {SallyportError} `usage` when the key is in the environment. */
  rotateKey(): Promise<VaultState>;
  /** Runs while neither vault nor key changes: for copying both. */
  whileStill<T>(run: () => Promise<T>): Promise<T>;
  /** Every value this process has known, replaced and removed ones too: for `createRedactor`. Same array until a change. */
  known(): readonly KnownSecret[];
}

export interface ConfigValue {
  readonly value: string;
  /** Where it may be sent: that of its `x-use`, or none. */
  readonly origins: readonly string[];
}

export interface VaultOptions {
  /** `<home>/vault`. */
  readonly file: string;
  readonly key: KeyPlace;
  readonly clock: Clock;
  /** Told after each change that is on disk. */
  readonly onWritten?: (state: VaultState) => void;
}

type Edit = (next: Map<string, StoredSecret>) => void;

const CONFIG = "config:";

/** @throws {SallyportError} `vault_unavailable` for a missing or wrong key, unsafe modes, or bytes that were changed. */
export async function openVault(options: VaultOptions): Promise<Vault> {
  const { file, clock, key: place } = options;
  const sealed = await readPrivate(file);
  const opening = await keyFor(place, sealed === undefined ? undefined : readHeader(sealed).key);
  let { key } = opening;
  let entries = sealed === undefined ? new Map<string, StoredSecret>() : readContent(unseal(key, sealed));
  let revision = sealed === undefined ? 0 : readHeader(sealed).revision;
  let known: readonly KnownSecret[] = [...entries.values()].map(({ name, value }) => ({ name, value }));
  let queue: Promise<unknown> = Promise.resolve();

  /** One after the other, each on top of the one before. */
  const inTurn = <T>(run: () => Promise<T>): Promise<T> => {
    const done = queue.then(run);
    queue = done.catch(() => undefined);
    return done;
  };
  const state = (): VaultState => ({ source: place.source, key: keyId(key), revision });
  const write = async (next: ReadonlyMap<string, StoredSecret>, newest: Buffer): Promise<void> => {
    await writePrivate(file, seal(newest, revision + 1, writeContent(next.values())));
    revision++;
    key = newest;
    entries = new Map(next);
    options.onWritten?.(state());
  };
  const change = (edit: Edit): Promise<void> =>
    inTurn(async () => {
      const next = new Map(entries);
      edit(next);
      await write(next, key);
    });

  /** Known before it is stored: whatever fails from here on must not print it. */
  const learn = (name: string, value: string): void => {
    if (!known.some((secret) => secret.name === name && secret.value === value)) known = [...known, { name, value }];
  };
  const put = (next: Map<string, StoredSecret>, secret: Omit<StoredSecret, "version" | "updatedAt">): void => {
    const version = (next.get(keyOf(secret))?.version ?? 0) + 1;
    next.set(keyOf(secret), { ...secret, version, updatedAt: clock.now() });
  };

  if (opening.sealAnew !== undefined) await write(entries, opening.sealAnew);

  return {
    get state() {
      return state();
    },
    problem: undefined,
    use(name, space) {
      const found = entries.get(name.startsWith(CONFIG) ? keyOf({ space: space ?? "", name }) : name);
      // A name with a line feed in it would be the place of some configuration's value.
      return name.startsWith(CONFIG) || found?.space === null ? found : undefined;
    },
    list: () =>
      [...entries.values()]
        .filter(({ space }) => space === null)
        .map(({ name, origins, version, updatedAt }) => ({ name, origins, version, updatedAt }))
        .toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    known: () => known,
    async set(name, value, origins) {
      checkSecretName(name);
      checkSecretValue(value);
      if (origins.length === 0) throw unbound(name);
      const bound = [...new Set(origins.map(bindableOrigin))];
      learn(name, value);
      await change((next) => put(next, { name, space: null, value, origins: bound }));
    },
    remove: (name) =>
      change((next) => {
        if (next.get(name)?.space !== null || !next.delete(name))
          throw new SallyportError("not_found", `There is no secret ${name}.`);
      }),
    configOf: (space) =>
      new Map(
        [...entries.values()]
          .filter((secret) => secret.space === space)
          .map((secret) => [secret.name.slice(CONFIG.length), secret]),
      ),
    async setConfig(space, values) {
      const changes = [...values].map(([property, value]) => {
        if (value !== null) checkSecretValue(value.value);
        const origins = value === null ? [] : value.origins.map(bindableOrigin);
        return { name: `${CONFIG}${property}`, value: value?.value, origins };
      });
      for (const { name, value } of changes) if (value !== undefined) learn(name, value);
      await change((next) => {
        for (const { name, value, origins } of changes) {
          if (value === undefined) next.delete(keyOf({ space, name }));
          else put(next, { name, space, value, origins });
        }
      });
    },
    async removeConfigs(spaces) {
      const isGone = ({ space }: StoredSecret): boolean => space !== null && spaces.includes(space);
      if (![...entries.values()].some(isGone)) return;
      await change((next) => {
        for (const [id, secret] of next) if (isGone(secret)) next.delete(id);
      });
    },
    rotateKey: () =>
      inTurn(async () => {
        const next = newKey();
        // What a change left waiting that could not be brought to its end may be the only copy of the key in force.
        const waiting = await place.other();
        if (waiting !== undefined && keyId(waiting) === keyId(key)) await place.promote();
        await place.prepare(next);
        await write(entries, next);
        // From here on only the new key opens the vault; should this fail, the next start does it.
        await place.promote();
        return state();
      }),
    whileStill: inTurn,
  };
}

/** A vault that could not be opened: it knows nothing, and says why to whoever asks. */
export function closedVault(problem: SallyportError): Vault {
  const refuse = (): never => {
    throw problem;
  };
  const refused = (): Promise<never> => Promise.reject(problem);
  return {
    state: undefined,
    problem,
    use: refuse,
    list: refuse,
    set: refused,
    remove: refused,
    configOf: refuse,
    setConfig: refused,
    removeConfigs: refused,
    rotateKey: refused,
    whileStill: (run) => run(),
    known: () => [],
  };
}

function unbound(name: string): SallyportError {
  return new SallyportError("usage", `The secret ${name} is bound to no origin.`, {
    detail: "A value is only ever sent to the origins it is bound to.",
    fix: "Name at least one, as in: --for https://api.example.com",
  });
}
