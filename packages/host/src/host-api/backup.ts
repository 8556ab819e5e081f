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
