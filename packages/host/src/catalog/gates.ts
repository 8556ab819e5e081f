import semver from "semver";
import { type Grant, hostMatches, type NetworkScope, type Scope, withinScope } from "../capability/index.ts";
import type { AllowListEntry, HostConfig, HostEntry } from "../config/index.ts";
import {
  type ErrorCode,
  type ErrorDetails,
  type IsolationLevel,
  LIMITS,
  PolicyViolationError,
} from "../kernel/index.ts";
import { unenforceable, unenforceableAt, unservedConnection } from "./enforceable.ts";
import { assertMayBeInProcess, assertSignedForInProcess } from "./in-process.ts";
import type { StoredPlugin } from "../store/index.ts";
import type { TrustDecision } from "../trust/index.ts";

/** What the gates of a load look at. Everything that touches a disk or a process is a function of the host's. */
export interface LoadQuestion {
  readonly record: StoredPlugin;
  readonly config: HostConfig;
  /** From config.yml and from approvals. */
  readonly allowList: readonly AllowListEntry[];
  /** The kind and value of the revocation that this plugin meets, if any. */
  readonly revocation: string | undefined;
  readonly grant: Grant | undefined;
  readonly ceiling: readonly Scope[] | undefined;
  readonly now: number;
  readonly hostVersion: string;
  /** Ids of the active plugins that are approved or live, with their versions. */
  readonly installed: ReadonlyMap<string, string>;
  /** @throws {SallyportError} `source_unsafe` or `digest_mismatch`. */
  verifyStored(record: StoredPlugin): Promise<void>;
  /** @throws {SallyportError} `seal_invalid` when the host has a key and it did not seal this record and its grant. */
  checkSeals(record: StoredPlugin, grant: Grant | undefined): void;
  /** @throws {SallyportError} `lock_mismatch` when plugin.lock.json does not pin exactly this record. */
  checkLock(record: StoredPlugin): Promise<void>;
  /** What the plugin's evidence is worth now. */
  trustOf(record: StoredPlugin): Promise<TrustDecision>;
  /** @throws {SallyportError} `plugin_config_invalid`. */
  effectiveConfig(record: StoredPlugin): Promise<Readonly<Record<string, unknown>>>;
  /** @throws {SallyportError} `isolation_unavailable` when plugin or operator require more than there is. */
  levelFor(record: StoredPlugin, grant: Grant | undefined): IsolationLevel;
}

/** What is known once every gate before the launch has passed. */
export interface LoadPermit {
  readonly level: IsolationLevel;
  readonly grant: Grant;
  readonly config: Readonly<Record<string, unknown>>;
}

interface Gate {
  readonly name: string;
  check(question: LoadQuestion): void | Promise<void>;
}

/** Gates 1 to 12 of a load, in order; the first that throws stops it before any code of the plugin ran. 13 to 15 are the launcher's. */
export const LOAD_GATES: readonly Gate[] = [
  {
    name: "plugins-enabled",
    check: ({ config }) => {
      if (!config.plugins.enabled) {
        refuse("plugins_disabled", "Plugins are turned off.", { fix: "Set plugins.enabled: true in config.yml." });
      }
    },
  },
  {
    name: "allow-list",
    check: async (question) => {
      const { record, allowList } = question;
      const entries = allowList.filter((entry) => admits(entry, record));
      if (!(await anyAdmits(entries, question))) {
        refuse("not_allow_listed", `${record.ref.id} ${record.ref.version} is not on the allow-list.`, {
          fix: `Run: sallyport plugin approve ${record.ref.id}, or add it to plugins.allowed_plugins in config.yml.`,
        });
      }
    },
  },
  {
    name: "not-revoked",
    check: ({ record, revocation }) => {
      if (revocation !== undefined || record.state === "revoked") {
        refuse("revoked", `${record.ref.id} was revoked (${revocation ?? "id"}); that is permanent.`, {
          fix: "Use another plugin.",
        });
      }
    },
  },
  { name: "seal", check: (question) => question.checkSeals(question.record, question.grant) },
  { name: "lock", check: (question) => question.checkLock(question.record) },
  { name: "tree-digest", check: (question) => question.verifyStored(question.record) },
  { name: "signature", check: async (question) => assertTrusted(await question.trustOf(question.record)) },
  { name: "configuration", check: async (question) => void (await question.effectiveConfig(question.record)) },
  { name: "engine", check: checkEngine },
  { name: "dependencies", check: checkDependencies },
  { name: "grants", check: checkGrant },
  { name: "ceiling", check: checkCeiling },
  { name: "limits", check: checkLimits },
  {
    name: "enforceable",
    check: ({ record, grant, config }) => {
      const missing = unservedConnection(grant?.scopes ?? [], config.databases);
      if (missing) refuse("not_enforceable", `${record.ref.id} was granted ${missing.problem}.`, { fix: missing.fix });
      const [first] = unenforceable(record.manifest, grant?.scopes ?? []);
      if (first) {
        refuse(
          "not_enforceable",
          `${record.ref.id} asks for ${first}, which this version of Sallyport cannot enforce.`,
          {
            fix: "Install a version of the plugin without it.",
          },
        );
      }
    },
  },
  {
    name: "in-process",
    check: async (question) => {
      if (question.grant?.inProcess !== true) return;
      assertMayBeInProcess(question.record, question.config);
      assertSignedForInProcess(question.record, await question.trustOf(question.record));
    },
  },
  {
    name: "isolation",
    check: (question) => {
      const { record, grant } = question;
      const problem = unenforceableAt(question.levelFor(record, grant), grant?.scopes ?? []);
      if (problem === undefined) return;
      refuse("not_enforceable", `${record.ref.id} was granted ${problem}.`, {
        fix: "Make a kernel level available (`sallyport doctor` says how), or approve the plugin without it: --only.",
      });
    },
  },
];

/** @throws {PolicyViolationError} with the code of the first gate that refuses; `data.gate` names it. */
export async function passGates(question: LoadQuestion): Promise<LoadPermit> {
  for (const gate of LOAD_GATES) await gate.check(question);
  const { grant } = question;
  if (!grant) throw noGrant(question.record);
  return {
    level: question.levelFor(question.record, grant),
    grant,
    config: await question.effectiveConfig(question.record),
  };
}

function refuse(code: ErrorCode, message: string, details: ErrorDetails): never {
  throw new PolicyViolationError(code, message, details);
}

/** @throws {PolicyViolationError} `signature_required`, `signature_invalid` or `revoked` for a decision that refuses. */
export function assertTrusted({ refusal, reasons, evidence, missing }: TrustDecision): void {
  if (!refusal) return;
  const [message = "The plugin's evidence is not enough.", ...more] = reasons;
  refuse(refusal.code, message, {
    ...(more.length === 0 ? {} : { detail: more.join(" ") }),
    fix: refusal.fix,
    data: {
      evidence: evidence.map(({ kind, state, key }) => ({ kind, state, ...(key === undefined ? {} : { key }) })),
      missing,
    },
  });
}

function admits(entry: AllowListEntry, record: StoredPlugin): boolean {
  return (
    entry.id === record.ref.id &&
    (entry.version === undefined || semver.satisfies(record.ref.version, entry.version)) &&
    (entry.digest === undefined || entry.digest === record.ref.digest)
  );
}

/** By the evidence as it is worth now, not by what was written down: whoever edits the store is no publisher. */
async function anyAdmits(entries: readonly AllowListEntry[], question: LoadQuestion): Promise<boolean> {
  if (entries.some(({ publisher }) => publisher === undefined)) return true;
  if (entries.length === 0) return false;
  const { publisherKey } = await question.trustOf(question.record);
  return entries.some(({ publisher }) => publisher === publisherKey);
}

function checkEngine({ record, hostVersion }: LoadQuestion): void {
  const range = record.manifest.engines.sallyport;
  if (range === undefined || semver.satisfies(hostVersion, range, { includePrerelease: true })) return;
  refuse("engine_mismatch", `${record.ref.id} needs Sallyport ${range}; this is ${hostVersion}.`, {
    fix: "Install a version of the plugin for this Sallyport.",
  });
}

function checkDependencies({ record, installed }: LoadQuestion): void {
  for (const [id, range] of Object.entries(record.manifest.dependencies)) {
    const version = installed.get(id);
    if (version !== undefined && semver.satisfies(version, range)) continue;
    refuse("dependency_missing", `${record.ref.id} needs the plugin ${id} ${range}.`, {
      detail: version === undefined ? `${id} is not installed and approved.` : `Version ${version} is active.`,
      fix: `Install and approve ${id} ${range} first.`,
    });
  }
}

function noGrant(record: StoredPlugin): PolicyViolationError {
  return new PolicyViolationError(
    "not_approved",
    `Nobody approved ${record.ref.id} ${record.ref.version} as it is now.`,
    {
      detail: "An approval holds for exact bytes: id, version, manifest digest and tree digest.",
      fix: `Run: sallyport plugin approve ${record.ref.id}`,
    },
  );
}

function checkGrant({ record, grant, now }: LoadQuestion): void {
  if (
    !grant ||
    grant.pluginId !== record.ref.id ||
    grant.version !== record.ref.version ||
    grant.treeDigest !== record.ref.digest ||
    grant.manifestDigest !== record.manifestDigest
  ) {
    throw noGrant(record);
  }
  if (grant.expiresAt !== undefined && grant.expiresAt <= now) {
    refuse("not_approved", `The approval of ${record.ref.id} expired.`, {
      fix: `Run: sallyport plugin approve ${record.ref.id}`,
    });
  }
}

function checkCeiling({ record, grant, ceiling, config }: LoadQuestion): void {
  checkNetworkHosts(record, grant, config.networkHosts);
  if (!ceiling) return;
  const over = grant?.scopes.find((scope) => !ceiling.some((outer) => withinScope(scope, outer)));
  if (over) {
    refuse("ceiling_exceeded", `A grant of ${record.ref.id} is wider than the host's ceiling.`, {
      detail: `No ceiling covers its ${over.capability} grant.`,
      fix: `Approve it again with a narrower --scope, or without --grant-only.`,
    });
  }
}

/** What the manifest asks for, and the most that this host gives. It gets what it asks for or does not start. */
function checkLimits({ record, config }: LoadQuestion): void {
  const { memoryMb, concurrency } = record.manifest.limits;
  checkLimit(record, "memory_mb", memoryMb, config.limits.memoryMb ?? LIMITS.mostMemoryMb);
  checkLimit(record, "concurrency", concurrency, config.limits.concurrency ?? LIMITS.concurrency);
}

function checkLimit(record: StoredPlugin, name: string, asked: number | undefined, most: number): void {
  if (asked === undefined || asked <= most) return;
  refuse("ceiling_exceeded", `${record.ref.id} asks for limits.${name} ${asked}; this host gives at most ${most}.`, {
    detail: "With less than its author counts on it would fail at work instead of now.",
    fix: `Set limits.${name}: ${asked} in config.yml, or install a version of the plugin that asks for less.`,
    data: { limit: name, asked, most },
  });
}

function checkNetworkHosts(record: StoredPlugin, grant: Grant | undefined, hosts: HostConfig["networkHosts"]): void {
  if (!hosts) return;
  for (const scope of grant?.scopes ?? []) {
    if (scope.capability !== "network" || hosts.some((entry) => admitsHost(entry, scope))) continue;
    refuse(
      "ceiling_exceeded",
      `${record.ref.id} was granted ${scope.host}:${scope.port}, which config.yml does not admit.`,
      {
        fix: `Add "${scope.host}:${scope.port}" to network.tool_allowed_hosts in config.yml, or approve the plugin without it.`,
      },
    );
  }
}

function admitsHost(entry: HostEntry, scope: NetworkScope): boolean {
  if (entry.port !== undefined && entry.port !== scope.port) return false;
  return entry.host === scope.host || hostMatches(entry.host, scope.host);
}
