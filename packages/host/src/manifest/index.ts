export type { CommandDefinition, Category, HookDefinition, JsonSchema, Manifest, McpServerDefinition, RouteDefinition, ToolDefinition } from "./types.ts";
export { CATEGORIES } from "./types.ts";
