import { answersRequest, type PermissionRequest, type Scope } from "../capability/index.ts";
import { PolicyViolationError, SallyportError } from "../kernel/index.ts";

/** What one yes of the operator means: which requests, and which scopes in their place. */
export interface Yes {
  /** Keys of the requests to grant, or capabilities for all of one kind; absent means all. */
  readonly only?: readonly string[] | undefined;
  /** The operator's scopes: for requests without one, or narrower than what was asked. */
  readonly scopes?: readonly Scope[] | undefined;
}

export interface GrantedScopes {
  readonly scopes: readonly Scope[];
  /** Keys of requests that were granted but have no scope: they grant nothing. */
  readonly empty: readonly string[];
  readonly denied: readonly string[];
}

/**
 * Works out what a yes grants. Never more than was asked, but for the two flags that only an operator sets (`private`,
 * `loopback`). A required permission that is left out denies the whole plugin.
 * @throws {SallyportError} `usage` for a key or scope that nothing asked for; `permission_required`.
 */
export function grantedScopes(id: string, requests: readonly PermissionRequest[], yes: Yes): GrantedScopes {
  const wanted = selectRequests(id, requests, yes.only);
  const denied = requests.filter((request) => !wanted.has(request));
  const refused = denied.find((request) => request.required);
  if (refused) {
    throw new PolicyViolationError("permission_required", `${id} does not run without ${refused.key}.`, {
      detail: "The manifest says that this permission is required, so denying it denies the plugin.",
      fix: `Grant it, or run: sallyport plugin deny ${id}`,
      data: { key: refused.key },
    });
  }
  const operators = assign(id, [...wanted], yes.scopes ?? []);
  const scopes: Scope[] = [];
  const empty: string[] = [];
  for (const request of wanted) {
    const own = operators.get(request);
    if (own) scopes.push(...own);
    else if (request.scope) scopes.push(request.scope);
    else empty.push(request.key);
  }
  return { scopes, empty, denied: denied.map((request) => request.key) };
}

function selectRequests(
  id: string,
  requests: readonly PermissionRequest[],
  only: readonly string[] | undefined,
): Set<PermissionRequest> {
  if (!only) return new Set(requests);
  const wanted = new Set<PermissionRequest>();
  for (const name of only) {
    const found = requests.filter((request) => request.key === name || request.capability === name);
    if (found.length === 0) throw nothingAsked(id, name, requests);
    for (const request of found) wanted.add(request);
  }
  return wanted;
}

/** Gives each of the operator's scopes to the first request that it answers. */
function assign(
  id: string,
  requests: readonly PermissionRequest[],
  scopes: readonly Scope[],
): Map<PermissionRequest, Scope[]> {
  const assigned = new Map<PermissionRequest, Scope[]>();
  for (const scope of scopes) {
    const request = requests.find((candidate) => answersRequest(scope, candidate));
    if (!request) throw nothingAsked(id, `the scope for ${scope.capability}`, requests);
    assigned.set(request, [...(assigned.get(request) ?? []), scope]);
  }
  return assigned;
}

function nothingAsked(id: string, what: string, requests: readonly PermissionRequest[]): SallyportError {
  return new SallyportError("usage", `${id} did not ask for ${what}.`, {
    detail: "A grant is never wider than what the manifest asks for.",
    fix: `It asked for: ${requests.map((request) => request.key).join(", ") || "nothing"}.`,
  });
}
