import type { Caller } from "../kernel/index.ts";
import type { JsonSchema } from "../manifest/index.ts";
import type { InvokeAnswer } from "./calls.ts";

/** A command that a plugin contributes: another name for one of its tools. */
export interface CommandSummary {
  /** `<plugin>__<command>`. */
  readonly name: string;
  readonly plugin: string;
  readonly command: string;
  readonly description: string;
  /** `<plugin>__<tool>`. */
  readonly tool: string;
  readonly inputSchema: JsonSchema;
  /** The properties that words without a name stand for, in order. */
  readonly words: readonly string[];
}

export interface CommandRun {
  /** `<plugin>__<command>`, or the command alone when only one plugin has it for this caller. */
  readonly name: string;
  /** The input as it is; what is given as words and values is put over it. */
  readonly input?: Readonly<Record<string, unknown>>;
  readonly words?: readonly string[];
  readonly values?: Readonly<Record<string, string>>;
  readonly approvalId?: string;
  readonly signal?: AbortSignal;
}

export interface CommandsApi {
  /** Commands whose tool this caller has, in the order of their names. */
  list(caller: Caller): Promise<readonly CommandSummary[]>;
  /** Calls the command's tool, through `invoke()`. One that is not there for the caller is answered like one that does not exist. */
  run(caller: Caller, run: CommandRun): Promise<InvokeAnswer>;
}

export interface RouteCall {
  readonly plugin: string;
  readonly method: string;
  /** As it was sent, neither decoded nor normalised. */
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  /** The body's members; empty without a body. */
  readonly body: Readonly<Record<string, unknown>>;
  readonly signal?: AbortSignal;
}

export interface RoutesApi {
  /** Calls the tool of a plugin's route, through `invoke()`. One that is not there for the caller is answered like one that does not exist. */
  call(caller: Caller, call: RouteCall): Promise<InvokeAnswer>;
}
