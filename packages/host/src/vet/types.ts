import type { Manifest } from "../manifest/index.ts";
import type { OpenedSource, PreparedPlugin } from "../registry/index.ts";

/** `error`: refused at install, or certainly wrong. `warning`: worth a look before saying yes. `note`: could be better. */
export const SEVERITIES = ["error", "warning", "note"] as const;
export type Severity = (typeof SEVERITIES)[number];

/** What is looked at. Each finding is of one rule. */
export type Rule =
  | "source"
  | "manifest"
  | "imports"
  | "size"
  | "secret"
  | "native"
  | "hidden-text"
  | "look-alike"
  | "permission"
  | "schema";

/** One thing that somebody should look at. Texts come from the plugin: show them escaped. */
export interface Finding {
  readonly rule: Rule;
  readonly severity: Severity;
  /** Below the plugin's root; empty for the whole. */
  readonly file: string;
  /** Counted from 1; null for the whole file. */
  readonly line: number | null;
  readonly message: string;
  readonly fix: string;
}

/** Which findings fail: `default` errors, `strict` warnings too. */
export type Preset = "default" | "strict";

export interface VetOptions {
  /** Ids that this plugin's id must not be mistaken for. */
  readonly knownIds?: readonly string[];
  /** Most bytes whose text is searched for secrets and hidden characters. */
  readonly scanBytes?: number;
}

/** How a plugin is opened and prepared; what they throw becomes findings. */
export interface VetPorts {
  open(): Promise<OpenedSource>;
  prepare(source: OpenedSource): Promise<PreparedPlugin<Manifest>>;
}

/** What every check looks at. */
export type Subject = Pick<
  PreparedPlugin<Manifest>,
  "manifest" | "manifestFile" | "files" | "bundlePath" | "imports" | "packed"
>;
