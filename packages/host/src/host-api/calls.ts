import type { Caller, Decision, Effect, ErrorCode, IsolationLevel } from "../kernel/index.ts";
import type { JsonSchema } from "../manifest/index.ts";
import type { Progress } from "../supervisor/index.ts";

export interface InvokeRequest {
  /** `<plugin>__<tool>`. */
  readonly tool: string;
  readonly input: unknown;
  /** The approval that lets this call run, when one was given; otherwise a matching one is looked up. */
  readonly approvalId?: string;
  /** Holds a call that needs an approval for at most so many milliseconds, up to an hour; 0, the default, answers at once. */
  readonly waitMs?: number;
  /** Trace id of the caller (W3C trace id), for the audit. */
  readonly trace?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

/** What the host did to a plugin's words on their way out. */
export interface OutputChanges {
  /** A text that was too long was cut: bytes of UTF-8 that are left, and that there were. */
  readonly truncated?: { readonly bytes: number; readonly of: number };
  /** What looked like a credential and was taken out, in words, each kind once. */
  readonly removed?: readonly string[];
  /** Hidden characters are shown as `\u{…}`. */
  readonly escaped?: true;
}

/** Whose words an answer holds: data of a stranger, never instructions. Written by the host. */
export interface ContentMark extends OutputChanges {
  readonly untrusted: true;
  readonly plugin: string;
  readonly version: string;
  /** The plugin's own name of the tool. */
  readonly tool: string;
  readonly isolation: IsolationLevel | null;
}

export type InvokeAnswer =
  | {
      readonly success: true;
      readonly callId: string;
      readonly result: unknown;
      readonly durationMs: number;
      /** Of `result`. */
      readonly content?: ContentMark;
    }
  | {
      readonly success: false;
      readonly callId: string;
      readonly error: string;
      readonly code: ErrorCode;
      readonly detail?: string;
      readonly fix?: string;
      readonly approval?: { readonly id: string };
      /** Of `error`, when those are the plugin's own words. */
      readonly content?: ContentMark;
      /** After a limit on the agent's calls: when to try again, milliseconds from now. */
      readonly retryAfterMs?: number;
    };

/** What a plugin wants operators to know, in its own words; escaped, and known secrets removed. */
export interface PluginNote {
  readonly plugin: string;
  readonly version: string;
  readonly text: string;
  /** Its call that said so, and the agent of that call. */
  readonly call: string;
  readonly agent: string;
  /** Milliseconds since the epoch. */
  readonly time: number;
}

export interface ToolSummary {
  /** `<plugin>__<tool>`. */
  readonly name: string;
  readonly plugin: string;
  readonly tool: string;
  readonly description: string;
  /** The computed effect. */
  readonly effect: Effect;
  readonly decision: Decision;
  readonly inputSchema: JsonSchema;
  readonly outputSchema?: JsonSchema;
  readonly isolation: IsolationLevel | null;
  /** False: its plugin runs with the host's rights. */
  readonly contained: boolean | null;
}

export interface ToolsApi {
  /**
   * What this caller may see: decision allow or require_approval, plugin running or idle. In the order of their names; with a
   * page, at most so many behind the name `after`.
   */
  list(
    caller: Caller,
    page?: { readonly after?: string | undefined; readonly most?: number },
  ): Promise<readonly ToolSummary[]>;
  info(caller: Caller, name: string): Promise<ToolSummary>;
  /** `invoke()` for programs: the result, or the failure thrown. @throws {SallyportError} `PolicyViolationError` for every denial. */
  call(caller: Caller, request: InvokeRequest): Promise<unknown>;
}
