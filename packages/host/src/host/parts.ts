import type { KeyObject } from "node:crypto";
import { join } from "node:path";
import { openAuditLog, type OwnedAuditLog } from "../audit/index.ts";
import type { BrokerDeps } from "../broker/index.ts";
import { type Catalog, openCatalog } from "../catalog/index.ts";
import { type HostConfig, parseConfig } from "../config/index.ts";
import { readConfigFile } from "../home/index.ts";
import { type EnginePaths, placeEngine, type Probe, probeIsolation, storeRoot } from "../isolation/index.ts";
import { type Clock, createForwardClock, type IsolationLevel } from "../kernel/index.ts";
import { type ContentStore, createContentStore } from "../registry/index.ts";
import type { Keyring, Vault } from "../secrets/index.ts";
import type { SupervisorLimits } from "../supervisor/index.ts";
import {
  assertNoRestore,
  createSettings,
  type Database,
  loadOrCreateSigningKey,
  openDatabase,
} from "../store/index.ts";
import { type HomeVault, openHomeVault, type VaultEnvironment } from "./open-vault.ts";

export interface HostOverrides {
  /** Name resolution, connections, trusted certificate authorities and limits of the broker. */
  readonly network?: Pick<BrokerDeps, "resolve" | "certificateAuthorities" | "networkLimits" | "ownAddresses" | "dial">;
  /** Levels that this host may use, of those that the probe finds; others count as unavailable. For attacks and measurements. */
  readonly levels?: readonly IsolationLevel[];
  /** Waits of the supervisor. For attacks, which would otherwise wait for most of their time. */
  readonly supervisor?: Partial<SupervisorLimits>;
  /** False: code is compiled at every start. For measurements. */
  readonly codeCache?: false;
  /** Stands in for the system's keyring. */
  readonly keyring?: () => Promise<Keyring>;
  /** Opens the runtime's own permissions in every plugin, so that only the outer layer holds. For attacks. */
  readonly openRuntimePermissions?: boolean;
}

/** Everything of a home that is opened: what has a file, a lock or a process behind it. */
export interface HomeParts {
  readonly home: string;
  readonly clock: Clock;
  readonly config: HostConfig;
  readonly db: Database;
  readonly audit: OwnedAuditLog;
  readonly catalog: Catalog;
  readonly vault: Vault;
  readonly vaultRollback: HomeVault["rollback"];
  readonly retryVault: HomeVault["retryVault"];
  readonly store: ContentStore;
  readonly storePath: string;
  /** Signs the audit's checkpoints, and backups. */
  readonly signingKey: KeyObject;
  readonly engine: EnginePaths;
  readonly probe: Probe;
  /** Then plugins run as nobody, and what they read lies outside root's home. */
  readonly hostIsRoot: boolean;
  readonly overrides: HostOverrides;
  close(): Promise<void>;
}

export interface OpenOptions {
  readonly home: string;
  readonly clock: Clock;
  readonly vaultKey: VaultEnvironment;
  readonly overrides: HostOverrides;
}

/** Opens a home in order: the configuration, the lock with the store, the audit, then the rest. Closes what it opened when it fails. */
export async function openHomeParts({ home, vaultKey, overrides, ...given }: OpenOptions): Promise<HomeParts> {
  const clock = createForwardClock(given.clock);
  const config = parseConfig(await readConfigFile(home));
  const hostIsRoot = process.getuid?.() === 0;
  const db = await openDatabase({ path: join(home, "state.db"), clock });
  let audit: OwnedAuditLog | undefined;
  const close = async (): Promise<void> => {
    try {
      await audit?.close();
    } finally {
      await db.close();
    }
  };
  try {
    // After taking the lock: a restore holds it until it counts.
    await assertNoRestore(home);
    const signingKey = await loadOrCreateSigningKey(join(home, "keys", "audit.pem"));
    audit = await openAuditLog({ database: db, clock, signingKey });
    const storePath = storeRoot(home, { hostIsRoot });
    const engine = await placeEngine({ hostIsRoot });
    const [found, store, { vault, rollback, retryVault }, catalog] = await Promise.all([
      probeIsolation({ engine, hostIsRoot }),
      createContentStore(storePath, { readableByAll: hostIsRoot }),
      openHomeVault({
        home,
        clock,
        source: config.secrets.key,
        env: vaultKey,
        keyring: overrides.keyring,
        settings: createSettings(db),
      }),
      openCatalog(db, audit, clock),
    ]);
    const probe = overrides.levels === undefined ? found : only(found, overrides.levels);
    return {
      home,
      clock,
      config,
      db,
      audit,
      catalog,
      vault,
      vaultRollback: rollback,
      retryVault,
      store,
      storePath,
      signingKey,
      engine,
      probe,
      hostIsRoot,
      overrides,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A probe that counts only some of the levels that it found. */
function only(probe: Probe, levels: readonly IsolationLevel[]): Probe {
  return {
    ...probe,
    report: { ...probe.report, available: probe.report.available.filter((level) => levels.includes(level)) },
  };
}
