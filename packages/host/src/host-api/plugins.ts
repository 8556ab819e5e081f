import type { PermissionRequest, Scope } from "../capability/index.ts";
import type { Capability, ErrorCode, IsolationLevel, PluginRef, PluginState, Risk } from "../kernel/index.ts";
import type { Manifest } from "../manifest/index.ts";
import type { LockEntry } from "../registry/index.ts";
import type { ToolSummary } from "./calls.ts";
import type { LearnAnswer, LearnRequest } from "./learn.ts";
import type { ConfigForm } from "./config.ts";
import type { Operator } from "./operate.ts";
import type { SignerView, TrustView, VerifyAnswer } from "./trust.ts";
import type { LockView, UpgradeAnswer, UpgradeRequest, UpgradeRow } from "./upgrade.ts";

export interface PluginSummary {
  readonly id: string;
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly state: PluginState;
  readonly enabled: boolean;
  readonly digest: string;
  readonly source: string;
  /** The level this plugin's process really has, or would get here. `null` when no level here is enough. */
  readonly isolation: IsolationLevel | null;
  /** False: it runs in the host's process with the host's rights. `null` when no level here is enough. */
  readonly contained: boolean | null;
  readonly health: { readonly status: "healthy" | "unhealthy" | "idle" | "stopped" | "failed" };
  readonly executionCount: number;
  readonly errorCount: number;
  readonly lastError: string | null;
  readonly categories: readonly string[];
  readonly signer: SignerView;
}

/** One permission in plain words, as every surface shows it. Sentences are the host's, never the plugin's. */
export interface PermissionView {
  readonly key: string;
  readonly capability: string;
  readonly risk: Risk;
  /** "may contact api.example.com over HTTPS, reading only". */
  readonly sentence: string;
  /** What the plugin says why; shown as the plugin's words. */
  readonly reason?: string;
  readonly required: boolean;
  /** No scope was asked for: it grants nothing until the operator fills one in. */
  readonly needsScope: boolean;
  readonly granted: boolean;
  /** How the grant is enforced here: by what, or why it is not. */
  readonly enforced: { readonly by: string } | { readonly not: string };
}

export interface PluginInfo extends PluginSummary {
  readonly manifest: Manifest;
  readonly requested: readonly PermissionRequest[];
  readonly granted: readonly Scope[];
  readonly permissions: readonly PermissionView[];
  readonly tools: readonly ToolSummary[];
  /** Effective configuration, `x-sensitive` values masked. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly installedAt: number;
  readonly trust: TrustView;
  readonly grant: {
    readonly id: string;
    readonly grantedBy: string;
    readonly grantedAt: number;
    readonly expiresAt?: number;
    /** The operator said yes to the host's rights for it. */
    readonly inProcess?: true;
  } | null;
}

export interface InstallRequest {
  /** Absolute path of a directory or an archive, `[REGISTRY:]ID[@RANGE]`, or `npm:NAME[@RANGE]`. */
  readonly source: string;
  /** What the caller believes it installs; a mismatch with the manifest is refused. */
  readonly expect?: {
    readonly id?: string;
    /** The manifest's name or its id (`_` read as `-`): other systems know only one name. */
    readonly name?: string;
    readonly version?: string;
    readonly author?: string;
    readonly description?: string;
    readonly categories?: readonly string[];
    /** The set of capabilities that the manifest asks for. */
    readonly capabilities?: readonly Capability[];
  };
  readonly load?: boolean;
  /**
   * False: only this plugin, and what it lacks is told. Else what it needs and is not installed comes along, from the registry that
   * it comes from itself; for a folder or an archive, from the one registry of this home that has it. Each waits for its own yes.
   */
  readonly dependencies?: boolean;
  /** An entry of a lock: anything but exactly this is refused. */
  readonly frozen?: LockEntry;
  readonly onStep?: (step: { readonly name: string; readonly index: number; readonly of: number }) => void;
}

export interface InstallAnswer {
  readonly plugin: PluginSummary;
  readonly loaded: boolean;
  /** The request that an operator must answer before the plugin can be loaded. */
  readonly approval?: { readonly id: string };
  readonly permissions: readonly PermissionView[];
  /** What a lock says of it. */
  readonly lock: LockEntry;
  readonly warnings: readonly string[];
  /** What it needs and was installed along with it, in the order in which they are to be approved and loaded. */
  readonly dependencies: readonly InstalledDependency[];
}

/** A plugin that came along with one that needs it. */
export interface InstalledDependency extends Omit<InstallAnswer, "dependencies" | "loaded"> {
  readonly wantedBy: readonly { readonly id: string; readonly version: string; readonly range: string }[];
}

export interface ApproveRequest {
  /** Keys of the requests to grant; absent means all. */
  readonly only?: readonly string[];
  /** Operator's scopes for requests without one, or narrower ones: `filesystem=/data:r`, `network=host:port`. */
  readonly scopes?: readonly string[];
  /** Tools that agents may call without being asked. */
  readonly allowTools?: readonly string[];
  /** Tools above `read` that agents may use at all, as far as policy lets them; absent: every tool that the version declares. */
  readonly enableTools?: readonly string[];
  readonly expiresAt?: number;
  /**
   * Hands on what another author's plugin of this id kept here: whose, by its owner, or `true` when there is only one. Absent:
   * it begins with what its own publisher kept, or with nothing.
   */
  readonly keepData?: true | string;
  /** Only the grant; no allow-list entry, ceiling or tool rule. */
  readonly grantOnly?: boolean;
  /**
   * It runs in the host's process with the host's rights, contained by nothing. Needs `isolation.allow_in_process`, a
   * signature by a key that is trusted for it, and a locked tree, now and at each load.
   */
  readonly inProcess?: boolean;
  /** The version that the operator looked at; else the one that waits for an answer, else the active one. */
  readonly version?: string;
}

export interface StopOptions {
  /** Does not wait for calls in flight. */
  readonly now?: boolean;
  /** Leaves plugins that depend on it without it; otherwise that is refused while one of them runs. */
  readonly force?: boolean;
  /** Stops plugins that depend on it first. */
  readonly withDependants?: boolean;
}

export interface StoreCheckAnswer {
  readonly checked: number;
  /** Of how many every byte was read. */
  readonly reread: number;
  readonly problems: readonly (PluginRef & {
    readonly code: ErrorCode;
    readonly error: string;
    /** Below the plugin's root; empty for the whole. */
    readonly file: string;
    readonly expected: string;
    readonly actual: string;
    readonly fix: string;
  })[];
}

/** What is refused for good: an id, exact bytes, code under any name, or whatever a key signed. */
export interface RevocationMark {
  readonly kind: "id" | "tree_digest" | "code_digest" | "publisher_key";
  readonly value: string;
}

export interface RevocationAnswer extends RevocationMark {
  /** Installed versions that are revoked by it. */
  readonly stopped: readonly PluginSummary[];
}

export interface RevocationView extends RevocationMark {
  /** The plugin that it was given for; `*` for a key. */
  readonly plugin: string;
  readonly reason: string;
  readonly revokedBy: string;
  /** Milliseconds since the epoch. */
  readonly revokedAt: number;
}

export interface PluginsApi {
  install(operator: Operator, request: InstallRequest): Promise<InstallAnswer>;
  /**
   * Brings a newer version in the place of the active one: at once when nothing in it needs a person's yes, else with one. The old
   * version runs until the new one does, and calls in flight end on it.
   */
  upgrade(operator: Operator, id: string, request?: UpgradeRequest): Promise<UpgradeAnswer>;
  /** The same for every active plugin, where each came from. */
  upgradeAll(operator: Operator, request?: { readonly dryRun?: boolean }): Promise<readonly UpgradeRow[]>;
  /** Back to an earlier version that is installed, approved and not revoked: the one named, else the highest below the active one. */
  rollback(operator: Operator, id: string, to?: string): Promise<PluginSummary>;
  lock(): Promise<LockView>;
  /** Writes the home's lock anew from what is installed: the operator's word that it is right. */
  restoreLock(operator: Operator): Promise<LockView>;
  /** Removes from the content store what no installed plugin names; the host does it at each start, too. */
  collect(operator: Operator): Promise<{ readonly removed: readonly string[] }>;
  /** What the evidence of a directory, an archive or (by id) an installed plugin is worth here. Installs and runs nothing. */
  verify(what: { readonly source: string } | { readonly id: string; readonly version?: string }): Promise<VerifyAnswer>;
  list(): Promise<readonly PluginSummary[]>;
  /** Of the active version unless told. */
  info(id: string, version?: string): Promise<PluginInfo>;
  /** What the active version really used, as the least that would have been enough. Changes nothing. @throws {SallyportError} `not_found`. */
  learn(id: string, request?: LearnRequest): Promise<LearnAnswer>;
  approve(operator: Operator, id: string, request: ApproveRequest): Promise<PluginInfo>;
  deny(operator: Operator, id: string, reason?: string, version?: string): Promise<PluginSummary>;
  load(
    operator: Operator,
    id: string,
    options?: { readonly config?: Readonly<Record<string, unknown>>; readonly version?: string },
  ): Promise<PluginSummary>;
  /**
   * Takes no call any more; calls in flight end within `isolation.drain_s`, at once with `now`, or are given up. Resolves
   * when no process is left.
   */
  unload(operator: Operator, id: string, options?: StopOptions): Promise<PluginSummary>;
  enable(operator: Operator, id: string): Promise<PluginSummary>;
  disable(operator: Operator, id: string, options?: StopOptions): Promise<PluginSummary>;
  uninstall(
    operator: Operator,
    id: string,
    options?: { readonly version?: string; readonly purge?: boolean } & Pick<StopOptions, "force" | "withDependants">,
  ): Promise<void>;
  /** An installed plugin, by its id and by the bytes and the code of each of its versions. */
  revoke(operator: Operator, id: string, reason?: string): Promise<PluginSummary>;
  /** One mark, of something installed or not. What carries it stops at once and never runs here again. */
  revokeMark(operator: Operator, mark: RevocationMark, reason?: string): Promise<RevocationAnswer>;
  /**
   * Checks the stored bytes of every installed version, all of them unless `full` is false: then only of those that the file
   * system shows to be touched since. What is not what was approved is stopped.
   */
  verifyAll(
    operator: Operator,
    options?: { readonly full?: boolean; readonly onProgress?: (done: number, of: number) => void },
  ): Promise<StoreCheckAnswer>;
  /** Everything that was ever revoked here, oldest first. */
  revocations(): Promise<readonly RevocationView[]>;
  /** Effective configuration, sensitive values masked. */
  config(id: string): Promise<Readonly<Record<string, unknown>>>;
  /** What a person needs to fill it in, from the plugin's config_schema; safe to show. */
  configForm(id: string): Promise<ConfigForm>;
  /**
   * Replaces the operator's values; validated now, used at the next load. Sensitive ones stay unless they are named: text sets one,
   * `null` removes it, the mask leaves it.
   */
  setConfig(
    operator: Operator,
    id: string,
    values: Readonly<Record<string, unknown>>,
  ): Promise<Readonly<Record<string, unknown>>>;
  /** The last log lines of the plugin, oldest first. */
  logs(id: string): readonly LogLine[];
}

export interface LogLine {
  readonly time: number;
  readonly level: "debug" | "info" | "warn" | "error";
  readonly message: string;
  readonly call?: string;
}
