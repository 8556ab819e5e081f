import type { Scope } from "../capability/index.ts";
import type { IsolationLevel, PluginRef } from "../kernel/index.ts";

/** What a plugin's code may ask about itself: names and scopes, never values. */
export interface PluginView {
  readonly ref: PluginRef;
  /** Tools that the manifest declares; the code must offer exactly these. */
  readonly tools: readonly string[];
  /** Functions that hooks call; the code must have them. */
  readonly hooks?: readonly string[];
  readonly scopes: readonly Scope[];
  readonly config: Readonly<Record<string, unknown>>;
  /** Secret name → placeholder text (or the value itself under an `expose` grant). */
  readonly secrets: Readonly<Record<string, string>>;
}

export interface ProcessLimits {
  readonly memoryMb: number;
  readonly concurrency: number;
  /** Processes and threads. Absent: the usual number. */
  readonly tasks?: number;
  /** Processors that it may use, 1 being one whole; needs groups of the kernel's. Absent: any. */
  readonly processors?: number;
}

/** Everything that is needed to start one plugin's process. Written by the host; no field is a plugin's text, but for `view`. */
export interface LaunchPlan {
  readonly view: PluginView;
  readonly level: IsolationLevel;
  /** Directory in the content store that holds the plugin's verified files; mounted read-only. */
  readonly root: string;
  /** The bundle's path below `root`. */
  readonly bundle: string;
  readonly limits: ProcessLimits;
  /** Set when `bundle` is a program's own file instead of a module. */
  readonly program?: ProgramPlan;
  /** Answers the plugin's requests. */
  readonly broker: BrokerSession;
  /** For attacks in tests only: open the runtime's own permissions, so that only the outer layer holds. */
  readonly openRuntimePermissions?: boolean;
}

/** A program that runs without the engine. */
export interface ProgramPlan {
  readonly interpreter: "python" | "node" | "none";
  /** The plugin's text; arguments of its own program only. */
  readonly args: readonly string[];
  /** Set when it is an MCP server: what its tools have to be. Otherwise it speaks the protocol of plugins itself. */
  readonly mcpTools?: readonly McpToolPin[];
}

/** A declared tool, as the server has to describe it. */
export interface McpToolPin {
  readonly name: string;
  readonly serverName: string;
  readonly description: string;
  readonly inputSchema: unknown;
  /** Absent: the server must not have one either. */
  readonly outputSchema?: unknown;
}

/** One tool call in flight, as the process and the broker see it. */
export interface CallContext {
  readonly callId: string;
  readonly agent: string;
  readonly tool: string;
  /** Resolves once the call's intent is durable. No effect may happen before. */
  readonly intent: Promise<void>;
  readonly signal: AbortSignal;
  readonly progress?: (progress: Progress) => void;
  /** A capability that is in here reaches only this far during the call, whatever was granted. */
  readonly within?: readonly Scope[] | undefined;
  /** Only what is served outside a call is served: log and kv. */
  readonly limited?: boolean;
}

export interface Progress {
  readonly progress: number;
  readonly total?: number;
  readonly message?: string;
}

export interface ToolCall extends CallContext {
  readonly input: unknown;
  /** Covers the wait for a place too. */
  readonly timeoutMs: number;
  /** Never in flight together with any other call. */
  readonly exclusive?: boolean;
  /** Set when the host tells the plugin something instead of calling a tool of it; `input` is what it tells. */
  readonly delivery?: "hook" | "event";
  /** Told when the call reaches the plugin. */
  readonly onStart?: () => void;
  /** Asked when the call would have to wait for a place; false: it fails with `busy` instead. */
  readonly mayWait?: () => boolean;
}

export interface ToolAnswer {
  readonly output: unknown;
  /** Size of the answer on the wire. */
  readonly bytes: number;
}

/**
 * A plugin's requests to the host, for one process. `context` is the call that the request names, already checked to be
 * in flight in that process, or null outside a call (then only `log` and `kv` are served).
 */
export interface BrokerSession {
  handle(method: string, params: unknown, context: CallContext | null, signal: AbortSignal): Promise<unknown>;
  notify(method: string, params: unknown, context: CallContext | null): void;
  /** The way to the network for a program with an HTTP stack of its own; absent when no grant leads anywhere. */
  readonly egress?: EgressDoor;
  /** Releases whatever a call left open (bodies, handles). */
  endCall(callId: string): void;
  close(): void;
}

/** A proxy outside the walls, on a unix socket that is all a program's empty network namespace leads to. */
export interface EgressDoor {
  /**
   * Listens.
   * @param owner who may connect, when that is another user than the host's.
   * @returns absolute path of the socket, alone in a folder of its own.
   */
  open(owner: { readonly uid: number; readonly gid: number } | null): Promise<string>;
  /** From now on connections are served, as part of this call. */
  begin(context: CallContext): void;
  /** With the last call, every connection ends. */
  end(callId: string): void;
}

export type ProcessState = "starting" | "running" | "unhealthy" | "stopping" | "gone";

/** A started plugin process: handshake done, `initialize` returned true, declared tools registered. */
export interface PluginProcess {
  readonly level: IsolationLevel;
  /** The host's own at `in-process`. */
  readonly pid: number;
  readonly state: ProcessState;
  /** Calls are in flight, or were given up and the plugin has not ended them. */
  readonly busy: boolean;
  /** Calls that it was given so far. */
  readonly served: number;
  /** Whether it answers pings in time. */
  readonly responsive: boolean;
  /** One listener, told when `responsive` changes. */
  onHealth(listener: (responsive: boolean) => void): void;
  /** Resolves when the process and its whole group are gone; says why. */
  readonly exited: Promise<ProcessExit>;
  /** @throws {SallyportError} `tool_failed`, `deadline_exceeded`, `cancelled`, `plugin_crashed`, `protocol_violation`, `output_too_large`, `busy`. */
  call(call: ToolCall): Promise<ToolAnswer>;
  /**
   * Takes no call any more, fails those that wait (they never started), lets those in flight end for at most `drainMs`
   * (default 0) and then gives them up; asks the plugin to shut down, waits for at most `graceMs`, then kills the group.
   */
  stop(graceMs: number, drainMs?: number): Promise<void>;
  kill(reason: string): Promise<void>;
}

export interface ProcessExit {
  /** Whether the host asked for it. */
  readonly expected: boolean;
  readonly code: number | null;
  readonly signal: string | null;
  /** In plain words: "the process was killed at its memory limit". */
  readonly reason: string;
  /** It offers other tools than those that were approved: nobody may start it again before a person has looked. */
  readonly toolsChanged?: true;
}

/** Where a start stopped; the code says at which gate. */
export interface Launcher {
  /** @throws {SallyportError} `launch_failed`, `handshake_failed`, `load_failed`, `undeclared_tool`, `missing_tool`, `initialize_failed`, `isolation_unavailable`. The process group is gone when it throws. */
  launch(plan: LaunchPlan, signal?: AbortSignal): Promise<PluginProcess>;
}
