import type { IsolationLevel } from "../kernel/index.ts";
import type { PromptStats } from "./approvals.ts";

/** Who performs an operator's verb; goes into the audit. */
export interface Operator {
  readonly name: string;
  /** Id of the token that proved it; absent for the home's user. */
  readonly token?: string;
}

export interface SecretView {
  readonly name: string;
  readonly origins: readonly string[];
  /** How often a value was set under this name, counted from 1. */
  readonly version: number;
  readonly updatedAt: number;
}

export interface VaultView {
  readonly source: "file" | "env" | "keyring";
  /** Id of the key that the vault is sealed with. */
  readonly key: string;
  /** How often the vault was changed. */
  readonly revision: number;
}

export interface SecretsApi {
  /** Names, bound origins, versions and times; never values. @throws {SallyportError} `vault_unavailable`, as all of these. */
  list(): Promise<readonly SecretView[]>;
  /** Sets a value or replaces it: requests carry it at once, and a plugin that is given the value itself is restarted. */
  set(operator: Operator, name: string, value: string, origins: readonly string[]): Promise<void>;
  remove(operator: Operator, name: string): Promise<void>;
  /** Seals the vault with a new key. @throws {SallyportError} `usage` when the key is in the environment. */
  rotateKey(operator: Operator): Promise<VaultView>;
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
  readonly approvals: PromptStats;
}
