import {
  answersRequest,
  type PermissionRequest,
  type Scope,
  scopeKey,
  sentenceOf,
  withinScope,
} from "../capability/index.ts";
import type { LearnedPermission, LearnedRefusal } from "../host-api.ts";
import { displayLine } from "../kernel/index.ts";
import { allowsObserved, narrowed } from "./learn-narrow.ts";
import type { Observation, Observed } from "./learn-observe.ts";

/** One entry of the proposal. */
export interface Proposed {
  readonly scope: Scope;
  /** The request that it comes from; absent for an addition. */
  readonly request?: PermissionRequest;
}

export interface Proposal {
  readonly permissions: readonly LearnedPermission[];
  readonly refused: readonly LearnedRefusal[];
  readonly proposed: readonly Proposed[];
}

export interface ProposalInput {
  readonly requests: readonly PermissionRequest[];
  readonly granted: readonly Scope[];
  readonly observations: readonly Observation[];
  readonly includeRefused: boolean;
}

interface Asked {
  readonly request: PermissionRequest;
  readonly scope: Scope;
  readonly used: Observation[];
}

/** Contributions ask for these; they do not stand under `permissions`. */
const OF_CONTRIBUTIONS: ReadonlySet<string> = new Set(["tools", "hooks"]);

/** Of what was refused, what was wanted most; a manifest takes 64 entries of a kind, and a person reads fewer. */
const MOST_ADDITIONS = 32;

/** What was used of what is asked, and the least that would have been enough. Pure. */
export function propose({ requests, granted, observations, includeRefused }: ProposalInput): Proposal {
  const asked = requests
    .filter(({ capability }) => !OF_CONTRIBUTIONS.has(capability))
    .flatMap((request): Asked[] => scopesOf(request, granted).map((scope) => ({ request, scope, used: [] })));
  const stray: Observation[] = [];
  for (const observation of observations) {
    if (observation.refused !== undefined) continue;
    const homes = homesOf(asked, observation.what);
    for (const home of homes) home.used.push(observation);
    // It failed before anything was decided about it, or another version asked for it.
    if (homes.length === 0) stray.push(observation);
  }
  const permissions: LearnedPermission[] = [];
  const proposed: Proposed[] = [];
  for (const one of asked) {
    const scopes = proposalFor(one);
    permissions.push(judged(one, scopes));
    for (const scope of scopes) proposed.push({ scope, request: one.request });
  }
  for (const request of requests) {
    if (request.scope === null && !asked.some((one) => one.request === request)) permissions.push(neverFilled(request));
  }
  const refusals = observations.filter(({ refused }) => refused !== undefined);
  const additions = includeRefused
    ? additionsOf(
        [...refusals, ...stray],
        proposed.map(({ scope }) => scope),
      )
    : [];
  for (const scope of additions) {
    proposed.push({ scope });
    permissions.push(added(scope, refusals));
  }
  return {
    permissions,
    proposed,
    refused: refusals
      .map((observation) => ({
        wish: displayLine(observation.shown, 400),
        reason: observation.refused ?? "",
        count: observation.uses,
        last: observation.last,
        included: isReadable(observation) && additions.some((scope) => allowsObserved(scope, observation.what)),
      }))
      .toSorted((a, b) => b.count - a.count),
  };
}

function isReadable({ what }: Observation): boolean {
  return what.kind !== "unreadable";
}

/** What a request stands for: its scope, or what the operator filled in for it. */
function scopesOf(request: PermissionRequest, granted: readonly Scope[]): readonly Scope[] {
  return request.scope === null ? granted.filter((scope) => answersRequest(scope, request)) : [request.scope];
}

/** The narrowest that allows it; of what cannot be read, all that might. */
function homesOf<One extends { readonly scope: Scope }>(all: readonly One[], what: Observed): readonly One[] {
  const allowing = all.filter(({ scope }) => allowsObserved(scope, what));
  if (what.kind === "unreadable") return allowing;
  const narrowest = allowing.find(
    ({ scope }) => !allowing.some((other) => withinScope(other.scope, scope) && !withinScope(scope, other.scope)),
  );
  return narrowest === undefined ? [] : [narrowest];
}

/** What a plugin does with a value that it was given, nobody sees. */
function leavesNoTrace(scope: Scope): boolean {
  return scope.capability === "secrets" && scope.expose === true;
}

function proposalFor(one: Asked): readonly Scope[] {
  if (leavesNoTrace(one.scope)) return [one.scope];
  return one.used.length === 0 ? [] : (narrowed(one.scope, one.used) ?? [one.scope]);
}

/**
 * Each granted scope as narrow as it was used, with the words that only an operator adds; those that nothing was seen of are
 * left out, but for what leaves no trace.
 */
export function narrowedGrants(granted: readonly Scope[], observations: readonly Observation[]): readonly Scope[] {
  const all = granted.map((scope) => ({ scope, used: new Array<Observation>() }));
  for (const observation of observations) {
    if (observation.refused !== undefined) continue;
    for (const home of homesOf(all, observation.what)) home.used.push(observation);
  }
  return all.flatMap(({ scope, used }) => {
    if (OF_CONTRIBUTIONS.has(scope.capability) || leavesNoTrace(scope)) return [scope];
    return used.length === 0 ? [] : (narrowed(scope, used) ?? [scope]);
  });
}

function judged(one: Asked, scopes: readonly Scope[]): LearnedPermission {
  const { request, scope, used } = one;
  const [first] = scopes;
  const same = scopes.length === 1 && first !== undefined && withinScope(scope, first);
  const change = leavesNoTrace(scope) ? "unseen" : scopes.length === 0 ? "remove" : same ? "keep" : "narrow";
  return {
    key: request.key,
    capability: request.capability,
    change,
    sentence: sentenceOf(scope),
    proposed: change === "narrow" ? scopes.map(sentenceOf) : [],
    ...usesOf(used),
  };
}

function neverFilled(request: PermissionRequest): LearnedPermission {
  const { key, capability } = request;
  return { key, capability, change: "remove", sentence: sentenceOf(request), proposed: [], uses: 0, lastUsed: null };
}

function added(scope: Scope, refusals: readonly Observation[]): LearnedPermission {
  const used = refusals.filter((observation) => isReadable(observation) && allowsObserved(scope, observation.what));
  const { capability } = scope;
  return {
    key: scopeKey(scope),
    capability,
    change: "add",
    sentence: sentenceOf(scope),
    proposed: [],
    ...usesOf(used),
  };
}

function usesOf(used: readonly Observation[]): { readonly uses: number; readonly lastUsed: number | null } {
  return {
    uses: used.reduce((sum, { uses }) => sum + uses, 0),
    lastUsed: used.length === 0 ? null : Math.max(...used.map(({ last }) => last)),
  };
}

/** Scopes for wishes that nothing allows yet: as they were, one for each, then as narrow as those of a use. */
function additionsOf(refusals: readonly Observation[], held: readonly Scope[]): readonly Scope[] {
  const groups = new Map<string, { scope: Scope; used: Observation[] }>();
  for (const observation of refusals) {
    const scope = scopeFor(observation);
    if (scope === undefined || held.some((each) => allowsObserved(each, observation.what))) continue;
    const key = scopeKey(scope);
    const group = groups.get(key) ?? { scope, used: [] };
    group.used.push(observation);
    groups.set(key, group);
  }
  // What has no narrow form is not proposed in a wide one: these are a plugin's wishes, which nobody has agreed to.
  return [...groups.values()]
    .toSorted((a, b) => usesOf(b.used).uses - usesOf(a.used).uses)
    .flatMap(({ scope, used }) => narrowed(scope, used) ?? [])
    .filter((scope) => scope.capability !== "network" || !scope.paths.includes("/**"))
    .slice(0, MOST_ADDITIONS);
}

/** The widest scope of its kind that could be asked for; `narrowed` makes it as narrow as the wishes. */
function scopeFor({ what, refused }: Observation): Scope | undefined {
  // An address, a misused secret or a limit is refused for a reason that no permission changes.
  if (what.kind !== "wish" || (refused !== undefined && refused !== "permission_denied")) return undefined;
  const { wish } = what;
  switch (wish.capability) {
    case "network": {
      const { capability, host, port, scheme } = wish;
      return { capability, host, port, scheme, methods: ["*"], paths: ["/**"] };
    }
    case "filesystem": {
      const path = what.place ?? wish.path;
      return path === "/" ? undefined : { capability: "filesystem", path, mode: "rw" };
    }
    case "database":
      return { capability: "database", connection: wish.connection, mode: "rw" };
    case "agent":
      return wish.notify === true
        ? { capability: "agent", tools: [], notify: true }
        : { capability: "agent", tools: [wish.tool ?? ""] };
    case "events":
      return { capability: "events", direction: wish.direction, topic: wish.topic };
    case "system":
      return { capability: "system", facet: wish.facet };
    case "secrets":
    case "exec":
      return undefined;
  }
}
