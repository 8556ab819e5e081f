import type { Decision } from "../kernel/index.ts";
import type { PolicyDefaults, PolicyFinding } from "../policy/index.ts";
import type { Operator } from "./operate.ts";

/** A decision as people are told it. */
export interface DecisionView {
  readonly decision: Decision;
  /** Id of the rule that decided, `default:<effect>`, `default-deny`, or what of an agent's profile hides the tool. */
  readonly rule: string;
  readonly reason?: string | undefined;
  readonly because?: readonly string[] | undefined;
  readonly unclear?: true | undefined;
  /** Earlier calls that a data-flow rule was decided by. */
  readonly after?: readonly string[] | undefined;
}

/** The rules in force. */
export interface PolicyView {
  readonly snapshot: string;
  readonly defaults: PolicyDefaults;
  readonly layers: readonly {
    readonly name: string;
    readonly temporary: boolean;
    readonly rules: readonly Readonly<Record<string, unknown>>[];
  }[];
  readonly time: { readonly now: number; readonly certain: boolean };
}

export interface PolicyCheck {
  readonly ok: boolean;
  readonly rules: number;
  readonly findings: readonly PolicyFinding[];
}

export interface PolicyQuestion {
  readonly tool: string;
  readonly agent: string;
  /** Absent: what the tool's list shows, before any arguments. */
  readonly input?: unknown;
}

export interface PolicyExplanation {
  readonly tool: string;
  readonly agent: string;
  readonly effect: string;
  readonly plugin: string;
  readonly grant: readonly string[];
  readonly snapshot: string;
  /** The gates before the plugin, in their order, up to the first that would stop the call. */
  readonly gates: readonly { readonly gate: string; readonly ok: boolean; readonly detail: string }[];
  readonly decision: DecisionView;
  /** Every rule about this tool and agent, and whether this call meets it. */
  readonly rules: readonly {
    readonly rule: string;
    readonly layer: string;
    readonly line?: number | undefined;
    readonly decision: Decision;
    readonly met: "yes" | "unclear" | "no";
  }[];
  readonly time: { readonly now: number; readonly certain: boolean };
}

/** A call of the past, as the audit has it. */
export interface CallExplanation {
  readonly call: string;
  readonly time: number;
  readonly tool: string;
  readonly agent: string;
  readonly actor: string;
  readonly plugin?: { readonly id: string; readonly version: string; readonly digest: string } | undefined;
  readonly outcome?: string | undefined;
  readonly decision?: DecisionView | undefined;
  /** The gate that stopped it; `null`: none did. */
  readonly stoppedBy: { readonly gate: string; readonly reason: string } | null;
  readonly snapshot?: string | undefined;
  /** Whether the rules that decided are those in force now. */
  readonly snapshotInForce: boolean;
  /** The rule as it is now, when it still exists. */
  readonly ruleNow?: Readonly<Record<string, unknown>> | undefined;
  /** What the plugin was granted: effect and scope keys. */
  readonly grant?: string | undefined;
  readonly isolation?: string | undefined;
  readonly approval?: { readonly id: string; readonly by: string | null; readonly at: number | null } | undefined;
  readonly parentCall?: string | undefined;
  readonly path: readonly { readonly call: string; readonly tool?: string; readonly time?: number }[];
  /** What the plugin did through the broker, and what it was refused. */
  readonly actions: readonly {
    readonly capability: string;
    readonly target: string;
    readonly method: string;
    readonly decision: string;
    readonly reason?: string | undefined;
  }[];
}

export interface SimulationRequest {
  /** A policy file's text; absent: the rules in force. It stands in for those of config.yml; other layers stay. */
  readonly policy?: string | undefined;
  /** Milliseconds since the epoch; default: seven days ago. */
  readonly since?: number | undefined;
}

export interface SimulatedCall {
  readonly call: string;
  readonly time: number;
  readonly agent: string;
  readonly tool: string;
}

export interface Simulation {
  readonly since: number;
  readonly calls: number;
  readonly unchanged: number;
  /** Milder or stricter than it was. At most 1000 are listed. */
  readonly changed: readonly (SimulatedCall & { readonly was: DecisionView; readonly would: DecisionView })[];
  readonly milder: number;
  readonly stricter: number;
  /** Calls of which the audit has too little. At most 1000 are listed. */
  readonly unevaluated: readonly (SimulatedCall & { readonly why: string })[];
  readonly notEvaluated: number;
  /** False: the audit holds more calls since then than were looked at; the newest were. */
  readonly complete: boolean;
}

export interface OverrideRequest {
  /** A rule as config.yml writes it, without `id` and `until`. */
  readonly rule: unknown;
  /** Milliseconds since the epoch. */
  readonly endsAt: number;
}

export interface OverrideView {
  readonly id: string;
  readonly rule: unknown;
  readonly endsAt: number;
  readonly setBy: string;
  readonly setAt: number;
}

export interface PolicyApi {
  /** sha256 of the rules in force. */
  snapshot(): string;
  show(): PolicyView;
  /** What is wrong with the rules of a text, or with those in force, also as the installed tools show it. */
  check(text?: string): Promise<PolicyCheck>;
  /** @throws {SallyportError} `unknown_tool` when no loaded plugin declares the tool. */
  explain(question: PolicyQuestion): Promise<PolicyExplanation>;
  /** @throws {SallyportError} `not_found` when the audit has no such call. */
  explainCall(call: string): Promise<CallExplanation>;
  /** @throws {SallyportError} `config_invalid` for a text that is no policy. */
  simulate(request: SimulationRequest): Promise<Simulation>;
  listOverrides(): Promise<readonly OverrideView[]>;
  /** Adds a rule for a time, of at most 30 days. */
  addOverride(operator: Operator, request: OverrideRequest): Promise<OverrideView>;
  removeOverride(operator: Operator, id: string): Promise<void>;
  /** Believes the clock as it is now, after it was ahead and has been put right. */
  acceptClock(operator: Operator): Promise<{ readonly now: number }>;
}
