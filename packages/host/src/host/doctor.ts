import type { Databases } from "../broker/index.ts";
import type { DoctorReport, PolicyCheck } from "../host-api.ts";
import type { HostConfig } from "../config/index.ts";
import type { AuditLog } from "../audit/index.ts";
import { HOST_RIGHTS, ISOLATION_LEVELS, satisfiesFloor } from "../kernel/index.ts";
import { type Interpreters, lookAtInterpreters, type ProbeReport } from "../isolation/index.ts";
import type { Vault } from "../secrets/index.ts";
import { databaseChecks } from "./databases.ts";
import { pluginChecks, type PluginCheckSources } from "./doctor-plugins.ts";
import type { VaultRollback } from "./open-vault.ts";

export interface DoctorSources {
  readonly probe: ProbeReport;
  readonly interpreters: Interpreters;
  readonly config: HostConfig;
  readonly configProblem: string | null;
  readonly audit: AuditLog;
  readonly plugins: PluginCheckSources;
  readonly passphraseSet: boolean;
  readonly sealsOn: boolean;
  readonly vault: Vault;
  readonly vaultRollback: VaultRollback | undefined;
  readonly databases: Databases;
  /** What is wrong with the rules in force. */
  readonly policy: PolicyCheck;
}

type Check = DoctorReport["checks"][number];

/** What a person must know before trusting this home: levels, switches, passphrase, plugins, audit. Changes nothing. */
export async function examine(sources: DoctorSources): Promise<DoctorReport> {
  const { probe } = sources;
  return {
    level: probe.available[0] ?? null,
    available: probe.available,
    checks: [
      ...levelChecks(probe),
      groupCheck(sources),
      ...(await programChecks(sources)),
      ...switchChecks(sources),
      policyCheck(sources.policy),
      vaultCheck(sources),
      ...(await databaseChecks(sources.config.databases, sources.databases)),
      ...(await pluginChecks(sources.plugins)),
      await auditCheck(sources.audit),
    ],
  };
}

function levelChecks(probe: ProbeReport): readonly Check[] {
  const kernel = probe.available.some((level) => satisfiesFloor(level, "kernel"));
  return ISOLATION_LEVELS.map((level) => {
    const report = probe.levels[level];
    const name = `isolation ${level}`;
    return report.available
      ? { name, ok: true, detail: report.detail }
      : {
          name,
          // One kernel level is enough.
          ok: level === "in-process" || (kernel && satisfiesFloor(level, "kernel")),
          detail: `not available: ${report.reason}`,
          fix: report.fix,
        };
  });
}

/** Optional, unless the operator wants bounded what nothing else bounds. */
function groupCheck({ probe: { groups }, config }: DoctorSources): Check {
  const name = "control groups";
  if (groups.available) return { name, ok: true, detail: groups.detail };
  const instead = "memory and threads are looked at every two seconds instead";
  const wanted = config.limits.processors !== undefined;
  return { name, ok: !wanted, detail: `not available: ${groups.reason} Here ${instead}.`, fix: groups.fix };
}

function policyCheck({ ok, rules, findings }: PolicyCheck): Check {
  const [first] = findings.filter(({ severity }) => ok || severity === "error");
  const more = findings.length > 1 ? ` (and ${findings.length - 1} more)` : "";
  const said = first === undefined ? "none of them without effect" : `${first.rule}: ${first.problem}${more}`;
  const detail = `${rules} rule(s); ${said}`;
  return { name: "policy rules", ok, detail, ...(ok ? {} : { fix: "See all of them: sallyport policy check" }) };
}

/** Optional, unless the operator named a file that cannot be used. */
async function programChecks({ interpreters, config, probe }: DoctorSources): Promise<readonly Check[]> {
  const reports = await lookAtInterpreters(interpreters, probe.available);
  return reports.map((report) => {
    const name = `interpreter ${report.kind}`;
    if (report.available) return { name, ok: true, detail: report.detail };
    const named = report.kind !== "none" && config.interpreters[report.kind] !== undefined;
    return { name, ok: !named, detail: `not available: ${report.reason}`, fix: report.fix };
  });
}

function switchChecks(sources: DoctorSources): readonly Check[] {
  const { config } = sources;
  return [
    check(
      "plugins enabled",
      config.plugins.enabled,
      "plugins.enabled is true",
      "plugins.enabled is false: nothing loads",
      "Set plugins.enabled: true in config.yml.",
    ),
    check(
      "configuration",
      sources.configProblem === null,
      "config.yml is valid",
      sources.configProblem ?? "",
      "Mend config.yml; the last valid one stays in force until then.",
    ),
    check(
      "isolation floor",
      config.isolation.minimum === "kernel",
      "third-party plugins need a kernel level",
      "isolation.minimum is runtime: plugins may run with no kernel boundary",
      "Set isolation.minimum: kernel in config.yml.",
    ),
    check(
      "in-process plugins",
      !config.isolation.allowInProcess,
      "no plugin may run in the host's process",
      `isolation.allow_in_process is true: a signed plugin that you approve so ${HOST_RIGHTS}`,
      "Take isolation.allow_in_process out of config.yml.",
    ),
    check(
      "operator passphrase",
      sources.passphraseSet,
      "verbs that widen authority ask for it",
      "approvals are advisory against agents that have a shell",
      "Run: sallyport init --passphrase-file FILE",
    ),
    check(
      "secret key",
      sources.sealsOn,
      "PLUGIN_SECRET_KEY seals plugins, grants and trusted keys",
      "PLUGIN_SECRET_KEY is not set, so seals are off: who can edit state.db can edit what was approved",
      "Set PLUGIN_SECRET_KEY to at least 32 random bytes and run: sallyport key reseal",
    ),
  ];
}

function vaultCheck({ vault, vaultRollback: rollback }: DoctorSources): Check {
  const { state, problem } = vault;
  if (state === undefined) {
    const why = [problem?.message, problem?.detail].filter((text) => text !== undefined).join(" ");
    return {
      name: "vault",
      ok: false,
      detail: `it cannot be opened, so that everything that needs a secret is refused: ${why}`,
      fix: problem?.fix ?? "Restore vault and key from one backup, then run: sallyport doctor",
    };
  }
  if (rollback !== undefined) {
    return {
      name: "vault",
      ok: false,
      detail: `an older copy was put back: it was changed ${rollback.found} times, and this home saw ${rollback.seen}`,
      fix: "Set again what was changed since, and see who can write the home: sallyport secret list",
    };
  }
  const kept = vault.list().length;
  return {
    name: "vault",
    ok: true,
    detail: `${kept} secret${kept === 1 ? "" : "s"}, sealed with the key ${state.key} from ${state.source}`,
  };
}

function check(name: string, ok: boolean, good: string, bad: string, fix: string): Check {
  return ok ? { name, ok, detail: good } : { name, ok, detail: bad, fix };
}

async function auditCheck(audit: AuditLog): Promise<Check> {
  const verification = audit.healthy ? await audit.verify() : null;
  const detail = verification
    ? `${verification.events} events, ${verification.problems.length} problems`
    : "the audit cannot be written";
  return check("audit chain", verification?.ok === true, detail, detail, "Run: sallyport audit verify");
}
