import { z } from "zod";
import { canonicalJson, type Clock, parseBoundedJson, SallyportError } from "../kernel/index.ts";
import type { KnownSecret } from "./redactor.ts";
import { loadOrCreateKey, parseVaultKey, readPrivate, seal, unseal, writePrivate } from "./vault-file.ts";
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
  readonly updatedAt: number;
}

/** What the broker needs of the vault. */
export interface SecretSource {
  use(name: string): SecretEntry | undefined;
}

export interface Vault extends SecretSource {
  /** Names, origins and times, in order of name; never values. */
  list(): readonly SecretListing[];
  /** @throws {SallyportError} `usage` for a name, value or origin that is refused; `vault_unavailable`. */
  set(name: string, value: string, origins: readonly string[]): Promise<void>;
  /** @throws {SallyportError} `not_found`; `vault_unavailable`. */
  remove(name: string): Promise<void>;
  /** Every value this process has known, replaced and removed ones too: for `createRedactor`. Same array until a change. */
  known(): readonly KnownSecret[];
}

export interface VaultOptions {
  /** `<home>/vault`. */
  readonly file: string;
  /** `<home>/keys/vault.key`; not read when `key` is given. */
  readonly keyFile: string;
  /** Text of `SALLYPORT_VAULT_KEY`: 32 bytes as hex or base64. */
  readonly key?: string;
  readonly clock: Clock;
}

type Edit = (next: Map<string, SecretEntry>) => void;

const Content = z.strictObject({
  v: z.literal(1),
  secrets: z.array(
    z.strictObject({ name: z.string(), value: z.string(), origins: z.array(z.string()), updatedAt: z.number() }),
  ),
});

/** @throws {SallyportError} `vault_unavailable` for a wrong key, unsafe modes, or bytes that were changed. */
export async function openVault(options: VaultOptions): Promise<Vault> {
  const sealed = await readPrivate(options.file);
  const key =
    options.key === undefined
      ? await loadOrCreateKey(options.keyFile, sealed !== undefined)
      : parseVaultKey(options.key);
  let entries = sealed === undefined ? new Map<string, SecretEntry>() : parseContent(unseal(key, sealed));
  let known: readonly KnownSecret[] = [...entries].map(([name, { value }]) => ({ name, value }));
  let queue: Promise<void> = Promise.resolve();

  const changeNow = async (edit: Edit): Promise<void> => {
    const next = new Map(entries);
    edit(next);
    const secrets = [...next].map(([name, entry]) => ({ name, ...entry }));
    await writePrivate(options.file, seal(key, Buffer.from(canonicalJson({ v: 1, secrets }))));
    entries = next;
  };
  // One change at a time, each on top of the one before.
  const change = (edit: Edit): Promise<void> => {
    const done = queue.then(() => changeNow(edit));
    queue = done.catch(() => undefined);
    return done;
  };

  return {
    use: (name) => entries.get(name),
    list: () =>
      [...entries]
        .map(([name, { origins, updatedAt }]) => ({ name, origins, updatedAt }))
        .toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    known: () => known,
    async set(name, value, origins) {
      checkSecretName(name);
      checkSecretValue(value);
      if (origins.length === 0) {
        throw new SallyportError("usage", `The secret ${name} is bound to no origin.`, {
          detail: "A value is only ever sent to the origins it is bound to.",
          fix: "Name at least one, as in: --for https://api.example.com",
        });
      }
      const bound = [...new Set(origins.map(bindableOrigin))];
      // Known before it is stored: whatever fails from here on must not print it.
      if (!known.some((secret) => secret.name === name && secret.value === value)) known = [...known, { name, value }];
      await change((next) => next.set(name, { value, origins: bound, updatedAt: options.clock.now() }));
    },
    remove: (name) =>
      change((next) => {
        if (!next.delete(name)) throw new SallyportError("not_found", `There is no secret ${name}.`);
      }),
  };
}

function parseContent(plain: Buffer): Map<string, SecretEntry> {
  const content = Content.safeParse(parseBoundedJson(plain.toString("utf8"), { maxDepth: 8 }));
  if (!content.success) {
    throw new SallyportError("vault_unavailable", "The vault's content is not of a form this program knows.", {
      fix: "Use the program version that wrote it, or restore the vault from a backup.",
    });
  }
  return new Map(content.data.secrets.map(({ name, ...entry }) => [name, entry]));
}
