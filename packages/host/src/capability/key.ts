import { commandLine } from "./sentence.ts";
import type { Scope } from "./types.ts";

/**
 * Short stable name of a scope, for command lines and lists: `network:api.example.com:443`, `filesystem:${data}/cache`. It names what
 * is reached, not how far; two scopes of one manifest with the same key are told apart by `#2`, `#3` behind it.
 */
export function scopeKey(scope: Scope): string {
  switch (scope.capability) {
    case "network":
      return `network:${scope.scheme === "https" ? "" : `${scope.scheme}://`}${scope.host}:${scope.port}`;
    case "filesystem":
      return `filesystem:${scope.path}`;
    case "secrets":
      return `secrets:${scope.name}`;
    case "exec":
      return `exec:${commandLine(scope.command, scope.args)}`;
    case "database":
      return `database:${scope.connection}`;
    case "agent":
      return `agent:${[...scope.tools, ...(scope.notify === true ? ["notify"] : [])].join(",")}`;
    case "events":
      return `events:${scope.direction}:${scope.topic}`;
    case "hooks":
      return `hooks:${scope.event}${scope.tools.length === 0 ? "" : `:${scope.tools.join(",")}`}`;
    case "system":
      return `system:${scope.facet}`;
    case "tools":
      return "tools";
  }
}
