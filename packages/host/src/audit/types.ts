import type { CallOutcome, Decision, IsolationLevel, PluginRef } from "../kernel/index.ts";
import type { Statement } from "../store/index.ts";

export type AuditEventType =
  | "plugin.lifecycle"
  | "plugin_tool.invoked"
  | "broker.action"
  | "hook.ran"
  | "event.delivered"
  | "event.dropped"
  | "plugin.note"
  | "approval.requested"
  | "approval.decided"
  | "approval.used"
  | "approval.expired"
  | "approval.cancelled"
  | "approval.withdrawn"
  | "grant.written"
  | "grant.withdrawn"
  | "policy.changed"
  | "secret.changed"
  | "vault.rekeyed"
  | "vault.rolled_back"
  | "config.changed"
  | "key.trusted"
  | "key.rotated"
  | "key.untrusted"
  | "key.revoked"
  | "key.resealed"
  | "plugin.evidence"
  | "plugin.upgraded"
  | "plugin.rolled_back"
  | "plugin.revoked"
  | "data.purged"
  | "home.backed_up"
  | "home.restored"
  | "lock.restored"
  | "store.collected"
  | "registry.added"
  | "registry.removed"
  | "registry.refreshed"
  | "operator.authenticated"
  | "agent.changed"
  | "token.created"
  | "token.revoked"
  | "token.refused"
  | "host.started"
  | "host.stopped";

/** What the host states; the log adds seq, prev_hash and hash. Times are milliseconds since the epoch. */
export interface AuditEvent {
  readonly v: 1;
  readonly id: string;
  readonly time: number;
  readonly type: AuditEventType;
  /** `operator:NAME`, `agent:NAME`, `plugin:ID` or `host`. */
  readonly actor: string;
  readonly agent?: string | undefined;
  readonly plugin?: PluginRef | undefined;
  readonly tool?: string | undefined;
  /** What the tool may reach: its computed effect and the grant's scope keys. */
  readonly scope?: string | undefined;
  readonly call_id?: string | undefined;
  readonly parent_call?: string | undefined;
  /** `intent` before the effect, `outcome` after. */
  readonly phase?: "intent" | "outcome" | undefined;
  readonly decision?: Decision | undefined;
  readonly rule?: string | undefined;
  /** An error code or a short reason. */
  readonly reason?: string | undefined;
  readonly policy_snapshot?: string | undefined;
  readonly approval?: string | undefined;
  readonly isolation?: IsolationLevel | undefined;
  readonly contained?: boolean | undefined;
  readonly outcome?: CallOutcome | undefined;
  readonly duration_ms?: number | undefined;
  /** Canonical, redacted, at most 16 KiB, or absent. */
  readonly input?: unknown;
  readonly input_digest?: string | undefined;
  readonly output_digest?: string | undefined;
  readonly trace?: string | undefined;
  /** `plugin.lifecycle`: the edge. */
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  /** `broker.action`. */
  readonly capability?: string | undefined;
  readonly target?: string | undefined;
  readonly method?: string | undefined;
  readonly status?: number | undefined;
  readonly bytes?: number | undefined;
  /** Small facts of other types: names and counts, never values. */
  readonly data?: Readonly<Record<string, unknown>> | undefined;
}

export interface StoredAuditEvent extends AuditEvent {
  readonly seq: number;
  readonly prev_hash: string;
  readonly hash: string;
}

export interface AuditFilter {
  readonly type?: string;
  readonly plugin?: string;
  readonly agent?: string;
  readonly tool?: string;
  readonly call?: string;
  readonly outcome?: string;
  /** Inclusive, milliseconds since the epoch. */
  readonly since?: number;
  readonly until?: number;
  /** Only events after this sequence number. */
  readonly afterSeq?: number;
  /** At most this many; 1..1000. */
  readonly limit?: number;
  /** Newest first unless `asc`. */
  readonly order?: "asc" | "desc";
}

export interface AuditVerification {
  readonly ok: boolean;
  readonly events: number;
  readonly head: { readonly seq: number; readonly hash: string } | null;
  readonly problems: readonly { readonly seq: number; readonly problem: string }[];
}

/** The append-only, hash-chained log of a home. */
export interface AuditLog {
  /** Resolves when the event is durable. @throws {SallyportError} `audit_unavailable`. */
  record(event: AuditEvent): Promise<void>;
  /**
   * Writes statements and events in one transaction: both or neither. Resolves when durable.
   * @throws {SallyportError} `conflict` when a statement did not change what it expects; `audit_unavailable`.
   */
  commit(statements: readonly Statement[], events: readonly AuditEvent[]): Promise<void>;
  /** Queues an event; a failure to write makes `healthy` false and every later call is refused. */
  note(event: AuditEvent): void;
  /** Resolves when everything queued so far is durable. */
  flush(): Promise<void>;
  readonly healthy: boolean;
  query(filter: AuditFilter): Promise<readonly StoredAuditEvent[]>;
  verify(expectedHead?: { seq: number; hash: string }): Promise<AuditVerification>;
  /** Lines of NDJSON, oldest first; the last line holds the head and its signature. */
  export(): AsyncIterable<string>;
  /** Calls `listener` for each event once it is durable. Returns the way to stop. */
  subscribe(listener: (event: StoredAuditEvent) => void): () => void;
}

/** The log as its owner has it. */
export interface OwnedAuditLog extends AuditLog {
  head(): Promise<{ readonly seq: number; readonly hash: string }>;
  /** Writes what is queued and a last checkpoint. The database stays open. */
  close(): Promise<void>;
}
