export type {
  Agent,
  Context,
  Events,
  Database,
  DatabaseParameter,
  DatabaseResult,
  DatabaseValue,
  ExecOptions,
  ExecOutcome,
  FileInfo,
  Files,
  KeyValue,
  Logger,
  Secrets,
  System,
  ToolContext,
} from "./context.ts";
export { type AnyTools, definePlugin, type PluginDefinition } from "./define-plugin.ts";
export { isSallyportError, type SallyportError, sallyportError } from "./errors.ts";
export type { AfterCall, BeforeCall, HookEvent, Lifecycle, PluginEvent, Verdict } from "./told.ts";
export { type LoadedHook, type LoadedPlugin, loadPlugin, type LoadedTool } from "./load-plugin.ts";
export { type ActionAnswer, type ActionDescription, Plugin, type PluginMetadata } from "./plugin.ts";
export { openWebSocket } from "./websocket.ts";
