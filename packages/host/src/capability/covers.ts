import { argumentsMatch } from "./arguments.ts";
import { commandMatches } from "./command.ts";
import { hostMatches } from "./host-name.ts";
import { pathContains } from "./file-path.ts";
import { pathMatches } from "./url-path.ts";
import { nameMatches, sameUse } from "./patterns.ts";
import type { NetworkScope, Scope, SecretScope, Wish } from "./types.ts";

/** Whether one granted scope admits one wish. Both are in canonical form; whatever is not, is not covered. */
export function covers(scope: Scope, wish: Wish): boolean {
  switch (scope.capability) {
    case "network":
      return wish.capability === "network" && coversNetwork(scope, wish);
    case "filesystem":
      return (
        wish.capability === "filesystem" && pathContains(scope.path, wish.path) && modeCovers(scope.mode, wish.mode)
      );
    case "secrets":
      return wish.capability === "secrets" && coversSecret(scope, wish);
    case "exec":
      return (
        wish.capability === "exec" &&
        commandMatches(scope.command, wish.command) &&
        argumentsMatch(scope.args, wish.args)
      );
    case "database":
      return (
        wish.capability === "database" && scope.connection === wish.connection && modeCovers(scope.mode, wish.mode)
      );
    case "agent":
      return wish.capability === "agent" && coversAgent(scope.tools, scope.notify === true, wish);
    case "events":
      return wish.capability === "events" && scope.direction === wish.direction && nameMatches(scope.topic, wish.topic);
    case "system":
      return wish.capability === "system" && scope.facet === wish.facet;
    case "hooks":
    case "tools":
      return false;
  }
}

/** Whether any of the scopes admits the wish. An empty list admits nothing. */
export function coveredBy(scopes: readonly Scope[], wish: Wish): boolean {
  return scopes.some((scope) => covers(scope, wish));
}

function coversNetwork(scope: NetworkScope, wish: Extract<Wish, { capability: "network" }>): boolean {
  return (
    scope.port === wish.port &&
    scope.scheme === wish.scheme &&
    hostMatches(scope.host, wish.host) &&
    (scope.methods.includes("*") || scope.methods.includes(wish.method)) &&
    scope.paths.some((pattern) => pathMatches(pattern, wish.path))
  );
}

function coversSecret(scope: SecretScope, wish: Extract<Wish, { capability: "secrets" }>): boolean {
  if (scope.name !== wish.name) return false;
  if (wish.expose === true && scope.expose !== true) return false;
  return wish.use === undefined || sameUse(scope.use, wish.use);
}

function coversAgent(tools: readonly string[], notify: boolean, wish: Extract<Wish, { capability: "agent" }>): boolean {
  if (wish.tool === undefined && wish.notify !== true) return false;
  if (wish.notify === true && !notify) return false;
  const { tool } = wish;
  return tool === undefined || tools.some((pattern) => nameMatches(pattern, tool));
}

function modeCovers(granted: "r" | "rw", wished: "r" | "w"): boolean {
  return wished === "r" || granted === "rw";
}
