import type { AuditLog } from "./audit/index.ts";
import type { PermissionRequest, Scope } from "./capability/index.ts";
import type {
  Caller,
  Capability,
  Decision,
  Effect,
  ErrorCode,
  IsolationLevel,
  PluginRef,
  PluginState,
  Risk,
} from "./kernel/index.ts";
import type { JsonSchema, Manifest } from "./manifest/index.ts";
import type { Progress } from "./supervisor/index.ts";
import type { LockDifference, LockEntry } from "./registry/index.ts";
import type { EvidenceItem } from "./trust/index.ts";

/** The public API of a host: what the library exports, and all that the faces (REST, CLI, MCP) have. */
export interface Host {
  readonly plugins: PluginsApi;
  readonly tools: ToolsApi;
  readonly approvals: ApprovalsApi;
  readonly secrets: SecretsApi;
  readonly audit: AuditLog;
  readonly policy: PolicyApi;
  readonly operators: OperatorsApi;
  readonly keys: KeysApi;
  readonly registries: RegistriesApi;
  /** The one way in for agents. Never throws for a failed call: the answer says what happened. */
  invoke(caller: Caller, request: InvokeRequest): Promise<InvokeAnswer>;
  /** Writes the home into one new file. */
  backup(operator: Operator, request: BackupRequest): Promise<BackupAnswer>;
  doctor(): Promise<DoctorReport>;
  stats(): Promise<HostStats>;
  /** Called when the list of tools that an agent may see may have changed. Returns the way to stop. */
  onToolsChanged(listener: () => void): () => void;
  /** Stops every plugin, flushes the audit, releases the home. */
  close(): Promise<void>;
}

export interface InvokeRequest {
  /** `<plugin>__<tool>`. */
  readonly tool: string;
  readonly input: unknown;
  /** The approval that lets this call run, when one was given; otherwise a matching one is looked up. */
  readonly approvalId?: string;
  /** Trace id of the caller (W3C trace id), for the audit. */
  readonly trace?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

export type InvokeAnswer =
  | { readonly success: true; readonly callId: string; readonly result: unknown; readonly durationMs: number }
  | {
      readonly success: false;
      readonly callId: string;
      readonly error: string;
      readonly code: ErrorCode;
      readonly detail?: string;
      readonly fix?: string;
      readonly approval?: { readonly id: string };
    };

/** Who signed a plugin, as lists show it: `unknown` is signed by a key that is not (any more) trusted here. */
export interface SignerView {
  readonly state: "signed" | "unsigned" | "unknown";
  readonly key?: string;
  /** The operator's name for the key. */
  readonly name?: string;
}

/** What was checked of a plugin's origin, by which evidence, and what was missing. */
export interface TrustView {
  readonly verdict: "verified" | "unverified" | "refused";
  readonly requirement: "required" | "preferred";
  readonly risk: Risk;
  readonly evidence: readonly EvidenceItem[];
  readonly missing: readonly string[];
  /** Sentences, the first of which says it all. */
  readonly reasons: readonly string[];
  readonly signer?: { readonly key: string; readonly name?: string | undefined; readonly trusted: boolean } | undefined;
  readonly publisherKey?: string | undefined;
  /** When refused: why, and what to do. */
  readonly code?: ErrorCode;
  readonly fix?: string;
}

/** A plugin that is not (yet) installed, or an installed one, and what its evidence is worth here. */
export interface VerifyAnswer {
  readonly id: string;
  readonly version: string;
  readonly digest: string;
  readonly trust: TrustView;
}

/** A publisher's key that an operator trusts. Times are milliseconds since the epoch. */
export interface TrustedKeyView {
  /** The public key itself: `ed25519:…`. */
  readonly id: string;
  readonly name: string;
  /** Which plugins it may sign: ids, `publisher/*`, `*`. */
  readonly scopes: readonly string[];
  readonly expiresAt: number | null;
  readonly replaces: string | null;
  readonly addedBy: string;
  readonly addedAt: number;
  /** `unsealed`: somebody but this host wrote it into the database; it counts as nothing. */
  readonly state: "trusted" | "expired" | "revoked" | "unsealed";
}

export interface KeysApi {
  list(): Promise<readonly TrustedKeyView[]>;
  /** Scopes default to `<name>/*`. @throws {SallyportError} `usage`; `revoked` for a key that was revoked here. */
  trust(
    operator: Operator,
    request: {
      readonly name: string;
      readonly key: string;
      readonly scopes?: readonly string[];
      readonly expiresAt?: number;
    },
  ): Promise<TrustedKeyView>;
  /** Trusts the key that a trusted one names as its successor, as far as the old one. Takes the statement's text. */
  rotate(operator: Operator, statement: string): Promise<TrustedKeyView>;
  /** Takes trust back. What needs that signature stops. */
  untrust(operator: Operator, keyOrName: string): Promise<{ readonly key: string }>;
  /** For good, known or not: whatever it signed is refused, whoever else signed it. */
  revoke(operator: Operator, keyOrName: string, reason?: string): Promise<{ readonly key: string }>;
  /** Seals every record with the key of now. */
  reseal(operator: Operator): Promise<{ readonly plugins: number; readonly grants: number; readonly keys: number }>;
}

/** A registry that an operator added. Times are milliseconds since the epoch. */
export interface RegistryView {
  readonly name: string;
  readonly kind: "index" | "npm";
  /** Its address, or a folder's absolute path. */
  readonly place: string;
  /** The key that signs its index. */
  readonly key: string | null;
  /** It is of the local network, and may be reached there. */
  readonly private: boolean;
  /** `unusable`: there is no copy of its index, or not the one that was fetched. */
  readonly state: "ready" | "expired" | "unsealed" | "revoked" | "unusable";
  /** Number of the newest index that was seen. */
  readonly counter: number | null;
  readonly expiresAt: number | null;
  readonly versions?: number;
  readonly refreshedAt: number | null;
  readonly addedBy: string;
  readonly addedAt: number;
}

export type RefreshView =
  | { readonly name: string; readonly ok: true; readonly counter: number; readonly versions: number }
  | {
      readonly name: string;
      readonly ok: false;
      readonly code: ErrorCode;
      readonly error: string;
      readonly detail: string | undefined;
      readonly fix: string | undefined;
    };

/** A plugin in a registry, by its newest release. Its words are the publisher's. */
export interface SearchHitView {
  readonly registry: string;
  readonly id: string;
  readonly version: string;
  /** How many versions the registry has. */
  readonly versions: number;
  readonly name: string;
  readonly description: string;
  readonly categories: readonly string[];
  readonly signer: SignerView;
  readonly permissions: readonly { readonly capability: Capability; readonly key: string; readonly risk: Risk }[];
  readonly publishedAt: number;
  /** `sha512-<base64>` over the archive. */
  readonly integrity: string;
}

export interface RegistriesApi {
  list(): Promise<readonly RegistryView[]>;
  /**
   * Adds a registry once its index is there and signed by `key`; an npm registry has none.
   * @throws {SallyportError} `usage`, `conflict`, `registry_untrusted`, `network_failed`, `address_refused`.
   */
  add(
    operator: Operator,
    request: {
      readonly name: string;
      readonly place: string;
      readonly key?: string;
      readonly npm?: boolean;
      readonly private?: boolean;
    },
  ): Promise<RegistryView>;
  /** Also forgets what was seen of it. */
  remove(operator: Operator, name: string): Promise<void>;
  /** One registry or all of them; each answers for itself. */
  refresh(operator: Operator, name?: string): Promise<readonly RefreshView[]>;
  /** Looks through the copies of all indexes, fetching what is older than an hour unless `offline`. At most `limit` hits (50). */
  search(wish: {
    readonly text: string;
    readonly category?: string;
    readonly registry?: string;
    readonly limit?: number;
    readonly offline?: boolean;
  }): Promise<{
    readonly hits: readonly SearchHitView[];
    readonly total: number;
    readonly warnings: readonly string[];
  }>;
}

/** Who performs an operator's verb; goes into the audit. */
export interface Operator {
  readonly name: string;
}

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

export interface ToolSummary {
  /** `<plugin>__<tool>`. */
  readonly name: string;
  readonly plugin: string;
  readonly tool: string;
  readonly description: string;
  /** The computed effect. */
  readonly effect: Effect;
  readonly decision: Decision;
  readonly inputSchema: JsonSchema;
  readonly outputSchema?: JsonSchema;
  readonly isolation: IsolationLevel | null;
  /** False: its plugin runs with the host's rights. */
  readonly contained: boolean | null;
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
}

/** Something that a version asks for and another does not, in the host's words. */
export interface UpgradeChange {
  readonly key: string;
  readonly capability: string;
  readonly risk: Risk;
  readonly sentence: string;
  readonly required: boolean;
  readonly needsScope: boolean;
}

/** What a version is that the one in use is not. */
export interface UpgradeDifference {
  readonly added: readonly UpgradeChange[];
  readonly removed: readonly UpgradeChange[];
  readonly tools: {
    readonly added: readonly string[];
    readonly removed: readonly string[];
    /** `what`: the parts of the definition that differ, in words. */
    readonly changed: readonly { readonly name: string; readonly what: readonly string[] }[];
  };
  /** Other contributions that differ: "hooks", "routes". */
  readonly other: readonly string[];
  /** Why a person has to say yes, in sentences; empty: nobody has to. */
  readonly questions: readonly string[];
}

export interface UpgradeRequest {
  /** A path, `ID@RANGE` or `npm:NAME@RANGE`; absent: where the version in use came from. */
  readonly source?: string;
  /** Exactly this version. */
  readonly to?: string;
  /** Says what would be done, and keeps nothing. */
  readonly dryRun?: boolean;
  /** The digest that a dry run showed: the operator's yes to exactly those bytes and what they add. */
  readonly approve?: string;
  /** Tools that agents may call without being asked, besides those that they may already and that are the same. */
  readonly allowTools?: readonly string[];
  readonly allowDowngrade?: boolean;
  readonly onStep?: InstallRequest["onStep"];
}

export interface UpgradeAnswer {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly digest: string;
  readonly source: string;
  /**
   * `current`: there is nothing newer; `possible`: a dry run; `upgraded`: the new version is the active one; `waiting`: it is installed
   * and waits for a yes, while the old one goes on.
   */
  readonly state: "current" | "possible" | "upgraded" | "waiting";
  readonly difference: UpgradeDifference;
  /** The version that is active now. */
  readonly plugin: PluginSummary;
  readonly approval?: { readonly id: string };
  readonly warnings: readonly string[];
}

/** Of `plugin upgrade --all`: an answer for each plugin, or why there is none. */
export type UpgradeRow =
  | UpgradeAnswer
  | {
      readonly id: string;
      readonly from: string;
      readonly state: "failed";
      readonly code: ErrorCode;
      readonly error: string;
    };

/** The home's `plugin.lock.json`, compared with what is installed. */
export interface LockView {
  readonly file: string;
  readonly state: "intact" | "changed" | "missing";
  /** Whether it carries the seal of PLUGIN_SECRET_KEY. */
  readonly sealed: boolean;
  /** Installed versions. */
  readonly plugins: number;
  /** `plugin` is `id@version`; `expected` is the lock's word, `actual` what is installed. */
  readonly differences: readonly ({ readonly plugin: string } & LockDifference)[];
}

export interface ApproveRequest {
  /** Keys of the requests to grant; absent means all. */
  readonly only?: readonly string[];
  /** Operator's scopes for requests without one, or narrower ones: `filesystem=/data:r`, `network=host:port`. */
  readonly scopes?: readonly string[];
  /** Tools that agents may call without being asked. */
  readonly allowTools?: readonly string[];
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

export interface BackupRequest {
  /** Absolute path of a file that is not there yet. */
  readonly file: string;
  /** Encrypts it whole. At least 8 characters. */
  readonly passphrase?: string;
  /** Vault and the host's keys, too. Needs a passphrase. */
  readonly secrets?: boolean;
  /** The stored plugins, too; without them, they have to be installed again where the store is gone. */
  readonly store?: boolean;
}

export interface BackupAnswer {
  readonly file: string;
  readonly bytes: number;
  readonly entries: number;
  readonly secrets: boolean;
  readonly store: boolean;
  readonly encrypted: boolean;
  /** The audit up to here is in it. */
  readonly head: { readonly seq: number; readonly hash: string };
}

export interface RestoreRequest {
  /** Absolute path of the backup. */
  readonly file: string;
  /** Absolute path: an empty folder, none yet, or a home whose owner is stopped. */
  readonly home: string;
  /** The backup's. */
  readonly passphrase?: string;
  /** The home's, when it has one. */
  readonly operatorPassphrase?: string;
  /** Called before each part is put in its place. */
  readonly onStep?: (step: string) => void;
}

export interface RestoreAnswer {
  readonly home: string;
  /** When the backup was made; milliseconds since the epoch. */
  readonly createdAt: number;
  readonly secrets: boolean;
  readonly store: boolean;
  /** Whose audit went on: of two that went apart, the home's. */
  readonly keptAudit: "backup" | "home";
  /** The last event that both had, when each had events that the other lacked. */
  readonly forkedAfter?: number;
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
  /** Replaces the operator's values; validated now, used at the next load. */
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

export interface ToolsApi {
  /**
   * What this caller may see: decision allow or require_approval, plugin running or idle. In the order of their names; with a
   * page, at most so many behind the name `after`.
   */
  list(
    caller: Caller,
    page?: { readonly after?: string | undefined; readonly most?: number },
  ): Promise<readonly ToolSummary[]>;
  info(caller: Caller, name: string): Promise<ToolSummary>;
  /** `invoke()` for programs: the result, or the failure thrown. @throws {SallyportError} `PolicyViolationError` for every denial. */
  call(caller: Caller, request: InvokeRequest): Promise<unknown>;
}

export interface ApprovalView {
  readonly id: string;
  readonly kind: "plugin" | "call";
  readonly state: "pending" | "approved" | "denied" | "expired" | "consumed";
  readonly createdAt: number;
  readonly expiresAt: number | null;
  readonly plugin: PluginRef;
  /** Written by the host from validated data. */
  readonly sentence: string;
  readonly tool?: string;
  readonly agent?: string;
  /** Canonical, redacted input of the call. */
  readonly input?: unknown;
  readonly decidedBy?: string;
}

export interface ApprovalsApi {
  list(filter?: { readonly state?: ApprovalView["state"] }): Promise<readonly ApprovalView[]>;
  approve(
    operator: Operator,
    id: string,
    options?: { readonly expiresAt?: number; readonly uses?: number },
  ): Promise<ApprovalView>;
  deny(operator: Operator, id: string, reason?: string): Promise<ApprovalView>;
}

export interface SecretsApi {
  /** Names, bound origins and times; never values. */
  list(): Promise<
    readonly { readonly name: string; readonly origins: readonly string[]; readonly updatedAt: number }[]
  >;
  set(operator: Operator, name: string, value: string, origins: readonly string[]): Promise<void>;
  remove(operator: Operator, name: string): Promise<void>;
}

export interface PolicyApi {
  /** sha256 of the rules in force. */
  snapshot(): string;
}

export interface OperatorsApi {
  /** Whether verbs that widen authority ask for a passphrase. When false, approvals are advisory against agents that have a shell. */
  readonly passphraseSet: boolean;
  setPassphrase(current: string | undefined, next: string): Promise<void>;
  /** @throws {SallyportError} `passphrase_required` when wrong or absent while one is set; too many tries are slowed down. */
  authenticate(passphrase: string | undefined): Promise<void>;
}

export interface DoctorReport {
  /** The strongest level available here; `null` when there is none. */
  readonly level: IsolationLevel | null;
  readonly available: readonly IsolationLevel[];
  readonly checks: readonly {
    readonly name: string;
    readonly ok: boolean;
    readonly detail: string;
    readonly fix?: string;
  }[];
}

export interface HostStats {
  readonly loadedPlugins: number;
  readonly registry: { readonly totalPlugins: number; readonly activePlugins: number };
  readonly calls: { readonly total: number; readonly failed: number; readonly denied: number };
}
