import type { Effect, IsolationFloor } from "../kernel/index.ts";
import type { HookEvent, HookMark, PermissionRequest } from "../capability/index.ts";

/** A JSON Schema of the plugin's, already checked against the subset that this host compiles. */
export type JsonSchema = boolean | { readonly [key: string]: unknown };

export const CATEGORIES = [
  "data_processing",
  "model_inference",
  "agent_skill",
  "integration",
  "visualization",
  "monitoring",
] as const;
export type Category = (typeof CATEGORIES)[number];

export interface ToolDefinition {
  /** `[a-z][a-z0-9_]*`, no `__`, at most 64 characters together with the plugin's id. */
  readonly name: string;
  readonly description: string;
  /** As declared; absent or unknown is `destructive`. What counts is computed with the grants. */
  readonly effect: Effect;
  readonly inputSchema: JsonSchema;
  readonly outputSchema?: JsonSchema;
  readonly timeoutMs: number;
}

export interface CommandDefinition {
  readonly name: string;
  readonly description: string;
  readonly tool: string;
}

export interface RouteDefinition {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly tool: string;
}

export interface HookDefinition {
  readonly event: HookEvent;
  readonly handler: string;
  readonly tools?: readonly string[];
  readonly payload?: boolean;
  readonly mark?: HookMark;
  readonly background?: boolean;
}

/** A server that speaks the Model Context Protocol: a program of the plugin, or one that runs elsewhere. */
export interface McpServerDefinition {
  readonly name: string;
  readonly description?: string;
  /** The plugin's entry. */
  readonly program?: string;
  readonly args?: readonly string[];
  readonly url?: string;
  /** Declared tool → its name at the server, where the two differ. */
  readonly tools?: Readonly<Record<string, string>>;
}

/** What runs an entry that is no module: a known interpreter, or none for an executable file. */
export const PROGRAM_INTERPRETERS = ["python", "node", "none"] as const;
export type ProgramInterpreter = (typeof PROGRAM_INTERPRETERS)[number];

/** A manifest after parsing and normalising: one spelling, every default filled in. Pure data; nothing in it has an effect. */
export interface Manifest {
  readonly id: string;
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly author?: string;
  readonly license?: string;
  readonly homepage?: string;
  readonly entry: string;
  /** Set when the plugin is a program of its own, without the JavaScript layer. */
  readonly interpreter?: ProgramInterpreter;
  readonly categories: readonly Category[];
  readonly tools: readonly ToolDefinition[];
  readonly commands: readonly CommandDefinition[];
  readonly routes: readonly RouteDefinition[];
  readonly hooks: readonly HookDefinition[];
  readonly mcpServers: readonly McpServerDefinition[];
  /** What the plugin asks for, tools and hooks that it contributes included. */
  readonly permissions: readonly PermissionRequest[];
  readonly configSchema: JsonSchema;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly engines: { readonly sallyport?: string };
  /** What the plugin insists on; `runtime` when it says nothing, so that the operator's floor decides alone. */
  readonly isolation: { readonly minimum: IsolationFloor };
  readonly limits: { readonly memoryMb?: number; readonly concurrency?: number };
}
