import type { DatabaseConnection } from "../broker/index.ts";
import { canonicalHostPattern, splitPort } from "../capability/index.ts";
import { SallyportError, toSallyportError } from "../kernel/index.ts";
import { type PolicyDefaults, type PolicyLayer, toLayer } from "../policy/index.ts";
import type { KeySource } from "../secrets/index.ts";
import { parseKeyScope, type TrustPolicy } from "../trust/index.ts";
import { type AgentsConfig, toAgentsConfig } from "./agents.ts";
import { toDatabases } from "./databases.ts";
import { type ConfigFile, configSchema } from "./schema.ts";
import { type LinedDocument, parseLined } from "./yaml-lines.ts";

export interface AllowListEntry {
  readonly id: string;
  readonly version?: string | undefined;
  readonly digest?: string | undefined;
  /** The trusted key that must have signed it. */
  readonly publisher?: string | undefined;
}

/** `host`, `*.host`, or either with a port; canonical. */
export interface HostEntry {
  readonly host: string;
  readonly port?: number | undefined;
}

/** The operator's settings, every default filled in. The empty file is the strictest: plugins off, everything denied. */
export interface HostConfig {
  readonly mode: "production" | "development";
  readonly plugins: { readonly enabled: boolean; readonly allowList: readonly AllowListEntry[] };
  readonly isolation: {
    readonly minimum: "kernel" | "runtime";
    /** The one level that any plugin runs at; "auto" is the strongest that is there. */
    readonly driver: "auto" | "namespace" | "landlock";
    /** Whether a plugin may run in this process at all; each needs an approval that says so, and a trusted signature. */
    readonly allowInProcess: boolean;
    /** Each agent gets its own process of a plugin, up to `processes` of one plugin. */
    readonly perAgent: boolean;
    readonly processes: number;
    /** After so long without a call a process is stopped until the next one; 0: never. */
    readonly idleAfterMs: number;
    /** How long calls in flight may go on when their plugin is unloaded, disabled or replaced, or the host stops. */
    readonly drainMs: number;
  };
  /** Programs' interpreters by absolute path, instead of those that are found; see docs/plugins.md. */
  readonly interpreters: Readonly<Partial<Record<"python" | "node", string | undefined>>>;
  /** The only hosts that any plugin may be granted; absent does not limit. */
  readonly networkHosts: readonly HostEntry[] | undefined;
  readonly limits: {
    readonly memoryMb: number | undefined;
    readonly concurrency: number | undefined;
    /** Processes and threads of one plugin. */
    readonly tasks: number | undefined;
    /** Processors that one plugin may use, 1 being one whole. */
    readonly processors: number | undefined;
    readonly timeoutMs: number | undefined;
  };
  /** Which evidence of its maker a plugin must bring. */
  readonly trust: TrustPolicy;
  /** How long a version of a registry must have been published before it is chosen. */
  readonly minimumAgeMs: number;
  /** Where the vault's key is kept; absent: the environment when it holds one, else a file of the home. */
  readonly secrets: { readonly key: KeySource | undefined };
  readonly outputs: {
    /** Whether what looks like a credential of a well-known service is taken out of what plugins say. */
    readonly credentials: "mask" | "off";
  };
  /** Hooks that a call waits for: how long, and whether it is refused when one does not answer as it must. */
  readonly hooks: { readonly timeoutMs: number; readonly onFailure: "deny" | "ignore" };
  readonly agents: AgentsConfig;
  /** Connections to databases, by the names that manifests ask for. */
  readonly databases: ReadonlyMap<string, DatabaseConnection>;
  readonly policy: { readonly defaults: PolicyDefaults; readonly layer: PolicyLayer };
}

const FILE = "config.yml";

/** @throws {SallyportError} `config_invalid` with the key's path, its line, and the fix. */
export function parseConfig(text: string): HostConfig {
  const lined = parseLined(text);
  const parsed = configSchema.safeParse(valueOf(lined));
  if (!parsed.success) throw invalid(parsed.error.issues, lined);
  return fromFile(parsed.data, lined);
}

function valueOf({ document }: LinedDocument): unknown {
  const [syntaxError] = document.errors;
  if (syntaxError) throw notYaml(syntaxError.message, syntaxError.linePos?.[0].line ?? 1);
  try {
    return document.toJS({ maxAliasCount: 0 }) ?? {};
  } catch (error) {
    throw notYaml(error instanceof Error ? error.message : "it cannot be read", 1);
  }
}

function notYaml(problem: string, line: number): SallyportError {
  return new SallyportError("config_invalid", `${FILE} is not valid YAML.`, {
    detail: problem.split("\n")[0] ?? "syntax error",
    fix: `Mend ${FILE} at line ${line}.`,
    data: { file: FILE, line },
  });
}

interface Issue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

function invalid(issues: readonly Issue[], { lineOf }: LinedDocument): SallyportError {
  const problems = issues.map(({ path, message }) => ({
    path: path.map(String).join("."),
    problem: message,
    line: lineOf(path),
  }));
  const first = problems[0] ?? { path: "", problem: "invalid", line: undefined };
  const at = first.line === undefined ? "" : ` line ${first.line}`;
  return new SallyportError("config_invalid", `${FILE}${at}: ${first.path || "(top level)"}: ${first.problem}.`, {
    detail: `${problems.length} problem(s); unknown keys are errors, so that a misspelt rule never goes unnoticed.`,
    fix: `Mend ${first.path || "the file"} in ${FILE}; docs/configuration.md lists every key.`,
    data: { file: FILE, problems },
  });
}

function fromFile(file: ConfigFile, { lineOf }: LinedDocument): HostConfig {
  return {
    mode: file.mode,
    plugins: {
      enabled: file.plugins.enabled,
      allowList: file.plugins.allowed_plugins.map((item) => (typeof item === "string" ? { id: item } : item)),
    },
    isolation: {
      minimum: file.isolation.minimum,
      driver: file.isolation.driver,
      allowInProcess: file.isolation.allow_in_process,
      perAgent: file.isolation.per_agent,
      processes: file.isolation.processes_per_plugin,
      idleAfterMs: file.isolation.idle_after_s * 1000,
      drainMs: file.isolation.drain_s * 1000,
    },
    interpreters: file.programs.interpreters,
    networkHosts: file.network.tool_allowed_hosts?.map(hostEntry),
    limits: {
      memoryMb: file.limits.memory_mb,
      concurrency: file.limits.concurrency,
      tasks: file.limits.tasks,
      processors: file.limits.processors,
      timeoutMs: file.limits.timeout_ms,
    },
    minimumAgeMs: ageMs(file.trust.minimum_age),
    trust: {
      signatures: file.trust.signatures,
      unsignedDirectories: file.trust.unsigned_directories,
      provenance: file.trust.provenance.map((entry) => ({ ...entry, plugins: entry.plugins.map(keyScope) })),
    },
    secrets: { key: file.secrets.key },
    outputs: file.outputs,
    hooks: { timeoutMs: file.hooks.timeout_ms, onFailure: file.hooks.on_failure },
    agents: toAgentsConfig(file.agents, lineOf),
    databases: toDatabases(file.databases),
    policy: toLayer(file.policy, FILE, (index) => lineOf(["policy", "rules", index])),
  };
}

const HOUR_MS = 3_600_000;

function ageMs(text: string): number {
  return Number(text.slice(0, -1)) * (text.endsWith("d") ? 24 : 1) * HOUR_MS;
}

function keyScope(text: string): string {
  try {
    return parseKeyScope(text);
  } catch (error) {
    const { message, fix } = toSallyportError(error);
    throw new SallyportError("config_invalid", `${FILE}: trust.provenance: ${message}`, {
      ...(fix === undefined ? {} : { fix }),
      cause: error,
    });
  }
}

function hostEntry(text: string): HostEntry {
  const { host, port } = splitPort(text);
  try {
    return { host: canonicalHostPattern(host), port };
  } catch (error) {
    const { message, fix } = toSallyportError(error);
    throw new SallyportError("config_invalid", `${FILE}: network.tool_allowed_hosts: ${message}`, {
      fix: fix ?? "Write host, host:port or *.host.",
      cause: error,
    });
  }
}
