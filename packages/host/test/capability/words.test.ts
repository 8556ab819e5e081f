import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  canonicalOrigin,
  computeEffect,
  covers,
  effectFloor,
  networkScope,
  parseScopeArgument,
  type PermissionRequest,
  riskOf,
  type Scope,
  scopeKey,
  secretUse,
  sentenceOf,
} from "../../src/capability/index.ts";

const request = (capability: Scope["capability"], extra: Partial<PermissionRequest> = {}): PermissionRequest => ({
  key: capability,
  scope: null,
  capability,
  required: true,
  ...extra,
});

describe("parseScopeArgument", () => {
  it.each([
    ["filesystem=/data:r", { capability: "filesystem", path: "/data", mode: "r" }],
    ["filesystem=${data}/cache:rw", { capability: "filesystem", path: "${data}/cache", mode: "rw" }],
    [
      "network=api.example.com",
      { capability: "network", host: "api.example.com", port: 443, scheme: "https", methods: ["*"], paths: ["/**"] },
    ],
    [
      "network=api.example.com:8443",
      { capability: "network", host: "api.example.com", port: 8443, scheme: "https", methods: ["*"], paths: ["/**"] },
    ],
    [
      "network=https://API.example.com/v1/*,methods=GET+HEAD",
      {
        capability: "network",
        host: "api.example.com",
        port: 443,
        scheme: "https",
        methods: ["GET", "HEAD"],
        paths: ["/v1/*"],
      },
    ],
    [
      "network+private=http://nas.local:8080",
      {
        capability: "network",
        host: "nas.local",
        port: 8080,
        scheme: "http",
        methods: ["*"],
        paths: ["/**"],
        private: true,
      },
    ],
    [
      "network+loopback=http://127.0.0.1:8123",
      {
        capability: "network",
        host: "127.0.0.1",
        port: 8123,
        scheme: "http",
        methods: ["*"],
        paths: ["/**"],
        loopback: true,
      },
    ],
    ["database=orders:r", { capability: "database", connection: "orders", mode: "r" }],
    [
      "secrets=KEY,origin=https://a.test,in=header:Authorization,format=Bearer {}",
      {
        capability: "secrets",
        name: "KEY",
        use: { origin: "https://a.test", in: "header:authorization", format: "Bearer {}" },
      },
    ],
    ["secrets+expose=KEY", { capability: "secrets", name: "KEY", expose: true }],
    ["exec=git log **", { capability: "exec", command: "git", args: ["log", "**"] }],
    ["agent=weather__forecast,notes__*", { capability: "agent", tools: ["weather__forecast", "notes__*"] }],
    ["agent+notify=", { capability: "agent", tools: [], notify: true }],
    ["events=publish:orders.created", { capability: "events", direction: "publish", topic: "orders.created" }],
    ["hooks=tool.after_call", { capability: "hooks", event: "tool.after_call", tools: [] }],
    ['exec=["/usr/bin/date","+%F %T"]', { capability: "exec", command: "/usr/bin/date", args: ["+%F %T"] }],
    [
      "exec+interpreter=/usr/bin/python3 -",
      { capability: "exec", command: "/usr/bin/python3", args: ["-"], interpreter: true },
    ],
    ["system=hostname", { capability: "system", facet: "hostname" }],
    ["tools", { capability: "tools" }],
  ])("reads %s", (text, scope) => expect(parseScopeArgument(text)).toEqual(scope));

  it.each([
    "",
    "=",
    "disk=/data",
    "__proto__=x",
    "filesystem=/data",
    "filesystem=data:r",
    "filesystem=/a/../b:r",
    "filesystem+private=/a:r",
    "network=",
    "network=*",
    "network=ftp://a.test",
    "network=user@a.test",
    "network=0x7f.1",
    "network=a.test:0",
    "network=a.test:99999",
    "network=a.test,methods=",
    "network=a.test,methods=CONNECT",
    "network=a.test,methods=GET,methods=POST",
    "network+priv=a.test",
    "network=https://a.test/x?q=1",
    "secrets=K,origin=https://a.test",
    "secrets=K,origin=https://*.a.test,in=query:k",
    "secrets=K,origin=https://a.test,in=header:Host",
    "secrets=K,origin=https://a.test,in=body",
    "exec=",
    "exec=git;ls",
    "exec=bin/git",
    "exec=../git",
    "exec=/usr/bin/../git",
    "exec=git ** x",
    "exec=git a**",
    "exec=[1]",
    'exec=["git"',
    "exec+shell=git",
    "system=shoe_size",
    "exec=$(x)",
    "agent=",
    "events=a.b",
    "hooks=x",
    "system=",
    "tools=x",
  ])("refuses %j, saying how to write it", (text) => {
    expect(() => parseScopeArgument(text)).toThrow(
      expect.objectContaining({ code: "usage", fix: expect.stringMatching(/\w/) }),
    );
  });

  it("grants nothing wider than what is written", () => {
    const host = fc.constantFrom("a.test", "b.test", "c.a.test");
    fc.assert(
      fc.property(
        host,
        fc.integer({ min: 1, max: 65_535 }),
        fc.constantFrom("/x", "/x/*", "/x/**"),
        host,
        fc.integer({ min: 1, max: 65_535 }),
        fc.constantFrom("/x", "/x/y", "/y", "/"),
        (h, p, path, otherHost, otherPort, otherPath) => {
          const scope = parseScopeArgument(`network=https://${h}:${p}${path}`);
          const wish = {
            capability: "network",
            host: otherHost,
            port: otherPort,
            scheme: "https",
            method: "GET",
            path: otherPath,
          } as const;
          if (covers(scope, wish)) expect([otherHost, otherPort, otherPath.startsWith("/x")]).toEqual([h, p, true]);
          expect(covers(scope, { ...wish, scheme: "http", host: h, port: p, path: "/x" })).toBe(false);
        },
      ),
    );
  });
});

describe("risk", () => {
  it("rates each family as the table does [S1-20]", () => {
    const rated: readonly [string, Scope | PermissionRequest][] = [
      ["low", { capability: "tools" }],
      ["low", { capability: "hooks", event: "tool.after_call", tools: [] }],
      ["critical", { capability: "hooks", event: "tool.after_call", tools: ["a__b"] }],
      ["medium", { capability: "events", direction: "publish", topic: "a" }],
      ["high", networkScope({ host: "a.test" })],
      ["high", { capability: "filesystem", path: "/a", mode: "r" }],
      ["high", { capability: "secrets", name: "A" }],
      ["critical", { capability: "secrets", name: "A", expose: true }],
      ["medium", { capability: "database", connection: "a", mode: "r" }],
      ["high", { capability: "database", connection: "a", mode: "rw" }],
      ["high", { capability: "agent", tools: ["a__b"] }],
      ["critical", { capability: "exec", command: "ls", args: [] }],
      ["critical", { capability: "system", facet: "load" }],
      ["critical", request("hooks")],
      ["high", request("database")],
      ["medium", request("database", { mode: "r" })],
      ["high", request("network")],
    ];
    for (const [risk, subject] of rated) expect(riskOf(subject)).toBe(risk);
  });
});

describe("effect", () => {
  it("is the stronger of what is declared and what the grants make possible", () => {
    expect(effectFloor([])).toBe("read");
    expect(computeEffect("read", [networkScope({ host: "a.test", methods: ["GET"] })])).toBe("external");
    expect(computeEffect("read", [{ capability: "secrets", name: "A", expose: true }])).toBe("external");
    expect(computeEffect("read", [{ capability: "secrets", name: "A" }])).toBe("read");
    expect(computeEffect("read", [{ capability: "filesystem", path: "/a", mode: "r" }])).toBe("read");
    expect(computeEffect("read", [{ capability: "filesystem", path: "${data}", mode: "rw" }])).toBe("write");
    expect(computeEffect("read", [{ capability: "database", connection: "a", mode: "rw" }])).toBe("write");
    expect(computeEffect("read", [{ capability: "exec", command: "ls", args: [] }])).toBe("destructive");
    expect(computeEffect("read", [{ capability: "system", facet: "load" }])).toBe("destructive");
    expect(computeEffect("destructive", [])).toBe("destructive");
    expect(computeEffect("write", [networkScope({ host: "a.test" })])).toBe("external");
  });

  it("takes an agent's effect from the tools that may be called, and the worst where that is unknown", () => {
    const scope: Scope = { capability: "agent", tools: ["a__read"] };
    expect(effectFloor([scope])).toBe("destructive");
    expect(effectFloor([scope], () => "read")).toBe("read");
    expect(effectFloor([{ ...scope, tools: ["a__*"] }], () => "read")).toBe("destructive");
  });
});

describe("sentences", () => {
  it.each<[Scope | PermissionRequest, string]>([
    [
      networkScope({ host: "api.openweathermap.org", methods: ["GET"] }),
      "may contact api.openweathermap.org over HTTPS, reading only",
    ],
    [
      networkScope({ host: "*.example.com", scheme: "http", port: 8080, methods: ["POST", "GET"], paths: ["/v1/*"] }),
      "may contact every subdomain of example.com over unencrypted HTTP on port 8080, with GET and POST, only at /v1/*",
    ],
    [
      { ...networkScope({ host: "nas.local" }), private: true },
      "may contact nas.local ON YOUR LOCAL NETWORK over HTTPS, reading and sending anything",
    ],
    [
      { ...networkScope({ host: "127.0.0.1" }), loopback: true },
      "may contact 127.0.0.1 ON THIS COMPUTER ITSELF over HTTPS, reading and sending anything",
    ],
    [{ capability: "filesystem", path: "/data", mode: "r" }, "may read files in /data and below"],
    [
      { capability: "filesystem", path: "${data}/cache", mode: "rw" },
      "may read, write and delete files in cache of its own data directory",
    ],
    [{ capability: "filesystem", path: "/", mode: "rw" }, "MAY READ, WRITE AND DELETE EVERY FILE OF THIS COMPUTER"],
    [
      { capability: "secrets", name: "K", use: secretUse({ origin: "https://a.test", in: "query:appid" }) },
      "may have the secret K sent to https://a.test in query parameter appid, without seeing it",
    ],
    [
      { capability: "secrets", name: "K", expose: true },
      "RECEIVES THE VALUE OF THE SECRET K ITSELF, and can pass it on to wherever it may send",
    ],
    [
      { capability: "exec", command: "git", args: ["log"] },
      "MAY RUN THE PROGRAM git log ON THIS COMPUTER, in a jail of its own: no network, no files but those that the plugin hands it",
    ],
    [{ capability: "system", facet: "load" }, "may learn how busy this machine is"],
    [request("network"), "wants to contact servers on the internet (nothing until you say which)"],
    [request("filesystem", { mode: "rw" }), "wants to read, write and delete files (nothing until you say which)"],
  ])("%#", (subject, sentence) => expect(sentenceOf(subject)).toBe(sentence));

  it("keeps the port, and shows what a plugin wrote escaped", () => {
    expect(sentenceOf(networkScope({ host: "homeassistant.local:8123" }))).toContain("on port 8123");
    expect(sentenceOf({ capability: "filesystem", path: "/data\u202ex", mode: "r" })).toContain("\\u{202e}");
  });
});

describe("keys and origins", () => {
  it("names a scope shortly and stably", () => {
    expect(scopeKey(networkScope({ host: "api.example.com" }))).toBe("network:api.example.com:443");
    expect(scopeKey(networkScope({ host: "api.example.com", scheme: "http" }))).toBe(
      "network:http://api.example.com:80",
    );
    expect(scopeKey({ capability: "filesystem", path: "${data}/cache", mode: "rw" })).toBe("filesystem:${data}/cache");
  });

  it("reads an origin, and refuses what is none", () => {
    expect(canonicalOrigin("https://API.example.com:443")).toBe("https://api.example.com");
    expect(canonicalOrigin("https://api.example.com:8443/")).toBe("https://api.example.com:8443");
    for (const text of [
      "api.example.com",
      "https://a.test/path",
      "https://u@a.test",
      "ftp://a.test",
      "https://",
      "https://*.a.test",
      "https://a.test?x",
    ])
      expect(() => canonicalOrigin(text)).toThrow();
  });
});
