import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  answersRequest,
  covers,
  networkScope,
  parseScopeArgument,
  type PermissionRequest,
  type Scope,
  scopeArguments,
  scopeKey,
  type Wish,
  withinScope,
} from "../../src/capability/index.ts";
import { approveArguments, manifestPermissions, permissionsYaml } from "../../src/host/learn-manifest.ts";
import { narrowedGrants, propose } from "../../src/host/learn-propose.ts";
import { file, observe, requestsOf, scopesIn, went } from "./support.ts";

const segment = fc.constantFrom(
  "v1",
  "users",
  "1",
  "2",
  "4711",
  "a",
  "b",
  "c",
  "x~y",
  "%C3%BC",
  "*",
  "a*b",
  "",
  "deadbeef0123",
);
const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((parts) => `/${parts.join("/")}`);
const pattern = fc
  .tuple(fc.array(fc.constantFrom("v1", "users", "1", "a", "*"), { maxLength: 3 }), fc.boolean())
  .map(([parts, open]) => `/${[...parts, ...(open ? ["**"] : [])].join("/")}`);
const host = fc.constantFrom("a.example", "b.a.example", "c.a.example", "d.c.a.example");
const scheme = fc.constantFrom("https" as const, "http" as const, "wss" as const);
const method = fc.constantFrom("GET", "HEAD", "POST", "DELETE");
const network = fc
  .record({
    host: fc.oneof(host, fc.constantFrom("*.a.example", "*.c.a.example")),
    scheme,
    port: fc.constantFrom(undefined, 8443),
    methods: fc.option(fc.uniqueArray(method, { minLength: 1, maxLength: 3 }), { nil: undefined }),
    paths: fc.option(fc.uniqueArray(pattern, { minLength: 1, maxLength: 3 }), { nil: undefined }),
  })
  .map((parts): Scope => networkScope(parts));
const place = fc.array(fc.constantFrom("a", "b", "c", "d"), { maxLength: 3 });
const filesystem = fc
  .record({ parts: place, own: fc.boolean(), mode: fc.constantFrom("r" as const, "rw" as const) })
  .map(({ parts, own, mode }): Scope => {
    const below = parts.map((part) => `/${part}`).join("");
    return { capability: "filesystem", path: own ? `\${data}${below}` : `/srv${below}`, mode };
  });
const scopes = fc.array(fc.oneof(network, filesystem), { minLength: 1, maxLength: 6 });

type Tried = { readonly wish: Wish; readonly event: ReturnType<typeof went> };
const triedNetwork = fc
  .record({ host, scheme, port: fc.constantFrom(undefined, 8443), method, path })
  .map(({ host: name, scheme: by, port, method: how, path: where }): Tried => {
    const usual = by === "http" ? 80 : 443;
    const verb = by === "wss" ? "GET" : how;
    const target = `${by}://${name}${port === undefined ? "" : `:${port}`}${where}`;
    return {
      wish: { capability: "network", host: name, port: port ?? usual, scheme: by, method: verb, path: where },
      event: went(by === "wss" ? "ws.open" : how, target),
    };
  });
const triedFile = fc
  .record({ parts: place, own: fc.boolean(), how: fc.constantFrom("read", "list", "stat", "write", "mkdir", "remove") })
  .map(({ parts, own, how }): Tried => {
    const target = `${own ? "${data}" : "/srv"}${parts.map((part) => `/${part}`).join("")}`;
    const mode = how === "read" || how === "list" || how === "stat" ? "r" : "w";
    return { wish: { capability: "filesystem", path: target, mode }, event: file(how, target) };
  });
const tried = fc.array(fc.oneof(triedNetwork, triedFile), { maxLength: 30 });

/** The requests of a manifest that asks for these. */
const asking = (wanted: readonly Scope[]): readonly PermissionRequest[] =>
  wanted.map((scope, index) => ({
    key: `${scopeKey(scope)}#${index}`,
    scope,
    capability: scope.capability,
    required: true,
  }));

/** Members in the order in which a manifest is read. */
function plain(scope: Scope): Scope {
  return scope.capability === "network" ? networkScope(scope) : scope;
}

describe("a proposal", () => {
  it("allows everything that was done, and nothing that was not asked for", () => {
    fc.assert(
      fc.property(scopes, tried, fc.boolean(), (wanted, all, includeRefused) => {
        const requests = asking(wanted);
        const declared = scopesIn(requests);
        // What the broker let through, and what it refused.
        const events = all.map(({ wish, event }) =>
          declared.some((scope) => covers(scope, wish))
            ? event
            : { ...event, decision: "deny" as const, reason: "permission_denied" },
        );
        const { proposed } = propose({ requests, granted: declared, observations: observe(events), includeRefused });
        const again = proposed.map(({ scope }) => scope);
        for (const { wish } of all)
          if (declared.some((scope) => covers(scope, wish)))
            expect(again.some((scope) => covers(scope, wish))).toBe(true);
        if (!includeRefused)
          for (const scope of again) expect(declared.some((outer) => withinScope(scope, outer))).toBe(true);
        else
          for (const scope of again)
            expect(
              declared.some((outer) => withinScope(scope, outer)) || all.some(({ wish }) => covers(scope, wish)),
            ).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  it("reads as a manifest that asks for the same", () => {
    fc.assert(
      fc.property(scopes, tried, fc.boolean(), (wanted, all, includeRefused) => {
        const events = all.map(({ event }, index) =>
          index % 3 === 0 ? { ...event, decision: "deny" as const, reason: "permission_denied" } : event,
        );
        const requests = asking(wanted);
        const { proposed } = propose({ requests, granted: wanted, observations: observe(events), includeRefused });
        const again = scopesIn(requestsOf(permissionsYaml(manifestPermissions(proposed))));
        const inOrder = ["network", "filesystem"].flatMap((capability) =>
          proposed.filter(({ scope }) => scope.capability === capability).map(({ scope }) => scope),
        );
        // Two equal requests are read as one.
        const texts = (list: readonly Scope[]): string[] => [...new Set(list.map((scope) => JSON.stringify(scope)))];
        expect(texts(again).toSorted()).toEqual(texts(inOrder.map(plain)).toSorted());
      }),
      { numRuns: 15 },
    );
  });

  it("would have an operator grant everything that was done, and nothing that is not granted", () => {
    fc.assert(
      fc.property(scopes, tried, (wanted, all) => {
        const requests = asking(wanted).map((request) => ({ ...request, required: false }));
        const granted = scopesIn(requests);
        const done = all.filter(({ wish }) => granted.some((scope) => covers(scope, wish)));
        const least = narrowedGrants(granted, observe(done.map(({ event }) => event)));
        for (const scope of least) expect(granted.some((outer) => withinScope(scope, outer))).toBe(true);
        for (const { wish } of done) expect(least.some((scope) => covers(scope, wish))).toBe(true);
        const answer = approveArguments(requests, granted, least);
        for (const text of answer?.scopes ?? []) {
          const scope = parseScopeArgument(text);
          expect(requests.some((request) => answersRequest(scope, request))).toBe(true);
        }
      }),
      { numRuns: 30 },
    );
  });

  it("writes every scope as the command line reads it", () => {
    fc.assert(
      fc.property(fc.oneof(network, filesystem), (scope) => {
        const texts = scopeArguments(scope);
        expect(texts).not.toBeNull();
        const parsed = (texts ?? []).map(parseScopeArgument);
        for (const one of parsed) expect(withinScope(one, scope)).toBe(true);
        const paths = scope.capability === "network" ? scope.paths.length : 1;
        expect(parsed).toHaveLength(paths);
      }),
    );
  });
});
