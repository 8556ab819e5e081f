import type { HostConfig } from "../config/index.ts";
import { type Capability, displayLine, type IsolationLevel, satisfiesFloor } from "../kernel/index.ts";
import type { Scope } from "../capability/index.ts";
import type { Manifest } from "../manifest/index.ts";

/** Capabilities that the broker of this version serves. A grant of any other would be a promise that nothing keeps. */
const SERVED: readonly Capability[] = [
  "network",
  "filesystem",
  "secrets",
  "exec",
  "agent",
  "events",
  "hooks",
  "system",
  "tools",
  "database",
];

/** What the manifest contributes, or the grant allows, that this version does not enforce yet, in plain words. */
export function unenforceable(manifest: Manifest, granted: readonly Scope[]): readonly string[] {
  const problems: string[] = [];
  if (manifest.hooks.length > 0 && manifest.mcpServers.length > 0) problems.push("hooks of an MCP server");
  if (manifest.mcpServers.length > 1) problems.push("more than one MCP server");
  if (manifest.mcpServers.some((server) => server.url !== undefined))
    problems.push("an MCP server that runs elsewhere");
  if (manifest.mcpServers.length > 0 && hasConfiguration(manifest)) problems.push("configuration of an MCP server");
  return [...problems, ...unenforceableScopes(manifest, granted)];
}

/** Of the grants alone. */
export function unenforceableScopes(manifest: Manifest, granted: readonly Scope[]): readonly string[] {
  const problems: string[] = [];
  // An MCP server does not speak our protocol: what it is granted works through the proxy or not at all.
  if (manifest.mcpServers.length > 0) problems.push(...granted.flatMap(beyondProxy));
  for (const capability of new Set(granted.map((scope) => scope.capability))) {
    if (!SERVED.includes(capability)) problems.push(`the capability "${capability}"`);
  }
  return problems;
}

/** What a level does not enforce: a command has no other wall than the kernel's. */
export function unenforceableAt(level: IsolationLevel, granted: readonly Scope[]): string | undefined {
  if (satisfiesFloor(level, "kernel") || !granted.some((scope) => scope.capability === "exec")) return undefined;
  return `commands (exec), and at the level \`${level}\` nothing would contain them`;
}

const NEED_PROTOCOL: readonly Capability[] = ["exec", "system", "agent", "events", "hooks", "database"];

/** A database that config.yml does not name, or opens for less than was granted: what about it, and the way out. */
export function unservedConnection(
  granted: readonly Scope[],
  connections: HostConfig["databases"],
): { readonly problem: string; readonly fix: string } | undefined {
  for (const scope of granted) {
    if (scope.capability !== "database") continue;
    const { connection: name, mode } = scope;
    const connection = connections.get(name);
    if (connection === undefined) {
      return {
        problem: `the database connection ${displayLine(name, 64)}, which config.yml does not name`,
        fix: `Write databases.${displayLine(name, 64)} into config.yml, or approve the plugin without it: --only.`,
      };
    }
    if (mode === "rw" && connection.mode === "r") {
      return {
        problem: `changing the database of the connection ${name}, which config.yml opens for reading only`,
        fix: `Write mode: rw under databases.${name} in config.yml, or approve the plugin with --scope database=${name}:r.`,
      };
    }
  }
  return undefined;
}

function beyondProxy(scope: Scope): readonly string[] {
  if (scope.capability === "secrets") return ["secrets for an MCP server"];
  if (scope.capability === "filesystem") return ["files for an MCP server"];
  if (NEED_PROTOCOL.includes(scope.capability)) return [`${scope.capability} for an MCP server`];
  if (scope.capability !== "network" || scope.scheme === "http") return [];
  if (scope.scheme !== "https") return ["WebSocket connections for an MCP server"];
  const whole = scope.methods.includes("*") && scope.paths.includes("/**");
  return whole
    ? []
    : ["methods or paths of https for an MCP server (its TLS is end to end; only the host can be checked)"];
}

function hasConfiguration({ configSchema }: Manifest): boolean {
  const properties = typeof configSchema === "object" ? configSchema["properties"] : undefined;
  return typeof properties === "object" && properties !== null && Object.keys(properties).length > 0;
}
