import type { Capability, ErrorCode, Risk } from "../kernel/index.ts";
import type { Operator } from "./operate.ts";
import type { SignerView } from "./trust.ts";

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
