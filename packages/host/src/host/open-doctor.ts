import type { Databases } from "../broker/index.ts";
import type { Catalog } from "../catalog/index.ts";
import type { DoctorReport, OperatorsApi, PolicyApi } from "../host-api.ts";
import { checkCommand, type Interpreters } from "../isolation/index.ts";
import type { ConfigState } from "./config-state.ts";
import { examine, type DoctorSources } from "./doctor.ts";
import type { HomeParts } from "./parts.ts";
import { noteRollback } from "./secrets.ts";

export interface DoctorParts extends Pick<
  DoctorSources["plugins"],
  "verifyStored" | "passGates" | "runsAt" | "isSigned"
> {
  readonly state: ConfigState;
  readonly catalog: Pick<Catalog, "all">;
  readonly interpreters: Interpreters;
  readonly databases: Databases;
  readonly operators: Pick<OperatorsApi, "passphraseSet">;
  readonly policy: Pick<PolicyApi, "check">;
  readonly sealsOn: boolean;
}

/** Looks at an open home, as it is when it is asked. */
export function openDoctor(parts: HomeParts, given: DoctorParts): () => Promise<DoctorReport> {
  const { probe, audit, vault } = parts;
  const { state, catalog, verifyStored, passGates, runsAt, isSigned } = given;
  return async () => {
    // A vault that was mended is opened by asking whether it is.
    const older = await parts.retryVault(state.config.secrets.key);
    if (audit.healthy) await noteRollback(parts, older);
    return examine({
      probe: probe.report,
      interpreters: given.interpreters,
      config: state.config,
      configProblem: state.problem,
      audit,
      plugins: {
        installed: catalog.all(),
        config: state.config,
        auditHealthy: audit.healthy,
        verifyStored,
        passGates,
        runsAt,
        isSigned,
        grantOf: (record) => state.decisions.grantOf(record),
        checkCommand,
      },
      passphraseSet: given.operators.passphraseSet,
      sealsOn: given.sealsOn,
      vault,
      vaultRollback: parts.vaultRollback(),
      databases: given.databases,
      policy: await given.policy.check(),
    });
  };
}
