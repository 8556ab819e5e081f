import type { PluginRef } from "../kernel/index.ts";
import type { ApprovalState } from "../store/index.ts";
import type { Operator } from "./operate.ts";

export interface ApprovalView {
  readonly id: string;
  readonly kind: "plugin" | "call";
  readonly state: ApprovalState;
  /** Milliseconds since the epoch, as every time here. */
  readonly createdAt: number;
  readonly expiresAt: number | null;
  readonly plugin: PluginRef;
  /** Written by the host from validated data. */
  readonly sentence: string;
  readonly tool?: string;
  readonly agent?: string;
  /** Canonical, redacted input of the call. */
  readonly input?: unknown;
  readonly inputDigest?: string;
  readonly effect?: string;
  /** The operator who asked as the agent. */
  readonly operator?: string;
  /** The tools through which a plugin asked, the agent's own call first. */
  readonly via?: readonly string[];
  /** The rule that asked. */
  readonly rule?: string;
  /** What the plugin may do at most, in sentences. */
  readonly reach?: readonly string[];
  /** What differs from the last call of the tool that was approved for this agent. */
  readonly changes?: readonly string[];
  readonly decidedBy?: string;
  readonly decidedAt?: number;
  readonly reason?: string;
  /** It covers more than one call. */
  readonly standing: boolean;
  /** What a yes covers beyond, or short of, exactly the call that was asked about. */
  readonly covers: readonly string[];
  /** Calls left; `null`: any number. */
  readonly usesLeft: number | null;
  readonly uses: number;
  readonly endedAt?: number;
  readonly endedBy?: string;
  readonly endedReason?: string;
}

export interface ApproveCallOptions {
  /** Milliseconds since the epoch; a quarter of an hour from now unless told. */
  readonly expiresAt?: number;
  /** How many calls; once unless told. `null`: any number until `expiresAt`, which has to be there then. */
  readonly uses?: number | null;
  /** `["city=Be*"]`, or conditions as in `when:` of a rule (docs/policy.md). What they do not name stays as it was asked. */
  readonly match?: readonly string[] | Readonly<Record<string, unknown>>;
  /** The only hosts that the plugin may reach during such a call: `api.example.com`, `host:8443`. Each within the grant. */
  readonly hosts?: readonly string[];
  /** The only folders. */
  readonly paths?: readonly string[];
}

/** A request that began to wait, or one that does not wait any more. */
export interface ApprovalChange {
  readonly change: "waiting" | "over";
  readonly approval: ApprovalView;
}

export interface PromptStats {
  /** Requests that wait, and yeses that cover more than one call. */
  readonly waiting: number;
  readonly standing: number;
  /** Calls that ran, requests that were put before an operator, and these per 100 of those; `null` before the first call. */
  readonly calls: number;
  readonly prompts: number;
  readonly promptsPer100: number | null;
  readonly agents: readonly {
    readonly agent: string;
    readonly calls: number;
    readonly prompts: number;
    readonly promptsPer100: number | null;
  }[];
}

export interface ApprovalsApi {
  /** Newest first, at most 1000. */
  list(filter?: { readonly state?: ApprovalState; readonly standing?: boolean }): Promise<readonly ApprovalView[]>;
  /**
   * A yes. To a call it never reaches further than the plugin's grant.
   * @throws {SallyportError} `not_found`; `conflict` when it was answered or is over; `forbidden` for who asked; `usage` for
   * options that contradict the request or the grant.
   */
  approve(operator: Operator, id: string, options?: ApproveCallOptions): Promise<ApprovalView>;
  deny(operator: Operator, id: string, reason?: string): Promise<ApprovalView>;
  /** Takes back a yes to a call. What runs goes on. @throws {SallyportError} `conflict` when it holds no more. */
  withdraw(operator: Operator, id: string, reason?: string): Promise<ApprovalView>;
  /** What waits now, then each change, until the signal. A reader that falls behind misses no request that still waits. */
  watch(signal: AbortSignal): AsyncIterable<ApprovalChange>;
  stats(): Promise<PromptStats>;
}
