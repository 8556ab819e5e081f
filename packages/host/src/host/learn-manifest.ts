import { stringify } from "yaml";
import { answersRequest, type PermissionRequest, type Scope, scopeArguments } from "../capability/index.ts";
import type { LearnAnswer } from "../host-api.ts";
import type { Proposed } from "./learn-propose.ts";

type Entry = Readonly<Record<string, unknown>>;

const PORTS = { https: 443, http: 80, wss: 443, ws: 80 } as const;
/** As manifests have them. */
const ORDER = ["network", "filesystem", "secrets", "database", "exec", "agent", "events", "system"] as const;

/** The `permissions:` of a manifest that asks for this and nothing else, with the reasons that were given. */
export function manifestPermissions(proposed: readonly Proposed[]): LearnAnswer["manifest"] {
  const found: Record<string, Entry[]> = {};
  for (const capability of ORDER) {
    const entries = proposed.filter(({ scope }) => scope.capability === capability).map(entryOf);
    if (entries.length > 0) found[capability] = entries;
  }
  return found;
}

export function permissionsYaml(permissions: LearnAnswer["manifest"]): string {
  return stringify({ permissions }, { lineWidth: 0, flowCollectionPadding: true, defaultStringType: "PLAIN" });
}

function entryOf({ scope, request }: Proposed): Entry {
  return {
    ...scopeEntry(scope),
    ...(request?.reason === undefined ? {} : { reason: request.reason }),
    ...(request?.required === false ? { optional: true } : {}),
  };
}

function scopeEntry(scope: Scope): Entry {
  switch (scope.capability) {
    case "network":
      return {
        host: scope.host,
        ...(scope.port === PORTS[scope.scheme] ? {} : { port: scope.port }),
        ...(scope.scheme === "https" ? {} : { scheme: scope.scheme }),
        ...(scope.methods.includes("*") ? {} : { methods: scope.methods }),
        ...(scope.paths.includes("/**") ? {} : { paths: scope.paths }),
      };
    case "filesystem":
      return { path: scope.path, mode: scope.mode };
    case "secrets":
      return {
        name: scope.name,
        ...(scope.use === undefined ? {} : { use: scope.use }),
        ...(scope.expose === true ? { expose: true } : {}),
      };
    case "database":
      return { connection: scope.connection, mode: scope.mode };
    case "exec":
      return { command: scope.command, ...(scope.args.length === 0 ? {} : { args: scope.args }) };
    case "agent":
      return {
        ...(scope.tools.length === 0 ? {} : { tools: scope.tools }),
        ...(scope.notify === true ? { notify: true } : {}),
      };
    case "events":
      return {
        direction: scope.direction,
        topic: scope.topic,
        ...(scope.background === true ? { background: true } : {}),
      };
    case "system":
      return { facet: scope.facet };
    case "hooks":
    case "tools":
      return {};
  }
}

/** `--only` takes names split by commas, so that a key with one in it is named by its kind, where it is the only one. */
function nameOf(request: PermissionRequest, requests: readonly PermissionRequest[]): string | null {
  if (!request.key.includes(",")) return request.key;
  return requests.filter(({ capability }) => capability === request.capability).length === 1
    ? request.capability
    : null;
}

/**
 * How `plugin approve` grants these scopes and no more. What the manifest requires cannot be left out by an operator: it
 * stays as it is granted. Null when a scope cannot be said on a command line.
 */
export function approveArguments(
  requests: readonly PermissionRequest[],
  granted: readonly Scope[],
  wanted: readonly Scope[],
): LearnAnswer["approve"] {
  const only: string[] = [];
  const scopes: string[] = [];
  for (const request of requests) {
    const answering = (list: readonly Scope[]): readonly Scope[] =>
      list.filter((scope) => requests.find((each) => answersRequest(scope, each)) === request);
    const used = answering(wanted);
    const kept = used.length > 0 || !request.required ? used : answering(granted);
    if (kept.length === 0) continue;
    const name = nameOf(request, requests);
    if (name === null) return null;
    only.push(name);
    const [first] = kept;
    if (kept.length === 1 && JSON.stringify(first) === JSON.stringify(request.scope)) continue;
    for (const scope of kept) {
      const args = scopeArguments(scope);
      if (args === null) return null;
      scopes.push(...args);
    }
  }
  return { only, scopes };
}
