import type { Grant } from "../capability/index.ts";
import { isLive } from "../catalog/index.ts";
import type { HostConfig } from "../config/index.ts";
import type { DoctorReport } from "../host-api.ts";
import type { CommandFile } from "../isolation/index.ts";
import {
  type IsolationLevel,
  levelInWords,
  type PluginRef,
  type PluginState,
  satisfiesFloor,
  toSallyportError,
} from "../kernel/index.ts";
import type { StoredPlugin } from "../store/index.ts";

export interface PluginCheckSources {
  readonly installed: readonly StoredPlugin[];
  readonly config: HostConfig;
  readonly auditHealthy: boolean;
  /** Reads a stored tree again. @throws {SallyportError} `digest_mismatch`. */
  verifyStored(digest: string): Promise<void>;
  /** Every gate of a load, without loading. @throws {SallyportError} the gate that refuses. */
  passGates(record: StoredPlugin): Promise<unknown>;
  /** The level that a running plugin has. */
  runsAt(plugin: PluginRef): IsolationLevel | undefined;
  isSigned(record: StoredPlugin): boolean;
  grantOf(record: StoredPlugin): Grant | undefined;
  /** @throws {SallyportError} `digest_mismatch` when a granted command is another file now. */
  checkCommand(file: CommandFile): Promise<void>;
}

type Check = DoctorReport["checks"][number];

/** More than this many names make no sentence. */
const NAMED = 5;
/** States in which a plugin has an approval that must still hold. */
const APPROVED: readonly PluginState[] = ["approved", "stopped", "failed"];

/** What is installed: whole, registered, still permitted, contained. Runs nothing of it. */
export async function pluginChecks(sources: PluginCheckSources): Promise<readonly Check[]> {
  const { installed } = sources;
  const approved = installed.filter(({ state }) => isLive(state) || APPROVED.includes(state));
  const [broken, refused] = await Promise.all([
    failuresOf(installed, ({ ref }) => sources.verifyStored(ref.digest)),
    failuresOf(approved, (record) => sources.passGates(record)),
  ]);
  return [
    said(
      "content store",
      broken,
      `${installed.length} installed versions have the bytes that were hashed`,
      "Uninstall and install what is named here.",
    ),
    registration(installed),
    said(
      "permissions",
      refused,
      `${approved.length} approved plugins pass every gate of a load`,
      "Run: sallyport plugin info ID",
    ),
    sandbox(sources),
    ...(await commands(approved, sources)),
    signatures(sources),
    policy(sources.config),
    {
      name: "monitoring",
      ok: sources.auditHealthy,
      detail: sources.auditHealthy
        ? "every call and lifecycle step is audited; processes are watched; follow with: sallyport audit tail"
        : "the audit cannot be written, so no call runs and nothing is recorded",
      ...(sources.auditHealthy ? {} : { fix: "Look at the disk of the home, then start again." }),
    },
  ];
}

async function failuresOf(
  records: readonly StoredPlugin[],
  look: (record: StoredPlugin) => Promise<unknown>,
): Promise<readonly string[]> {
  const failures: string[] = [];
  // One after another: a look at a tree reads all of it.
  for (const record of records) {
    try {
      await look(record);
    } catch (error) {
      failures.push(`${record.ref.id} ${record.ref.version}: ${toSallyportError(error).code}`);
    }
  }
  return failures;
}

function said(name: string, problems: readonly string[], good: string, fix: string): Check {
  if (problems.length === 0) return { name, ok: true, detail: good };
  const more = problems.length > NAMED ? `; and ${problems.length - NAMED} more` : "";
  return { name, ok: false, detail: `${problems.slice(0, NAMED).join("; ")}${more}`, fix };
}

function registration(installed: readonly StoredPlugin[]): Check {
  const active = new Map<string, number>();
  for (const { ref, active: isActive } of installed) if (isActive) active.set(ref.id, (active.get(ref.id) ?? 0) + 1);
  const problems = [
    ...[...active].filter(([, count]) => count > 1).map(([id, count]) => `${id} has ${count} active versions`),
    ...installed
      .filter(({ state, active: isActive }) => isLive(state) && !isActive)
      .map(({ ref }) => `${ref.id} ${ref.version} is loaded and not active`),
    ...installed
      .filter(({ state }) => state === "failed")
      .map(({ ref, lastError }) => `${ref.id} failed: ${lastError ?? "no reason is known"}`),
  ];
  return said(
    "plugin registration",
    problems,
    `${installed.length} versions of ${new Set(installed.map(({ ref }) => ref.id)).size} plugins are registered`,
    "Run: sallyport plugin info ID",
  );
}

function sandbox({ installed, runsAt }: PluginCheckSources): Check {
  const levels = installed.flatMap((record) => {
    const level = runsAt(record.ref);
    return level === undefined ? [] : [{ id: record.ref.id, level }];
  });
  const open = levels
    .filter(({ level }) => !satisfiesFloor(level, "kernel"))
    .map(({ id, level }) => `${id} runs at ${levelInWords(level)}`);
  return said(
    "sandbox",
    open,
    levels.length === 0 ? "no plugin runs now" : `${levels.length} running plugins are contained by the kernel`,
    "Unload what is named here, and set isolation.minimum: kernel in config.yml.",
  );
}

/** Nothing is said where nothing may run a command. */
async function commands(
  approved: readonly StoredPlugin[],
  { grantOf, checkCommand }: PluginCheckSources,
): Promise<readonly Check[]> {
  const granted = approved.flatMap((record) =>
    (grantOf(record)?.scopes ?? []).flatMap((scope) =>
      scope.capability === "exec" && scope.file !== undefined ? [{ record, file: scope.file }] : [],
    ),
  );
  if (granted.length === 0) return [];
  const changed = new Set<string>();
  for (const { record, file } of granted) {
    await checkCommand(file).catch(() => changed.add(`${record.ref.id} ${record.ref.version}: ${file.path}`));
  }
  return [
    said(
      "commands",
      [...changed],
      `${granted.length} granted commands are the files that were approved`,
      "Look at what changed them. If it was an update of yours, approve the plugin again: sallyport plugin approve ID",
    ),
  ];
}

function signatures({ installed, config, isSigned }: PluginCheckSources): Check {
  const required = (["medium", "high", "critical"] as const).filter(
    (risk) => config.trust.signatures[risk] !== "required",
  );
  const active = installed.filter((record) => record.active);
  const detail = `${active.filter(isSigned).length} of ${active.length} active plugins are signed by a key that is trusted here`;
  if (required.length === 0) return { name: "signatures", ok: true, detail: `required from medium risk on; ${detail}` };
  return {
    name: "signatures",
    ok: false,
    detail: `not required for ${required.join(", ")} risk; ${detail}`,
    fix: "Remove trust.signatures from config.yml, or set what is named here to required.",
  };
}

function policy({ policy: { defaults } }: HostConfig): Check {
  const open = (["external", "destructive"] as const).filter((effect) => defaults[effect] === "allow");
  return said(
    "policy",
    open.map((effect) => `tools with the effect ${effect} run without being asked`),
    "tools that reach out or destroy do not run unasked",
    "Set policy.defaults in config.yml to require_approval or deny.",
  );
}
