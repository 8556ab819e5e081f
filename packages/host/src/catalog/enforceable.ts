import type { Capability } from "../kernel/index.ts";
import type { Scope } from "../capability/index.ts";
import type { Manifest } from "../manifest/index.ts";

/** Capabilities that the broker of this version serves. A grant of any other would be a promise that nothing keeps. */
const SERVED: readonly Capability[] = ["network", "filesystem", "secrets", "tools"];

/** What the manifest contributes, or the grant allows, that this version does not enforce yet, in plain words. */
export function unenforceable(manifest: Manifest, granted: readonly Scope[]): readonly string[] {
  const problems: string[] = [];
  if (manifest.routes.length > 0) problems.push("routes");
  if (manifest.hooks.length > 0) problems.push("hooks");
  if (manifest.mcpServers.length > 0) problems.push("MCP servers");
  for (const capability of new Set(granted.map((scope) => scope.capability))) {
    if (!SERVED.includes(capability)) problems.push(`the capability "${capability}"`);
  }
  // What `x-sensitive` in a config_schema asks for: nothing maps these names to the vault yet.
  if (granted.some((scope) => scope.capability === "secrets" && scope.name.startsWith("config:"))) {
    problems.push("sensitive configuration values");
  }
  if (granted.some((scope) => scope.capability === "network" && (scope.scheme === "ws" || scope.scheme === "wss"))) {
    problems.push("WebSocket connections");
  }
  return problems;
}
