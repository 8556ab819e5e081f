import {
  canonicalFilePath,
  hostMatches,
  pathContains,
  type Scope,
  splitPort,
  canonicalHost,
} from "../capability/index.ts";
import { displayLine, SallyportError } from "../kernel/index.ts";

/**
 * How far a plugin reaches during calls under a yes that names hosts (`api.example.com`, `host:8443`) or folders: of what it
 * was granted, these alone. A capability that is not named is not narrowed.
 * @throws {SallyportError} `usage` for what the grant does not reach: a yes to a call widens nothing.
 */
export function narrowed(
  granted: readonly Scope[],
  hosts: readonly string[],
  paths: readonly string[],
): readonly Scope[] {
  return [...hosts.flatMap((host) => hostScopes(granted, host)), ...paths.flatMap((path) => pathScopes(granted, path))];
}

function hostScopes(granted: readonly Scope[], text: string): readonly Scope[] {
  const { host, port } = readHost(text);
  const found = granted.flatMap((scope): readonly Scope[] =>
    scope.capability === "network" && hostMatches(scope.host, host) && (port === undefined || scope.port === port)
      ? [{ ...scope, host }]
      : [],
  );
  return found.length > 0 ? found : refuse(`The plugin was not granted the host ${displayLine(text, 200)}.`);
}

function readHost(text: string): { readonly host: string; readonly port: number | undefined } {
  const parts = splitPort(text);
  return { host: canonicalHost(parts.host), port: parts.port };
}

function pathScopes(granted: readonly Scope[], text: string): readonly Scope[] {
  const path = canonicalFilePath(text);
  const found = granted.flatMap((scope): readonly Scope[] =>
    scope.capability === "filesystem" && pathContains(scope.path, path) ? [{ ...scope, path }] : [],
  );
  return found.length > 0 ? found : refuse(`The plugin was not granted ${displayLine(text, 200)}.`);
}

function refuse(message: string): never {
  throw new SallyportError("usage", message, {
    fix: "See what it was granted: sallyport plugin info ID. A yes to a call only narrows that.",
  });
}
