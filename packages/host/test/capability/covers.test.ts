import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  answersRequest,
  coveredBy,
  covers,
  networkScope,
  type PermissionRequest,
  parseScopeArgument,
  type Scope,
  widerThan,
  type Wish,
  withinScope,
} from "../../src/capability/index.ts";

const mode = fc.constantFrom("r" as const, "rw" as const);
const host = fc.constantFrom("a.example.com", "b.a.example.com", "example.com", "other.test");
const hostPattern = fc.oneof(host, fc.constantFrom("*.example.com", "*.a.example.com"));
const path = fc.constantFrom("/", "/a", "/a/b", "/a/b/c", "/b", "/a/", "/a%2fb", "/a/../b");
const pathPattern = fc.constantFrom("/**", "/", "/a", "/a/*", "/a/**", "/*/b", "/*", "/a/b/**");
const method = fc.constantFrom("GET", "POST", "PUT");
const port = fc.constantFrom(443, 8443);
const scheme = fc.constantFrom("https" as const, "http" as const);
const file = fc.constantFrom("/", "/a", "/a/b", "/ab", "/a/../b", "${data}", "${data}/a");
const use = fc.option(
  fc.record({
    origin: fc.constantFrom("https://a.test", "https://b.test"),
    in: fc.constant("query:k"),
    format: fc.constant("{}"),
  }),
  { nil: undefined },
);
const flag = fc.option(fc.boolean(), { nil: undefined });
const arg = fc.constantFrom("x", "y", "*", "**");
const tool = fc.constantFrom("w__a", "w__b", "v__a");
const toolPattern = fc.oneof(tool, fc.constantFrom("*", "w__*", "w*"));
const known = <T extends object>(object: T): T =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as T;

const scope: fc.Arbitrary<Scope> = fc.oneof(
  fc
    .record({
      capability: fc.constant("network" as const),
      host: hostPattern,
      port,
      scheme,
      methods: fc.oneof(fc.constant(["*"]), fc.uniqueArray(method, { minLength: 1 })),
      paths: fc.uniqueArray(pathPattern, { minLength: 1, maxLength: 2 }),
      private: flag,
      loopback: flag,
    })
    .map(known) as fc.Arbitrary<Scope>,
  fc.record({ capability: fc.constant("filesystem" as const), path: file, mode }),
  fc
    .record({ capability: fc.constant("secrets" as const), name: fc.constantFrom("A", "B"), use, expose: flag })
    .map(known) as fc.Arbitrary<Scope>,
  fc.record({
    capability: fc.constant("exec" as const),
    command: fc.constantFrom("git", "ls"),
    args: fc.array(arg, { maxLength: 3 }),
  }),
  fc.record({ capability: fc.constant("database" as const), connection: fc.constantFrom("m", "n"), mode }),
  fc
    .record({ capability: fc.constant("agent" as const), tools: fc.array(toolPattern, { maxLength: 2 }), notify: flag })
    .map(known) as fc.Arbitrary<Scope>,
  fc.record({
    capability: fc.constant("events" as const),
    direction: fc.constantFrom("publish" as const, "consume" as const),
    topic: fc.constantFrom("a.b", "a.*", "*", "a.b*"),
  }),
  fc.record({ capability: fc.constant("system" as const), facet: fc.constantFrom("hostname", "load") }),
);

const wish: fc.Arbitrary<Wish> = fc.oneof(
  fc.record({ capability: fc.constant("network" as const), host, port, scheme, method, path }),
  fc.record({
    capability: fc.constant("filesystem" as const),
    path: file,
    mode: fc.constantFrom("r" as const, "w" as const),
  }),
  fc
    .record({ capability: fc.constant("secrets" as const), name: fc.constantFrom("A", "B"), use, expose: flag })
    .map(known) as fc.Arbitrary<Wish>,
  fc.record({
    capability: fc.constant("exec" as const),
    command: fc.constantFrom("git", "ls"),
    args: fc.array(fc.constantFrom("x", "y", "z"), { maxLength: 3 }),
  }),
  fc.record({
    capability: fc.constant("database" as const),
    connection: fc.constantFrom("m", "n"),
    mode: fc.constantFrom("r" as const, "w" as const),
  }),
  fc
    .record({ capability: fc.constant("agent" as const), tool: fc.option(tool, { nil: undefined }), notify: flag })
    .map(known) as fc.Arbitrary<Wish>,
  fc.record({
    capability: fc.constant("events" as const),
    direction: fc.constantFrom("publish" as const, "consume" as const),
    topic: fc.constantFrom("a.b", "a.c", "a.bc"),
  }),
  fc.record({ capability: fc.constant("system" as const), facet: fc.constantFrom("hostname", "load") }),
);

const weather = networkScope({ host: "api.openweathermap.org", methods: ["GET"], paths: ["/data/2.5/*"] });
const get: Wish = {
  capability: "network",
  host: "api.openweathermap.org",
  port: 443,
  scheme: "https",
  method: "GET",
  path: "/data/2.5/weather",
};

describe("covers", () => {
  it("admits exactly the host, port, scheme, method and path that are granted [S0-15] [S1-17]", () => {
    expect(covers(weather, get)).toBe(true);
    for (const change of [
      { host: "evil.example" },
      { host: "api.openweathermap.org.evil.example" },
      { port: 8443 },
      { scheme: "http" as const },
      { method: "POST" },
      { path: "/data/3.0/weather" },
      { path: "/data/2.5/a/b" },
      { path: "/data/2.5/a%2fb" },
    ]) {
      expect(covers(weather, { ...get, ...change })).toBe(false);
    }
  });

  it("keeps the port of host:port [S0-17]", () => {
    const scope_ = networkScope({ host: "homeassistant.local:8123", scheme: "http" });
    const at = (port_: number): Wish => ({
      capability: "network",
      host: "homeassistant.local",
      port: port_,
      scheme: "http",
      method: "GET",
      path: "/",
    });
    expect(covers(scope_, at(8123))).toBe(true);
    expect(covers(scope_, at(80))).toBe(false);
  });

  it("lets a reader not write, and nobody leave the path [S0-12] [S0-13] [S0-16]", () => {
    const reader: Scope = { capability: "filesystem", path: "/data", mode: "r" };
    expect(covers(reader, { capability: "filesystem", path: "/data/a", mode: "r" })).toBe(true);
    expect(covers(reader, { capability: "filesystem", path: "/data/a", mode: "w" })).toBe(false);
    expect(
      covers({ ...reader, mode: "rw" }, { capability: "filesystem", path: "/data/../etc/passwd", mode: "w" }),
    ).toBe(false);
  });

  it("admits a secret only by name, and its value only under expose [S1-18]", () => {
    expect(covers({ capability: "secrets", name: "A" }, { capability: "secrets", name: "A" })).toBe(true);
    expect(covers({ capability: "secrets", name: "A" }, { capability: "secrets", name: "B" })).toBe(false);
    expect(covers({ capability: "secrets", name: "A" }, { capability: "secrets", name: "A", expose: true })).toBe(
      false,
    );
    const there = { origin: "https://a.test", in: "query:k", format: "{}" };
    expect(
      covers({ capability: "secrets", name: "A", use: there }, { capability: "secrets", name: "A", use: { ...there } }),
    ).toBe(true);
    for (const change of [{ origin: "https://b.test" }, { in: "basic" }, { format: "x{}" }]) {
      expect(
        covers(
          { capability: "secrets", name: "A", use: there },
          { capability: "secrets", name: "A", use: { ...there, ...change } },
        ),
      ).toBe(false);
    }
    expect(covers({ capability: "secrets", name: "A" }, { capability: "secrets", name: "A", use: there })).toBe(false);
  });

  it("admits nothing without a scope [S0-10] [S1-6]", () => {
    fc.assert(
      fc.property(wish, (any) => {
        expect(coveredBy([], any)).toBe(false);
      }),
    );
  });

  it("never crosses from one capability to another", () => {
    fc.assert(
      fc.property(
        scope,
        wish,
        (granted, wished) =>
          void (granted.capability !== wished.capability && expect(covers(granted, wished)).toBe(false)),
      ),
    );
  });
});

describe("withinScope", () => {
  it("is sound: what a narrower scope admits, the wider one admits too", () => {
    let compared = 0;
    fc.assert(
      fc.property(scope, scope, fc.array(wish, { minLength: 20, maxLength: 40 }), (inner, outer, wishes) => {
        if (!withinScope(inner, outer)) return;
        for (const wished of wishes) {
          if (!covers(inner, wished)) continue;
          compared++;
          expect(covers(outer, wished)).toBe(true);
        }
      }),
      { numRuns: 4000 },
    );
    expect(compared).toBeGreaterThan(50);
  });

  it("is sound for network scopes, field by field", () => {
    const near = fc.record({
      host: hostPattern,
      port,
      scheme,
      methods: fc.constantFrom(["*"], ["GET"], ["GET", "POST"]),
      paths: fc.uniqueArray(pathPattern, { minLength: 1, maxLength: 2 }),
    });
    const fields = fc.subarray(["host", "port", "scheme", "methods", "paths"] as const);
    const one = fc.record({ host, port, scheme, method, path });
    let compared = 0;
    fc.assert(
      fc.property(near, near, fields, one, (a, b, changed, wanted) => {
        const inner: Scope = { capability: "network", ...a };
        const outer: Scope = { ...inner, ...Object.fromEntries(changed.map((field) => [field, b[field]])) };
        if (!withinScope(inner, outer)) return;
        for (const each of [wanted, { ...wanted, host: a.host.replace("*", "x"), port: a.port, scheme: a.scheme }]) {
          const wished: Wish = { capability: "network", ...each };
          if (!covers(inner, wished)) continue;
          compared++;
          expect(covers(outer, wished)).toBe(true);
        }
      }),
      { numRuns: 5000 },
    );
    expect(compared).toBeGreaterThan(200);
    expect(widerThan({ ...weather, port: 8443 }, [weather])).toBe(true);
    expect(widerThan({ ...weather, scheme: "http" }, [weather])).toBe(true);
    expect(widerThan({ ...weather, paths: ["/data/**"] }, [{ ...weather, paths: ["/data/*"] }])).toBe(true);
    expect(widerThan({ ...weather, paths: ["/data/2.5/*", "/other"] }, [weather])).toBe(true);
  });

  it("holds for a scope and itself, and is transitive", () => {
    fc.assert(
      fc.property(
        scope.filter((one) => one.capability !== "filesystem" || !one.path.includes("..")),
        (one) => {
          expect(withinScope(one, one)).toBe(true);
        },
      ),
    );
    fc.assert(
      fc.property(
        scope,
        scope,
        scope,
        (a, b, c) => void (withinScope(a, b) && withinScope(b, c) && expect(withinScope(a, c)).toBe(true)),
      ),
      { numRuns: 3000 },
    );
  });

  it("never lets local addresses, exposure, payloads or writing slip in", () => {
    expect(widerThan({ ...weather, private: true }, [weather])).toBe(true);
    expect(widerThan({ ...weather, loopback: true }, [{ ...weather, private: true }])).toBe(true);
    expect(widerThan({ capability: "secrets", name: "A", expose: true }, [{ capability: "secrets", name: "A" }])).toBe(
      true,
    );
    expect(
      widerThan({ capability: "hooks", event: "tool.after_call", tools: ["a__b"] }, [
        { capability: "hooks", event: "tool.after_call", tools: [] },
      ]),
    ).toBe(true);
    expect(
      widerThan({ capability: "hooks", event: "tool.after_call", tools: [] }, [
        { capability: "hooks", event: "tool.after_call", tools: ["a__b"] },
      ]),
    ).toBe(true);
    expect(
      widerThan({ capability: "database", connection: "m", mode: "rw" }, [
        { capability: "database", connection: "m", mode: "r" },
      ]),
    ).toBe(true);
    expect(widerThan(weather, [])).toBe(true);
  });
});

describe("answersRequest", () => {
  const unscoped: PermissionRequest = {
    key: "filesystem",
    scope: null,
    capability: "filesystem",
    mode: "r",
    required: true,
  };

  it("fills a request without a scope no wider than it was asked", () => {
    expect(answersRequest(parseScopeArgument("filesystem=/data:r"), unscoped)).toBe(true);
    expect(answersRequest(parseScopeArgument("filesystem=/data:rw"), unscoped)).toBe(false);
    expect(answersRequest(parseScopeArgument("network=a.example.com"), unscoped)).toBe(false);
    expect(
      answersRequest(parseScopeArgument("secrets+expose=A"), {
        key: "secrets",
        scope: null,
        capability: "secrets",
        required: true,
      }),
    ).toBe(false);
  });

  it("lets the operator narrow, and add local addresses, and nothing else", () => {
    const request: PermissionRequest = { key: "network:x", scope: weather, capability: "network", required: true };
    expect(answersRequest({ ...weather, private: true }, request)).toBe(true);
    expect(answersRequest({ ...weather, paths: ["/data/2.5/weather"] }, request)).toBe(true);
    expect(answersRequest({ ...weather, methods: ["*"] }, request)).toBe(false);
    expect(answersRequest({ ...weather, host: "*.openweathermap.org" }, request)).toBe(false);
  });
});
