import type { ErrorCode } from "../kernel/index.ts";

/** What the driver can bind. A boolean aborts the whole process in libsql, so none ever gets this far. */
export type Bindable = string | number | bigint | null | Uint8Array;

export interface WireStatement {
  readonly sql: string;
  readonly params: readonly Bindable[];
  /** Rows it must change; `null` when any number will do. */
  readonly expect: number | null;
}

export interface Migration {
  readonly version: number;
  readonly name: string;
  readonly sql: string;
}

/** What the thread is started with. */
export interface ThreadData {
  readonly path: string;
  readonly migrations: readonly Migration[];
  readonly now: number;
}

export type ThreadRequest =
  | { readonly id: number; readonly kind: "run"; readonly statement: WireStatement }
  | { readonly id: number; readonly kind: "atomically"; readonly statements: readonly WireStatement[] }
  /** `text`: canonical JSON events, one a line; one string crosses a thread border faster than many. */
  | {
      readonly id: number;
      readonly kind: "append";
      readonly text: string;
      readonly statements: readonly WireStatement[];
    }
  /** Brings the query index up to the head. */
  | { readonly id: number; readonly kind: "index" }
  | { readonly id: number; readonly kind: "head" }
  | {
      readonly id: number;
      readonly kind: "page";
      readonly after: number;
      readonly upTo: number;
      readonly limit: number;
    }
  | { readonly id: number; readonly kind: "backup"; readonly path: string }
  | { readonly id: number; readonly kind: "close" };

export interface RunAnswer {
  readonly rows: readonly unknown[];
  readonly changes: number;
}

export interface AppendAnswer {
  readonly firstSeq: number;
  readonly prevHash: string;
  /** Hashes of 64 digits each, one after the other. */
  readonly hashes: string;
}

/** Events in a row, for recomputing: stored hashes one after the other, bodies as UTF-8 with a line feed between. */
export interface ChainPage {
  readonly count: number;
  readonly last: number;
  readonly hashes: string;
  readonly bodies: Uint8Array;
}

/** What the hashing thread is asked: is this page, after this place, what its hashes say? */
export interface HashQuestion {
  readonly first: number;
  readonly prevHash: string;
  readonly page: ChainPage;
}

export interface ThreadError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly detail?: string | undefined;
  readonly fix?: string | undefined;
}

/** `id` 0 says that the store is open, or why it is not. */
export type ThreadReply =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | { readonly id: number; readonly ok: false; readonly error: ThreadError };
