import type { ErrorCode, Risk } from "../kernel/index.ts";
import type { LockDifference } from "../registry/index.ts";
import type { InstallRequest, PluginSummary } from "./plugins.ts";

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
   * and waits for a yes, to it or to what it needs, while the old one goes on.
   */
  readonly state: "current" | "possible" | "upgraded" | "waiting";
  readonly difference: UpgradeDifference;
  /**
   * Other plugins that the new version needs and that nobody has approved here: to be approved first, in this order. A dry run
   * names those that would come along, too.
   */
  readonly needs: readonly { readonly id: string; readonly version: string }[];
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
