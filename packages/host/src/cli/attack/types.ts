import type { IsolationLevel } from "../../kernel/index.ts";

/** One thing that one hostile plugin tries; `plugins/hostile/README.md` says what each field means. */
export interface Attack {
  /** `<plugin>/<kind>`, or the plugin's name when it has but one. Unique. */
  readonly name: string;
  readonly group: string;
  readonly plugin: string;
  /** One plain sentence, without a subject. */
  readonly tries: string;
  readonly stage: "install" | "load" | "call";
  readonly input: Readonly<Record<string, unknown>>;
  readonly contained: { readonly codes: readonly string[]; readonly evidence?: "refused" | "any" | undefined };
  readonly next?: "unload" | "kill_host" | "cancel" | "ends" | undefined;
  /** The plugin is told where the planted things are. */
  readonly told: boolean;
  /** Levels that do not promise to contain it. */
  readonly notPromised: readonly IsolationLevel[];
  readonly demo: boolean;
}

/** One way to run the whole list. */
export interface Setting {
  readonly level: IsolationLevel;
  /** `open`: as if the runtime's own permissions were no wall, so that only the outer layer counts. */
  readonly permissions: "closed" | "open";
}

export interface AttackResult {
  readonly name: string;
  /** What stopped it; null when nothing did. */
  readonly layer: string | null;
  readonly contained: boolean;
  /** What the host saw, then what the plugin said. */
  readonly evidence: string;
  readonly tries: string;
  readonly group: string;
  /** False: this level promises nothing here, and the outcome is told but not counted. */
  readonly guaranteed: boolean;
  readonly duration_ms: number;
}

export interface LevelResult {
  readonly level: IsolationLevel;
  readonly permissions: "closed" | "open";
  readonly attacks: readonly AttackResult[];
  /** Counts of what the level guarantees. */
  readonly contained: number;
  readonly escaped: number;
  /** Attacks that this level makes no promise about. */
  readonly not_guaranteed: number;
}

/** How an attack ended: with an error code, or with an answer. */
export type Ending = { readonly code: string; readonly detail?: string | undefined } | { readonly answer: unknown };

/** Told while attacks run. */
export interface AttackStep {
  readonly name: string;
  readonly index: number;
  readonly of: number;
}
