import { createHash } from "node:crypto";
import { join } from "node:path";
import { createTurns } from "../catalog/index.ts";
import { type Clock, SallyportError } from "../kernel/index.ts";
import {
  closedVault,
  keyInEnvironment,
  keyInFile,
  keyInKeyring,
  type KeyPlace,
  type Keyring,
  type KeySource,
  openSystemKeyring,
  openVault,
  type Vault,
  type VaultState,
} from "../secrets/index.ts";
import type { SettingsStore } from "../store/index.ts";

export interface VaultEnvironment {
  /** `SALLYPORT_VAULT_KEY`. */
  readonly key: string | undefined;
  /** `SALLYPORT_VAULT_KEY_PREVIOUS`. */
  readonly previous: string | undefined;
}

export interface HomeVaultOptions {
  readonly home: string;
  readonly clock: Clock;
  /** `secrets.key` of config.yml. Absent: the environment when it holds a key, else the file. */
  readonly source: KeySource | undefined;
  readonly env: VaultEnvironment;
  readonly keyring?: (() => Promise<Keyring>) | undefined;
  readonly settings: SettingsStore;
}

/** That an older copy of the vault was put back, by how often it had been changed. */
export interface VaultRollback {
  readonly found: number;
  readonly seen: number;
}

export interface HomeVault {
  readonly vault: Vault;
  /** What was seen since the host started. */
  rollback(): VaultRollback | undefined;
  /** Tries again to open a vault that could not be opened, and tells when it is an older copy; does nothing with one that is open. */
  retryVault(source: KeySource | undefined): Promise<VaultRollback | undefined>;
}

/** How often the vault was changed when this home last saw it. */
const REVISION = "vault.revision";

/** The vault of a home. When it cannot be opened, the host works without: whatever needs a secret is refused with the reason. */
export async function openHomeVault(options: HomeVaultOptions): Promise<HomeVault> {
  const { settings } = options;
  let rollback: VaultRollback | undefined;
  const look = async ({ state }: Vault): Promise<VaultRollback | undefined> => {
    const seen = Number((await settings.get(REVISION)) ?? "0");
    if (state === undefined || state.revision === seen) return undefined;
    await note(settings, state);
    return state.revision < seen ? { found: state.revision, seen } : undefined;
  };
  let vault = await opened(options);
  rollback = await look(vault);
  // Two at once would both make a key where there is none, and one of them would be lost.
  const inTurn = createTurns();
  return {
    vault: inPlaceOf(() => vault),
    rollback: () => rollback,
    retryVault: (source) =>
      inTurn("vault", async () => {
        if (vault.problem === undefined) return undefined;
        vault = await opened({ ...options, source });
        const found = await look(vault);
        rollback = found ?? rollback;
        return found;
      }),
  };
}

async function opened(options: HomeVaultOptions): Promise<Vault> {
  const { home, clock, settings } = options;
  try {
    return await openVault({
      file: join(home, "vault"),
      key: placeOf(options),
      clock,
      // Should it not be noted, an older copy put back later is seen a little less well.
      onWritten: (state) => void note(settings, state).catch(() => undefined),
    });
  } catch (error) {
    if (error instanceof SallyportError && error.code === "vault_unavailable") return closedVault(error);
    throw error;
  }
}

function note(settings: SettingsStore, { revision }: VaultState): Promise<void> {
  return settings.set(REVISION, String(revision));
}

/** One that stands for whichever is there now. */
function inPlaceOf(now: () => Vault): Vault {
  return {
    get state() {
      return now().state;
    },
    get problem() {
      return now().problem;
    },
    use: (name, space) => now().use(name, space),
    list: () => now().list(),
    set: (name, value, origins) => now().set(name, value, origins),
    remove: (name) => now().remove(name),
    configOf: (space) => now().configOf(space),
    setConfig: (space, values) => now().setConfig(space, values),
    removeConfigs: (spaces) => now().removeConfigs(spaces),
    rotateKey: () => now().rotateKey(),
    whileStill: (run) => now().whileStill(run),
    known: () => now().known(),
  };
}

function placeOf({ home, source, env, keyring }: HomeVaultOptions): KeyPlace {
  switch (source ?? (env.key === undefined ? "file" : "env")) {
    case "file":
      return keyInFile(join(home, "keys", "vault.key"));
    case "env":
      return keyInEnvironment(env.key, env.previous);
    case "keyring":
      // Homes of one user have keys of their own.
      return keyInKeyring(
        keyring ?? openSystemKeyring,
        `vault ${createHash("sha256").update(home).digest("hex").slice(0, 16)}`,
      );
  }
}
