/** The words that every module shares. docs/architecture.md explains them. */

/** What a tool may do to the world, from mildest to strongest. Unknown counts as destructive. */
export const EFFECTS = ["read", "write", "external", "destructive"] as const;
export type Effect = (typeof EFFECTS)[number];

export function strongestEffect(a: Effect, b: Effect): Effect {
  return EFFECTS.indexOf(a) >= EFFECTS.indexOf(b) ? a : b;
}

/** What really contains a process. `namespace` and `landlock` are the kernel levels. */
export const ISOLATION_LEVELS = ["namespace", "landlock", "runtime", "in-process"] as const;
export type IsolationLevel = (typeof ISOLATION_LEVELS)[number];

/** Whether anything but its own code keeps a process at a level to its grant; null for no level. */
export function isContained(level: IsolationLevel): boolean;
export function isContained(level: IsolationLevel | null): boolean | null;
export function isContained(level: IsolationLevel | null): boolean | null {
  return level === null ? null : level !== "in-process";
}

/** What every view says of a plugin in the host's process. */
export const HOST_RIGHTS = "RUNS WITH THE HOST'S RIGHTS: nothing but its own code keeps it to what was granted";

/** A level as people read it. */
export function levelInWords(level: IsolationLevel): string {
  return isContained(level) ? level : `${level}: ${HOST_RIGHTS}`;
}

/** The least that a plugin or an operator accepts. */
export type IsolationFloor = "kernel" | "runtime";

export function satisfiesFloor(level: IsolationLevel, floor: IsolationFloor): boolean {
  return level === "namespace" || level === "landlock" || (floor === "runtime" && level === "runtime");
}

export const CAPABILITIES = [
  "network",
  "filesystem",
  "secrets",
  "exec",
  "database",
  "agent",
  "events",
  "tools",
  "hooks",
  "system",
] as const;
export type Capability = (typeof CAPABILITIES)[number];

export type Risk = "low" | "medium" | "high" | "critical";

/** Identity of the bytes that run: id, version and tree digest. */
export interface PluginRef {
  readonly id: string;
  readonly version: string;
  /** `sha256:…` over every file of the plugin. */
  readonly digest: string;
}

/** Through which plugin an agent's call was made: the plugin asks within a call of that agent. Only the host says so. */
export interface Via {
  /** The plugin that asks, and its call that asks. */
  readonly plugin: PluginRef;
  readonly callId: string;
  /** 1 for what a tool asks that the agent called itself. */
  readonly depth: number;
  /** `<plugin>__<tool>` of each call on the way, the agent's own first. */
  readonly chain: readonly string[];
}

/**
 * Who asks. Every face builds one; `invoke()` takes nothing else. `operator` is set when an operator acts as an agent, `token`
 * (its id, never the token) when one proved who asks, `via` by `invoke()` itself.
 */
export type Caller =
  | {
      readonly kind: "agent";
      readonly agent: string;
      readonly operator?: string;
      readonly token?: string;
      readonly via?: Via;
    }
  | {
      readonly kind: "operator";
      readonly agent: string;
      readonly operator: string;
      readonly token?: string;
      readonly via?: Via;
    };

export type CallOutcome = "not_started" | "succeeded" | "failed" | "unknown";

export type Decision = "allow" | "require_approval" | "deny";

/** States of one plugin version, keyed by (id, version, digest). docs/lifecycle.md draws them. */
export const PLUGIN_STATES = [
  "discovered",
  "validated",
  "invalid",
  "pending_approval",
  "approved",
  "denied",
  "starting",
  "running",
  "idle",
  "unhealthy",
  "failed",
  "stopped",
  "disabled",
  "revoked",
] as const;
export type PluginState = (typeof PLUGIN_STATES)[number];
