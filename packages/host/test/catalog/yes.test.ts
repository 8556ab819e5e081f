import { describe, expect, it } from "vitest";
import { parseScopeArgument, type PermissionRequest, scopeKey } from "../../src/capability/index.ts";
import { grantedScopes, type Yes } from "../../src/catalog/index.ts";

const scope = parseScopeArgument;

/** A request for exactly this scope; `optional` ones may be left out. */
function asks(text: string, required = true): PermissionRequest {
  const own = scope(text);
  return { key: scopeKey(own), scope: own, capability: own.capability, required };
}

const OPEN_FILES: PermissionRequest = {
  key: "filesystem",
  scope: null,
  capability: "filesystem",
  mode: "r",
  required: true,
};
const OPEN_NETWORK: PermissionRequest = { key: "network", scope: null, capability: "network", required: false };
const API = asks("network=api.example.com,methods=GET");
const CACHE = asks("filesystem=${data}/cache:rw", false);

const keys = (requests: readonly PermissionRequest[], yes: Yes = {}) =>
  grantedScopes("weather", requests, yes).scopes.map(scopeKey);
const refusal = (requests: readonly PermissionRequest[], yes: Yes): unknown => {
  try {
    grantedScopes("weather", requests, yes);
  } catch (error) {
    return error;
  }
  return expect.fail("it was granted");
};

describe("what one yes grants", () => {
  it("is all that was asked, and nothing when nothing was", () => {
    expect(keys([API, CACHE])).toEqual([API.key, CACHE.key]);
    expect(grantedScopes("weather", [], {})).toEqual({ scopes: [], empty: [], denied: [] });
  });

  it("is the stated part: by key, or by capability [S1-30]", () => {
    expect(grantedScopes("weather", [API, CACHE], { only: [API.key] })).toMatchObject({
      scopes: [API.scope],
      denied: [CACHE.key],
    });
    expect(keys([API, CACHE], { only: ["network"] })).toEqual([API.key]);
    expect(keys([API, CACHE], { only: ["network", "filesystem", "network"] })).toEqual([API.key, CACHE.key]);
  });

  it("is nothing for a request without a scope, until the operator fills one in", () => {
    expect(grantedScopes("weather", [OPEN_FILES, OPEN_NETWORK], {})).toEqual({
      scopes: [],
      empty: ["filesystem", "network"],
      denied: [],
    });
    expect(keys([OPEN_FILES], { scopes: [scope("filesystem=/srv/data:r")] })).toEqual([
      scopeKey(scope("filesystem=/srv/data:r")),
    ]);
  });

  it("takes the operator's narrower scope in the place of what was asked, several of them too", () => {
    const narrow = [scope("network=api.example.com,methods=GET"), scope("network=www.example.com,methods=GET")];
    expect(keys([asks("network=*.example.com,methods=GET+POST")], { scopes: narrow })).toEqual(narrow.map(scopeKey));
  });

  it("lets only the operator admit local addresses", () => {
    const local = scope("network+private=api.example.com,methods=GET");
    expect(grantedScopes("weather", [API], { scopes: [local] }).scopes).toEqual([local]);
    expect(grantedScopes("weather", [API], {}).scopes).not.toContainEqual(expect.objectContaining({ private: true }));
  });
});

describe("what a yes never does", () => {
  it.each([
    ["another host", "network=other.com"],
    ["a wider host", "network=*.example.com,methods=GET"],
    ["more methods", "network=api.example.com,methods=GET+POST"],
    ["another port", "network=api.example.com:8443,methods=GET"],
    ["another capability", "exec=ls"],
    ["a secret", "secrets=KEY"],
    ["the parent folder", "filesystem=${data}:rw"],
    ["a folder beside it", "filesystem=${data}/cache2:r"],
  ])("grants more than was asked: %s", (_what, text) => {
    expect(refusal([API, CACHE], { scopes: [scope(text)] })).toMatchObject({ code: "usage" });
  });

  it("makes reading into writing, in a request without a scope either", () => {
    expect(refusal([OPEN_FILES], { scopes: [scope("filesystem=/srv/data:rw")] })).toMatchObject({ code: "usage" });
  });

  it("gives a scope to a request that it leaves out", () => {
    const yes = { only: ["network"], scopes: [scope("filesystem=${data}/cache:r")] };
    expect(refusal([API, CACHE], yes)).toMatchObject({ code: "usage" });
  });

  it("overlooks a key that nothing asked for", () => {
    expect(refusal([API], { only: ["network", "exec"] })).toMatchObject({
      code: "usage",
      fix: expect.stringContaining(API.key),
    });
  });

  it("lets a plugin run without what it requires: one of two is not enough", () => {
    for (const only of [[CACHE.key], []]) {
      expect(refusal([API, CACHE], { only })).toMatchObject({ code: "permission_required", data: { key: API.key } });
    }
    const two = [asks("network=a.example.com"), asks("network=b.example.com")];
    expect(refusal(two, { only: [two[0]!.key] })).toMatchObject({
      code: "permission_required",
      data: { key: two[1]!.key },
    });
  });
});
