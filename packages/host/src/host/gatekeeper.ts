import { assertMayBeInProcess, type Catalog, type LoadPermit, passGates } from "../catalog/index.ts";
import type { Grant } from "../capability/index.ts";
import { type Probe, requireLevel } from "../isolation/index.ts";
import type { IsolationLevel } from "../kernel/index.ts";
import { type Database, findRevocation, type StoredPlugin } from "../store/index.ts";
import { VERSION } from "../version.ts";
import type { ConfigState } from "./config-state.ts";
import type { PluginConfigs } from "./configs.ts";
import type { DataSpaces } from "./data-spaces.ts";
import type { HomeLock } from "./lock.ts";
import type { Seals } from "./seals.ts";
import { installedVersions } from "./state.ts";
import type { TrustState } from "./trust.ts";
import type { StoreVerifier } from "./verify-store.ts";

export interface GatekeeperDeps {
  readonly db: Database;
  readonly catalog: Catalog;
  readonly probe: Probe;
  readonly state: ConfigState;
  readonly seals: Seals;
  readonly trust: TrustState;
  readonly lock: HomeLock;
  readonly spaces: DataSpaces;
  readonly configs: PluginConfigs;
  readonly verifier: StoreVerifier;
}

export interface Gatekeeper {
  /** Gates 1 to 12 of a load, asked with what is true now. @throws {PolicyViolationError} of the first that refuses. */
  permit(record: StoredPlugin): Promise<LoadPermit>;
  /** @throws {PolicyViolationError} `isolation_unavailable` when plugin or operator require more than there is. */
  levelFor(record: StoredPlugin, grant: Grant | undefined): IsolationLevel;
}

export function createGatekeeper(deps: GatekeeperDeps): Gatekeeper {
  const { db, catalog, probe, state, seals, trust, lock, spaces, configs, verifier } = deps;

  async function permit(record: StoredPlugin): Promise<LoadPermit> {
    const allowed = await passGates(await questionFor(record));
    await spaces.ensure(record);
    return allowed;
  }

  async function questionFor(record: StoredPlugin) {
    const grant = state.decisions.grantOf(record);
    const marks = {
      id: record.ref.id,
      treeDigest: record.ref.digest,
      codeDigest: record.codeDigest,
      publisherKey: record.publisherKey,
    };
    return {
      record,
      config: state.config,
      allowList: state.decisions.allowList,
      revocation: (await findRevocation(db, marks))?.kind,
      grant,
      ceiling: state.decisions.ceilingOf(record.ref.id),
      // A grant that was over is over, also under a clock that was put back.
      now: state.time.read().now,
      hostVersion: VERSION,
      installed: installedVersions(catalog),
      // What runs with the host's rights is read again, whatever the file system says of it.
      verifyStored: ({ ref }: StoredPlugin) =>
        grant?.inProcess === true ? verifier.reread(ref.digest) : verifier.check(ref.digest),
      checkSeals: seals.check,
      checkLock: lock.check,
      trustOf: trust.decideFor,
      effectiveConfig: configs.effective,
      levelFor,
    };
  }

  function levelFor(record: StoredPlugin, grant: Grant | undefined): IsolationLevel {
    if (grant?.inProcess === true) {
      assertMayBeInProcess(record, state.config);
      return "in-process";
    }
    return requireLevel({
      // A program has no layer but the kernel's, whatever anybody accepts.
      floor: record.manifest.interpreter === undefined ? record.manifest.isolation.minimum : "kernel",
      operatorFloor: state.config.isolation.minimum,
      driver: state.config.isolation.driver,
      available: probe.report.available,
    });
  }

  return { permit, levelFor };
}
