import { coveredBy, covers, type NetworkScope, type Scope, type SecretUse, type Wish } from "../capability/index.ts";
import type { Authority } from "./types.ts";

/** The effective authority of a plugin: a wish counts only if each list that is present covers it. */
export interface Reach {
  allows(wish: Wish): boolean;
  /** Whether the operator admitted answers of this kind for a wish. A manifest cannot ask for it, so `declared` is not asked. */
  admits(wish: Wish, kind: "private" | "loopback"): boolean;
  /** Granted uses of secrets at an origin, in the order of the grant. */
  usesAt(origin: string): readonly { readonly name: string; readonly use: SecretUse }[];
  /** Names of secrets that the plugin may know of, and whether it gets the value. */
  secretNames(): ReadonlyMap<string, { readonly expose: boolean }>;
}

export function createReach(authority: Pick<Authority, "declared" | "granted" | "ceiling">): Reach {
  const lists = [
    authority.declared,
    authority.granted,
    ...(authority.ceiling === undefined ? [] : [authority.ceiling]),
  ];
  const operatorLists = lists.slice(1);
  const allows = (wish: Wish): boolean => lists.every((scopes) => scopes.some((scope) => covers(scope, wish)));
  const secretScopes = authority.granted.filter((scope) => scope.capability === "secrets");

  return {
    allows,
    admits: (wish, kind) =>
      operatorLists.every((scopes) => scopes.some((scope) => isAdmitting(scope, kind) && covers(scope, wish))),
    usesAt: (origin) =>
      secretScopes.flatMap(({ name, use }) =>
        use !== undefined && use.origin === origin && allows({ capability: "secrets", name, use })
          ? [{ name, use }]
          : [],
      ),
    secretNames() {
      const names = new Map<string, { expose: boolean }>();
      for (const { name, use, expose } of secretScopes) {
        const exposed = expose === true && allows({ capability: "secrets", name, expose: true });
        const usable = use !== undefined && allows({ capability: "secrets", name, use });
        if (exposed || usable) names.set(name, { expose: exposed || names.get(name)?.expose === true });
      }
      return names;
    },
  };
}

/**
 * The reach of a call that an operator limited to less: of a capability that is named in `within`, only what `admitting`
 * covers too (the same scopes unless told); of every other what it is without.
 */
export function narrowReach(
  reach: Reach,
  within: readonly Scope[] | undefined,
  admitting: readonly Scope[] | undefined = within,
): Reach {
  if (within === undefined || within.length === 0) return reach;
  const narrowed = new Set(within.map(({ capability }) => capability));
  const covered = (wish: Wish): boolean => !narrowed.has(wish.capability) || coveredBy(admitting ?? [], wish);
  return {
    ...reach,
    allows: (wish) => reach.allows(wish) && covered(wish),
    admits: (wish, kind) => reach.admits(wish, kind) && covered(wish),
  };
}

/** The scopes of a list that leave nothing of a host to check. */
export function wholeHosts(scopes: readonly Scope[]): readonly Scope[] {
  return scopes.filter(
    (scope) => scope.capability === "network" && scope.methods.includes("*") && scope.paths.includes("/**"),
  );
}

function isAdmitting(scope: Scope, kind: "private" | "loopback"): scope is NetworkScope {
  return scope.capability === "network" && scope[kind] === true;
}
