import type { PluginRef } from "../kernel/index.ts";

export interface LearnRequest {
  /** Milliseconds since the epoch; absent: as far back as the audit goes. */
  readonly since?: number;
  /** What was refused counts as if it had been used, wherever it can be asked for at all. */
  readonly includeRefused?: boolean;
  /** What other versions of the id did counts too. */
  readonly allVersions?: boolean;
}

/** One permission: as it is asked for, and as it was used. */
export interface LearnedPermission {
  /** Key of the request; of an addition, of its scope. */
  readonly key: string;
  readonly capability: string;
  /**
   * `keep`: used as asked. `narrow`: less was used. `remove`: never used. `unseen`: its use leaves no trace, so nothing is
   * said. `add`: refused until now, and only there with `includeRefused`.
   */
  readonly change: "keep" | "narrow" | "remove" | "unseen" | "add";
  /** What it allows now, or would. */
  readonly sentence: string;
  /** What is proposed instead, a sentence for each scope; empty unless `narrow`. */
  readonly proposed: readonly string[];
  readonly uses: number;
  /** Milliseconds since the epoch. */
  readonly lastUsed: number | null;
}

/** What the plugin tried and was refused. Its own words are in here, escaped. */
export interface LearnedRefusal {
  /** Method and target. */
  readonly wish: string;
  /** Error code of the refusal. */
  readonly reason: string;
  readonly count: number;
  readonly last: number;
  /** Whether the proposal asks for it. */
  readonly included: boolean;
}

/** A proposal. It is not a grant: nothing changes by it. */
export interface LearnAnswer {
  readonly plugin: PluginRef;
  /** Time of the first and the last call that was looked at; null without any. */
  readonly from: number | null;
  readonly to: number | null;
  readonly calls: number;
  readonly agents: number;
  /** Declared tools that were not called: what they need was not seen. */
  readonly neverCalled: readonly string[];
  /** There was more than is read at once, or is told apart: the oldest was looked at. */
  readonly truncated: boolean;
  readonly confidence: "none" | "low" | "some" | "good";
  readonly permissions: readonly LearnedPermission[];
  readonly refused: readonly LearnedRefusal[];
  /** The manifest's `permissions:`, as data. */
  readonly manifest: Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>>;
  /** The same as a block of YAML. */
  readonly yaml: string;
  /** How an operator grants as much and no more: values of `--only` and `--scope` for `plugin approve`. Null: it has to be asked for first. */
  readonly approve: { readonly only: readonly string[]; readonly scopes: readonly string[] } | null;
}
