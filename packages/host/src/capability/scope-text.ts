import { SallyportError } from "../kernel/index.ts";
import { originOf } from "./build.ts";
import { parseScopeArgument } from "./scope-argument.ts";
import type { NetworkScope, Scope } from "./types.ts";

/**
 * A scope as values of `--scope`, the other way round than `parseScopeArgument`; one for each path of a network scope. What
 * only a grant holds (the file of a command) is left out. Null for what the command line cannot say.
 */
export function scopeArguments(scope: Scope): readonly string[] | null {
  const parts = scope.capability === "network" ? scope.paths.map((path) => ({ ...scope, paths: [path] })) : [scope];
  const texts = parts.map((part) => ({ part, text: textOf(part) }));
  return texts.every(({ part, text }) => reads(text, part)) ? texts.map(({ text }) => text) : null;
}

function reads(text: string, scope: Scope): boolean {
  try {
    return JSON.stringify(plain(parseScopeArgument(text))) === JSON.stringify(plain(scope));
  } catch (error) {
    if (error instanceof SallyportError) return false;
    throw error;
  }
}

/** Members in one order, without those that only a grant has. */
function plain(scope: Scope): unknown {
  const { file: _file, ...rest } = scope.capability === "exec" ? scope : { ...scope, file: undefined };
  return Object.entries(rest).toSorted(([a], [b]) => (a < b ? -1 : 1));
}

function textOf(scope: Scope): string {
  switch (scope.capability) {
    case "network":
      return network(scope);
    case "filesystem":
      return `filesystem=${scope.path}:${scope.mode}`;
    case "database":
      return `database=${scope.connection}:${scope.mode}`;
    case "secrets": {
      const use =
        scope.use === undefined ? "" : `,origin=${scope.use.origin},in=${scope.use.in},format=${scope.use.format}`;
      return `secrets${scope.expose === true ? "+expose" : ""}=${scope.name}${use}`;
    }
    case "exec":
      return `exec${scope.interpreter === true ? "+interpreter" : ""}=${JSON.stringify([scope.command, ...scope.args])}`;
    case "agent":
      return `agent${scope.notify === true ? "+notify" : ""}=${scope.tools.join(",")}`;
    case "events":
      return `events${scope.background === true ? "+background" : ""}=${scope.direction}:${scope.topic}`;
    case "hooks": {
      const flags = `${scope.payload === true ? "+payload" : ""}${scope.background === true ? "+background" : ""}`;
      return `hooks${flags}=${scope.event}${scope.tools.length === 0 ? "" : `:${scope.tools.join(",")}`}`;
    }
    case "system":
      return `system=${scope.facet}`;
    case "tools":
      return "tools";
  }
}

function network(scope: NetworkScope): string {
  const flags = `${scope.private === true ? "+private" : ""}${scope.loopback === true ? "+loopback" : ""}`;
  const methods = scope.methods.includes("*") ? "" : `,methods=${scope.methods.join("+")}`;
  return `network${flags}=${originOf(scope)}${scope.paths[0] ?? ""}${methods}`;
}
