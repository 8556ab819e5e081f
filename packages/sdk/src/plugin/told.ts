import type { Json } from "../protocol/v1/index.ts";

/** A call that is about to be made; every field is the host's word. */
export interface BeforeCall {
  readonly event: "tool.before_call";
  readonly call: string;
  /** `<plugin>__<tool>`. */
  readonly tool: string;
  readonly plugin: string;
  readonly effect: "read" | "write" | "external" | "destructive";
  readonly agent: string;
  /** With `payload: true` only: the arguments, checked against the tool's schema. */
  readonly input?: Json;
}

/** A call that is over. */
export interface AfterCall extends Omit<BeforeCall, "event"> {
  readonly event: "tool.after_call";
  readonly outcome: "succeeded" | "failed" | "unknown";
  /** Of a call that did not succeed. */
  readonly code?: string;
  readonly duration_ms: number;
  /** With `payload: true` only, and where it is not too long; known secrets are removed. */
  readonly result?: Json;
}

/** A plugin that changed its state. */
export interface Lifecycle {
  readonly event: "plugin.lifecycle";
  readonly plugin: string;
  readonly version: string;
  readonly from: string;
  readonly to: string;
}

export type HookEvent = BeforeCall | AfterCall | Lifecycle;

/**
 * What a hook on `tool.before_call` must return; anything else, a throw and a late answer deny the call. `mark: true` writes the
 * value that the manifest names into the arguments.
 */
export type Verdict =
  | { readonly decision: "allow"; readonly mark?: true }
  | { readonly decision: "deny"; readonly reason?: string };

/** An event that another plugin published. `payload` is that plugin's word, the rest the host's. */
export interface PluginEvent {
  readonly id: string;
  readonly topic: string;
  readonly payload: Json;
  readonly publisher: { readonly id: string; readonly version: string };
  /** Milliseconds since the epoch. */
  readonly time: number;
}
