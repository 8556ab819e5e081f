import {
  type AgentScope,
  commandLine,
  covers,
  type DatabaseScope,
  type FilesystemScope,
  hostMatches,
  nameMatches,
  type NetworkScope,
  pathContains,
  type Scope,
  scopeArguments,
  type Wish,
  withinScope,
} from "../capability/index.ts";
import type { Observation, Observed } from "./learn-observe.ts";
import { generalisePaths } from "./learn-paths.ts";

/** Hosts below one wildcard, and directories below one path, from which on the whole is meant. */
const MANY_HOSTS = 6;
const MANY_PLACES = 8;

/** Whether what was observed is something that a scope allows. */
export function allowsObserved(scope: Scope, what: Observed): boolean {
  switch (what.kind) {
    case "wish":
      return covers(scope, what.wish);
    case "tunnel":
      return (
        scope.capability === "network" &&
        (scope.scheme === "https" || scope.scheme === "http") &&
        scope.port === what.port &&
        hostMatches(scope.host, what.host)
      );
    case "command":
      return scope.capability === "exec" && isCommand(what.line, scope.command);
    case "subscription":
      return (
        scope.capability === "events" &&
        scope.direction === "consume" &&
        (scope.topic === what.topic || nameMatches(scope.topic, what.topic.replace(/\*$/, "")))
      );
    case "secret":
      return scope.capability === "secrets" && scope.name === what.name && scope.use?.origin === what.origin;
    case "unreadable":
      return what.capability === "network"
        ? scope.capability === "network" && scope.scheme === what.scheme && hostMatches(scope.host, what.host)
        : scope.capability === "filesystem";
  }
}

/** The file that it turned out to be may stand there instead of the plain name that was asked for. */
function isCommand(line: string, command: string): boolean {
  const first = commandLine(command, []);
  return (
    line === first ||
    line.startsWith(`${first} `) ||
    (!command.includes("/") && line.split(" ")[0]?.endsWith(`/${first}`) === true)
  );
}

/**
 * The least scopes within one scope that still allow everything observed of it, each of which can be written down; null
 * where nothing less than the scope is known to be enough.
 */
export function narrowed(scope: Scope, observed: readonly Observation[]): readonly Scope[] | null {
  if (observed.some(({ what }) => what.kind !== "wish")) return null;
  const wishes = observed.flatMap(({ what }) => (what.kind === "wish" ? [what] : []));
  const found = narrowedBy(scope, wishes);
  const isEnough =
    found.length > 0 &&
    found.every((each) => withinScope(each, scope) && scopeArguments(each) !== null) &&
    wishes.every(({ wish }) => found.some((each) => covers(each, wish)));
  return isEnough ? found : null;
}

type Seen = Extract<Observed, { kind: "wish" }>;

function narrowedBy(scope: Scope, seen: readonly Seen[]): readonly Scope[] {
  switch (scope.capability) {
    case "network":
      return network(
        scope,
        seen.flatMap(({ wish }) => (wish.capability === "network" ? [wish] : [])),
      );
    case "filesystem":
      return filesystem(scope, seen);
    case "database":
      return database(scope, seen);
    case "agent":
      return agent(scope, seen);
    case "events":
      return scope.direction === "publish"
        ? [...new Set(seen.flatMap(({ wish }) => (wish.capability === "events" ? [wish.topic] : [])))]
            .toSorted()
            .map((topic) => ({ ...scope, topic }))
        : [scope];
    case "secrets":
    case "exec":
    case "hooks":
    case "system":
    case "tools":
      return [scope];
  }
}

type NetworkWish = Wish & { capability: "network" };

function network(scope: NetworkScope, wishes: readonly NetworkWish[]): readonly NetworkScope[] {
  const hosts = [...new Set(wishes.map(({ host }) => host))].toSorted();
  const named = hosts.length > MANY_HOSTS ? [scope.host] : hosts;
  return named.flatMap((host) =>
    ofHost(
      { ...scope, host },
      wishes.filter((wish) => hostMatches(host, wish.host)),
    ),
  );
}

/** One scope for each set of paths, with the methods that were used there: no method where it was not seen. */
function ofHost(scope: NetworkScope, wishes: readonly NetworkWish[]): readonly NetworkScope[] {
  const byPaths = new Map<string, { methods: string[]; paths: readonly string[] }>();
  for (const method of [...new Set(wishes.map((wish) => wish.method))].toSorted()) {
    const used = wishes.filter((wish) => wish.method === method).map(({ path }) => path);
    const admits = (pattern: string): boolean => withinScope({ ...scope, methods: [method], paths: [pattern] }, scope);
    const paths = generalisePaths(used, admits, scope.paths);
    const key = paths.join("\n");
    const same = byPaths.get(key) ?? { methods: [], paths };
    same.methods.push(method);
    byPaths.set(key, same);
  }
  // A WebSocket has no methods to speak of.
  const anyMethod = scope.scheme === "ws" || scope.scheme === "wss" ? scope.methods : undefined;
  return [...byPaths.values()].map(({ methods, paths }) => ({ ...scope, methods: anyMethod ?? methods, paths }));
}

function filesystem(scope: FilesystemScope, seen: readonly Seen[]): readonly FilesystemScope[] {
  const modes = new Map<string, "r" | "rw">();
  for (const { wish, place } of seen) {
    if (wish.capability !== "filesystem") continue;
    const path = place !== undefined && pathContains(scope.path, place) ? place : scope.path;
    if (wish.mode === "w" || !modes.has(path)) modes.set(path, wish.mode === "w" ? "rw" : "r");
  }
  if (modes.size > MANY_PLACES) return [{ ...scope, mode: [...modes.values()].includes("rw") ? "rw" : "r" }];
  const scopes = [...modes].map(([path, mode]): FilesystemScope => ({ ...scope, path, mode }));
  return scopes
    .filter((each) => !scopes.some((other) => other !== each && withinScope(each, other)))
    .toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

function database(scope: DatabaseScope, seen: readonly Seen[]): readonly DatabaseScope[] {
  const writes = seen.some(({ wish }) => wish.capability === "database" && wish.mode === "w");
  return [{ ...scope, mode: writes ? "rw" : "r" }];
}

function agent(scope: AgentScope, seen: readonly Seen[]): readonly AgentScope[] {
  const called = new Set<string>();
  let notifies = false;
  for (const { wish } of seen) {
    if (wish.capability !== "agent") continue;
    if (wish.tool !== undefined) called.add(wish.tool);
    notifies ||= wish.notify === true;
  }
  return [{ capability: "agent", tools: [...called].toSorted(), ...(notifies ? { notify: true } : {}) }];
}
