import type { CompiledQuery, Kysely } from "kysely";
import type { Scope } from "../capability/index.ts";
import type { Decision, PluginRef, PluginState } from "../kernel/index.ts";
import type { Manifest } from "../manifest/index.ts";
import type { ApprovalState } from "./repositories/approval-states.ts";
import type { Schema } from "./schema.ts";

/** One statement of a unit. `expect`: rows it must change, exactly; otherwise the whole unit is undone. */
export interface Statement {
  readonly query: CompiledQuery;
  readonly expect?: number;
}

/** The store of a home. One process has it open at a time; every statement runs in a thread of its own. */
export interface Database {
  /** Builds and runs single statements; each is its own transaction. `transaction()` is refused: see `atomically`. */
  readonly query: Kysely<Schema>;
  /**
   * Runs all statements in one transaction, or none of them. Resolves when durable.
   * @throws {SallyportError} `conflict` when a statement changed another number of rows than expected or broke a
   * constraint, `store_unavailable` when the store cannot be written.
   */
  atomically(statements: readonly Statement[]): Promise<void>;
  /** The event chain's port; only the audit uses it. */
  readonly chain: ChainStore;
  /** Writes a consistent copy to a new file, mode 0600. */
  backup(path: string): Promise<void>;
  /** Waits for what was sent before, closes the file, releases the home. */
  close(): Promise<void>;
}

export interface ChainHead {
  /** 0 when there is no event yet; then `hash` is the genesis hash. */
  readonly seq: number;
  readonly hash: string;
}

export interface Appended {
  readonly firstSeq: number;
  /** The head before the first event. */
  readonly prevHash: string;
  /** One hash an event, in order. */
  readonly hashes: readonly string[];
}

export interface ChainRow {
  readonly seq: number;
  readonly hash: string;
  readonly prevHash: string;
  readonly body: string;
}

/** Equal to, or in the range of, every given field. Times are inclusive. */
export interface ChainFilter {
  readonly type?: string;
  readonly pluginId?: string;
  readonly agent?: string;
  readonly tool?: string;
  readonly callId?: string;
  readonly outcome?: string;
  readonly since?: number;
  readonly until?: number;
  readonly afterSeq?: number;
  readonly limit: number;
  readonly order: "asc" | "desc";
}

export interface Checkpoint {
  readonly seq: number;
  readonly hash: string;
  readonly signature: string;
  readonly at: number;
}

/** Appends to and reads the hash chain. Sequence numbers and hashes are computed in the thread that holds the head. */
export interface ChainStore {
  /**
   * Appends bodies (canonical JSON, one line each) together with statements, in one transaction. Resolves when durable.
   * After a failure to write, every later append fails: only reopening the store starts anew.
   * @throws {SallyportError} `audit_unavailable`, or `conflict` from a statement (then nothing was appended and the chain is sound).
   */
  append(bodies: readonly string[], statements?: readonly Statement[]): Promise<Appended>;
  head(): Promise<ChainHead>;
  /** Rows after `seq`, oldest first, at most `limit`. */
  read(afterSeq: number, limit: number): Promise<readonly ChainRow[]>;
  find(filter: ChainFilter): Promise<readonly ChainRow[]>;
  /** Recomputes the chain up to the head of now. At most 100 problems are listed. */
  recompute(): Promise<ChainReport>;
  checkpoints(): Promise<readonly Checkpoint[]>;
  addCheckpoint(checkpoint: Checkpoint): Promise<void>;
}

export interface ChainReport {
  readonly events: number;
  readonly head: ChainHead | null;
  readonly problems: readonly { readonly seq: number; readonly problem: string }[];
}

/** One installed version of a plugin: exactly these bytes. The same shape as the catalog's record. */
export interface StoredPlugin {
  readonly ref: PluginRef;
  readonly manifest: Manifest;
  readonly manifestDigest: string;
  readonly codeDigest: string;
  /** Set when a publisher's key that was trusted at the time signed it. */
  readonly publisherKey?: string | undefined;
  /** The text of its signature file, and its build provenance, as they came. */
  readonly signature?: string | undefined;
  readonly provenance?: { readonly bundle: string; readonly integrity: string } | undefined;
  /** The host's seal over everything here that does not change in a lifetime. */
  readonly seal?: string | undefined;
  /** Where it came from in full, for the lock; `undefined` for what was installed before there was one. */
  readonly origin?: PluginOrigin | undefined;
  /** Where it was installed from, as the operator wrote it. */
  readonly source: string;
  /** Its directory in the content store. */
  readonly root: string;
  /** The bundle's path below `root`. */
  readonly bundle: string;
  /** The configuration that the plugin ships. */
  readonly defaults: Readonly<Record<string, unknown>>;
  readonly state: PluginState;
  /** At most one version of an id is active; a second is a `conflict`. */
  readonly active: boolean;
  readonly installedAt: number;
  readonly lastError: string | null;
  readonly executionCount: number;
  readonly errorCount: number;
}

/** What is kept of a source: enough to fetch the same bytes again, and to say how their hash was learned. */
export interface PluginOrigin {
  /** As the operator wrote it. */
  readonly spec: string;
  readonly registry: string | null;
  /** `sha512-<base64>` over the archive's bytes; `null` for a directory. */
  readonly integrity: string | null;
  readonly learned: "directory" | "archive-read-here" | "signed-index" | "npm-metadata";
}

/** Where an owner's plugin of this id keeps its data and its operator's values. */
export interface DataSpace {
  readonly pluginId: string;
  /** A publisher's key; `unsigned:` and where it came from; `unknown` for what was kept before there were owners. */
  readonly owner: string;
  /** Names rows and a folder. Several owners share one only by an operator's word. */
  readonly space: string;
  readonly claimedAt: number;
}

/** A stored tree that was read as a whole and found right, and how it looked to the file system then. */
export interface VerifiedTree {
  readonly digest: string;
  readonly stamp: string;
  readonly verifiedAt: number;
  readonly seal?: string | undefined;
}

export interface StoredConfig {
  readonly space: string;
  readonly values: Readonly<Record<string, unknown>>;
  readonly updatedBy: string;
  readonly updatedAt: number;
}

export interface AllowListEntry {
  readonly pluginId: string;
  readonly versionRange: string | null;
  readonly treeDigest: string | null;
  readonly publisher: string | null;
  readonly addedBy: string;
  readonly addedAt: number;
}

export interface Ceiling {
  readonly pluginId: string;
  readonly scopes: readonly Scope[];
  readonly setBy: string;
  readonly setAt: number;
}

export interface ToolRule {
  /** `<plugin>__<tool>`. */
  readonly tool: string;
  /** `null`: every agent. */
  readonly agent: string | null;
  readonly decision: Decision;
  readonly setBy: string;
  readonly setAt: number;
}

/** A publisher's key that an operator trusts; `id` is the key itself. */
export interface StoredKey {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly string[];
  readonly expiresAt: number | null;
  readonly replaces: string | null;
  readonly addedBy: string;
  readonly addedAt: number;
  readonly seal?: string | undefined;
}

export type RevocationKind = "id" | "tree_digest" | "code_digest" | "publisher_key";

export interface Revocation {
  readonly kind: RevocationKind;
  readonly value: string;
  readonly pluginId: string;
  readonly reason: string;
  readonly revokedBy: string;
  readonly revokedAt: number;
}

export interface StoredApproval {
  readonly id: string;
  readonly kind: "plugin" | "call";
  readonly state: ApprovalState;
  readonly createdAt: number;
  readonly expiresAt: number | null;
  readonly decidedAt: number | null;
  readonly decidedBy: string | null;
  readonly reason: string | null;
  readonly plugin: PluginRef;
  readonly tool: string | null;
  readonly agent: string | null;
  /** The operator who made the call as the agent, and the id of the token that proved who asked. */
  readonly operator: string | null;
  readonly token: string | null;
  /** The plugin through which the agent's call came, and the tools on the way, the agent's own call first. */
  readonly via: { readonly plugin: PluginRef; readonly chain: readonly string[] } | null;
  readonly inputDigest: string | null;
  readonly definitionDigest: string | null;
  readonly policySnapshot: string | null;
  /** Id of the rule that asked. */
  readonly rule: string | null;
  /** Canonical and redacted; `undefined` when absent. */
  readonly input: unknown;
  /** What people are told of the call beside the sentence, as it was when it was asked. Written by the host. */
  readonly facts: ApprovalFacts | null;
  /** What an operator's yes covers; `null`: exactly the call that was asked about. */
  readonly scope: ApprovalScope | null;
  /** Executions left once approved; `null`: no such limit. */
  readonly usesLeft: number | null;
  /** Executions so far. */
  readonly uses: number;
  /** When, by whom and why it expired, or was cancelled or withdrawn. */
  readonly endedAt: number | null;
  readonly endedBy: string | null;
  readonly endedReason: string | null;
  readonly sentence: string;
}

export interface ApprovalFacts {
  readonly effect: string;
  /** Sentences of what the plugin may do at most. */
  readonly reach: readonly string[];
  /** What differs from the last call of this tool that was approved for this agent; absent when there was none. */
  readonly changes?: readonly string[];
}

export interface ApprovalScope {
  /** Conditions on arguments. What they name may vary; every other argument is as it was asked. */
  readonly match?: Readonly<Record<string, unknown>>;
  /** A capability that is in here reaches only this far during the call. Each within the grant. */
  readonly within?: readonly Scope[];
}

export interface StoredAgent {
  readonly name: string;
  /** As it was written; checked when read. */
  readonly profile: unknown;
  readonly setBy: string;
  readonly setAt: number;
}

/** A credential, without the token itself. */
export interface StoredToken {
  readonly id: string;
  /** sha256 of the whole token, hex. */
  readonly hash: string;
  readonly kind: "agent" | "operator";
  /** The agent or operator whose it is. */
  readonly name: string;
  readonly scopes: readonly string[];
  /** Whether the operators' passphrase was asked for when it was made. */
  readonly guarded: boolean;
  readonly createdBy: string;
  readonly createdAt: number;
  readonly expiresAt: number | null;
  readonly lastUsedAt: number | null;
  /** When it was revoked, or seen to be expired. */
  readonly endedAt: number | null;
  readonly endedBy: string | null;
}

/** A rule that an operator added for a time. */
export interface StoredOverride {
  readonly id: string;
  /** As it was written; checked when read. */
  readonly rule: unknown;
  readonly endsAt: number;
  readonly setBy: string;
  readonly setAt: number;
}
