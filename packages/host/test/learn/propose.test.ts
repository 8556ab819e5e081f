import { describe, expect, it } from "vitest";
import { parseScopeArgument, type Scope } from "../../src/capability/index.ts";
import { approveArguments } from "../../src/host/learn-manifest.ts";
import { createObserver } from "../../src/host/learn-observe.ts";
import { narrowedGrants } from "../../src/host/learn-propose.ts";
import { action, denied, file, learnt, observe, requestsOf, scopesIn, went } from "./support.ts";

const changes = ({ permissions }: ReturnType<typeof learnt>) =>
  permissions.map(({ key, change, uses }) => [key, change, uses]);

describe("the network", () => {
  it("keeps host, port and scheme, names the methods and paths that were used, with ids as *", () => {
    const result = learnt("permissions: { network: [{ host: api.example.com, reason: Reads. }] }", [
      went("GET", "https://api.example.com/v1/users/17/posts"),
      went("GET", "https://api.example.com/v1/users/4711/posts"),
      went("GET", "https://api.example.com/v1/me", { time: 5_000 }),
      went("POST", "https://api.example.com/v1/posts"),
    ]);
    expect(result.permissions).toMatchObject([
      {
        key: "network:api.example.com:443",
        change: "narrow",
        uses: 4,
        lastUsed: 5_000,
        sentence: "may contact api.example.com over HTTPS, reading and sending anything",
        proposed: [
          "may contact api.example.com over HTTPS, reading only, only at /v1/me and /v1/users/*/posts",
          "may contact api.example.com over HTTPS, with POST, only at /v1/posts",
        ],
      },
    ]);
    expect(result.yaml).toBe(`permissions:
  network:
    - host: api.example.com
      methods:
        - GET
      paths:
        - /v1/me
        - /v1/users/*/posts
      reason: Reads.
    - host: api.example.com
      methods:
        - POST
      paths:
        - /v1/posts
      reason: Reads.
`);
  });

  it("puts methods that were used at the same places together, and gives none a place where it was not used", () => {
    const { requests } = learnt("permissions: { network: [{ host: a.example }] }", [
      went("GET", "https://a.example/x"),
      went("HEAD", "https://a.example/x"),
      went("DELETE", "https://a.example/y"),
    ]);
    expect(requests.map(({ scope }) => scope)).toMatchObject([
      { methods: ["DELETE"], paths: ["/y"] },
      { methods: ["GET", "HEAD"], paths: ["/x"] },
    ]);
  });

  it("never goes beyond what was asked: where * is not, an id stays an id", () => {
    const literal = 'permissions: { network: [{ host: a.example, paths: ["/u/1", "/u/2", "/v/**"] }] }';
    const events = [went("GET", "https://a.example/u/1"), went("GET", "https://a.example/u/2")];
    const { requests } = learnt(literal, events);
    expect(requests[0]?.scope).toMatchObject({ paths: ["/u/1", "/u/2"] });
  });

  it("names the hosts below a wildcard, unless there are many", () => {
    const wild = 'permissions: { network: [{ host: "*.example.com" }] }';
    const few = learnt(wild, [went("GET", "https://a.example.com/"), went("GET", "https://b.example.com/")]);
    expect(few.requests.map(({ key }) => key)).toEqual(["network:a.example.com:443", "network:b.example.com:443"]);
    const many = Array.from({ length: 9 }, (_, index) => went("GET", `https://h${index}.example.com/`));
    expect(learnt(wild, many).requests.map(({ key }) => key)).toEqual(["network:*.example.com:443"]);
  });

  it("reads a WebSocket as one, its end as no use, and a tunnel as the whole host", () => {
    const result = learnt(
      `permissions:
  network:
    - { host: s.example, scheme: wss }
    - { host: s.example }
    - { host: p.example, port: 8443 }`,
      [
        went("ws.open", "wss://s.example/feed", { status: 101 }),
        went("ws.close", "wss://s.example/feed", { status: 1000 }),
        went("CONNECT", "p.example:8443"),
      ],
    );
    expect(changes(result)).toEqual([
      ["network:wss://s.example:443", "narrow", 1],
      ["network:s.example:443", "remove", 0],
      ["network:p.example:8443", "keep", 1],
    ]);
    expect(result.requests.map(({ scope }) => scope)).toMatchObject([
      { scheme: "wss", paths: ["/feed"], methods: ["*"] },
      { host: "p.example", port: 8443, methods: ["*"], paths: ["/**"] },
    ]);
  });

  it("counts a use for the narrowest that allows it, so that the wider one may go", () => {
    const both = 'permissions: { network: [{ host: a.example }, { host: a.example, paths: ["/v1/**"] }] }';
    const result = learnt(both, [went("GET", "https://a.example/v1/x")]);
    expect(changes(result)).toEqual([
      ["network:a.example:443", "remove", 0],
      ["network:a.example:443#2", "narrow", 1],
    ]);
  });

  it.each([
    ["a path that the audit cut", `https://a.example/${"x".repeat(30)}…`],
    ["a path with a secret in it", "https://a.example/[secret KEY]/x"],
    ["a path with a star in it", "https://a.example/a*b/x"],
  ])("still covers %s", (_what, target) => {
    const { requests } = learnt("permissions: { network: [{ host: a.example }] }", [went("GET", target)]);
    expect(requests[0]?.scope).toMatchObject({ host: "a.example" });
    const [path] = requests[0]?.scope?.capability === "network" ? requests[0].scope.paths : [];
    expect(["/**", "/*/x"]).toContain(path);
  });

  it("says one for many, and the whole when there is no pattern", () => {
    const events = Array.from({ length: 200 }, (_, index) => went("GET", `https://a.example/${index % 20}/p${index}`));
    const { requests } = learnt("permissions: { network: [{ host: a.example }] }", events);
    expect(requests[0]?.scope).toMatchObject({ paths: ["/*/*"] });
    const deep = Array.from({ length: 40 }, (_, index) => went("GET", `https://a.example/${"x/".repeat(index)}end`));
    expect(learnt("permissions: { network: [{ host: a.example }] }", deep).requests[0]?.scope).toMatchObject({
      paths: ["/**"],
    });
  });

  it("stays bounded for a plugin that asks for no end of different things", () => {
    const events = Array.from({ length: 6_000 }, (_, index) => went("GET", `https://a.example/p/${index}/q${index}`));
    const result = learnt("permissions: { network: [{ host: a.example }, { host: b.example }] }", events);
    expect(changes(result)).toEqual([
      ["network:a.example:443", "keep", 6_000],
      ["network:b.example:443", "remove", 0],
    ]);
  });
});

describe("files", () => {
  it("names the directories that were used, and writes only where there was writing", () => {
    const result = learnt(
      'permissions: { filesystem: [{ path: "${data}", mode: rw }, { path: /srv, mode: rw }, { path: /etc/hosts }] }',
      [
        file("write", "${data}/cache/a.json"),
        file("read", "${data}/cache/a.json"),
        file("mkdir", "${data}/cache"),
        file("list", "/srv/in"),
        file("read", "/srv/in/deep/x.txt"),
      ],
    );
    expect(changes(result)).toEqual([
      ["filesystem:${data}", "narrow", 3],
      ["filesystem:/srv", "narrow", 2],
      ["filesystem:/etc/hosts", "remove", 0],
    ]);
    expect(result.requests.map(({ scope }) => scope)).toEqual([
      { capability: "filesystem", path: "${data}/cache", mode: "rw" },
      { capability: "filesystem", path: "/srv/in", mode: "r" },
    ]);
  });

  it("never leaves the path that was asked for, and keeps it when many places below were used", () => {
    const one = learnt("permissions: { filesystem: [{ path: /srv/a.txt }] }", [file("read", "/srv/a.txt")]);
    expect(changes(one)).toEqual([["filesystem:/srv/a.txt", "keep", 1]]);
    const events = Array.from({ length: 12 }, (_, index) => file("read", `/srv/${index}/x`));
    const many = learnt("permissions: { filesystem: [{ path: /srv, mode: rw }] }", events);
    expect(many.requests[0]?.scope).toEqual({ capability: "filesystem", path: "/srv", mode: "r" });
  });
});

describe("secrets, databases, commands, agents, events, facts", () => {
  it("keeps what was used and removes the rest, each by its kind", () => {
    const result = learnt(
      `permissions:
  network: [{ host: a.example }]
  secrets:
    - { name: USED, use: { origin: "https://a.example", in: "header:authorization", format: "Bearer {}" } }
    - { name: IDLE, use: { origin: "https://a.example", in: "header:x-key" } }
    - { name: OPEN, expose: true }
  database: [{ connection: orders, mode: rw }, { connection: people }]
  exec: [{ command: git, args: [log, "**"] }, { command: date }]
  agent: [{ tools: [notes__read, notes__write], notify: true }]
  events:
    - { direction: publish, topic: "orders.*" }
    - { direction: consume, topic: "people.*" }
    - { direction: consume, topic: never }
  system: [{ facet: hostname }, { facet: timezone }]`,
      [
        went("GET", "https://a.example/x", { data: { secrets: ["USED"] } }),
        action({ capability: "database", target: "orders", method: "select" }),
        action({ capability: "database", target: "orders", method: "with", data: { changes: 0 } }),
        action({ capability: "exec", target: "/usr/bin/git log --oneline", method: "exec" }),
        action({ capability: "agent", target: "notes__read", method: "agent.call" }),
        action({ capability: "events", target: "orders.created", method: "events.publish" }),
        action({ capability: "events", target: "people.moved", method: "events.subscribe" }),
        action({ capability: "system", target: "hostname", method: "get" }),
        action({ capability: "kv", target: "a", method: "set" }),
      ],
    );
    expect(changes(result)).toEqual([
      ["network:a.example:443", "narrow", 1],
      ["secrets:USED", "keep", 1],
      ["secrets:IDLE", "remove", 0],
      ["secrets:OPEN", "unseen", 0],
      ["database:orders", "narrow", 2],
      ["database:people", "remove", 0],
      ["exec:git log **", "keep", 1],
      ["exec:date", "remove", 0],
      ["agent:notes__read,notes__write,notify", "narrow", 1],
      ["events:publish:orders.*", "narrow", 1],
      ["events:consume:people.*", "keep", 1],
      ["events:consume:never", "remove", 0],
      ["system:hostname", "keep", 1],
      ["system:timezone", "remove", 0],
    ]);
    expect(result.requests.map(({ key }) => key)).toEqual([
      "network:a.example:443",
      "secrets:USED",
      "secrets:OPEN",
      "database:orders",
      "exec:git log **",
      "agent:notes__read",
      "events:publish:orders.created",
      "events:consume:people.*",
      "system:hostname",
    ]);
    expect(result.requests.find(({ capability }) => capability === "database")?.scope).toMatchObject({ mode: "r" });
  });

  it("counts a secret only at the origin that its use names, a WebSocket's handshake among them", () => {
    const permissions = `permissions:
  network: [{ host: a.example }, { host: a.example, scheme: wss }]
  secrets: [{ name: KEY, use: { origin: "https://a.example", in: "header:x-key" } }, { name: KEY, use: { origin: "https://b.example", in: "header:x-key" } }]`;
    const result = learnt(permissions, [went("ws.open", "wss://a.example/", { data: { secrets: ["KEY"] } })]);
    expect(changes(result).slice(2)).toEqual([
      ["secrets:KEY", "keep", 1],
      ["secrets:KEY#2", "remove", 0],
    ]);
  });
});

describe("what was refused", () => {
  const events = [
    went("GET", "https://a.example/x"),
    went("POST", "https://evil.example/steal", denied),
    went("POST", "https://evil.example/steal", { ...denied, time: 9_000 }),
    went("GET", "https://metadata.example/", { ...denied, reason: "address_refused" }),
    file("read", "/etc/passwd", denied),
    file("write", "/home/\\u{202e}x", denied),
    action({ capability: "system", target: "hostname", method: "get", ...denied }),
  ];
  const permissions = "permissions: { network: [{ host: a.example }] }";

  it("is told apart, with how often, and proposed by nobody", () => {
    const result = learnt(permissions, events);
    expect(result.refused).toMatchObject([
      { wish: "POST https://evil.example/steal", reason: "permission_denied", count: 2, last: 9_000 },
      { wish: "GET https://metadata.example/", reason: "address_refused" },
      { wish: "read /etc/passwd" },
      { wish: "write /home/\\u{202e}x" },
      { wish: "get hostname" },
    ]);
    expect(result.refused.every(({ included }) => !included)).toBe(true);
    expect(result.requests.map(({ key }) => key)).toEqual(["network:a.example:443"]);
    expect(result.yaml).not.toContain("evil");
  });

  it("is no use of a permission that asks for it and was not granted", () => {
    const result = learnt(permissions, [went("GET", "https://a.example/x", denied)], { granted: [] });
    expect(changes(result)).toEqual([["network:a.example:443", "remove", 0]]);
    expect(result.requests).toEqual([]);
  });

  it("is proposed when that is asked for: as narrow as it was wanted, and never an address or a misused secret", () => {
    const result = learnt(permissions, events, { includeRefused: true });
    expect(result.requests.map(({ scope }) => scope)).toEqual([
      expect.objectContaining({ host: "a.example" }),
      expect.objectContaining({ host: "evil.example", methods: ["POST"], paths: ["/steal"] }),
      { capability: "filesystem", path: "/etc", mode: "r" },
      { capability: "system", facet: "hostname" },
    ]);
    expect(result.permissions.filter(({ change }) => change === "add").map(({ key }) => key)).toEqual([
      "network:evil.example:443",
      "filesystem:/etc",
      "system:hostname",
    ]);
    expect(result.refused.map(({ reason, included }) => [reason, included])).toEqual([
      ["permission_denied", true],
      ["address_refused", false],
      ["permission_denied", true],
      ["permission_denied", false],
      ["permission_denied", true],
    ]);
  });

  it("takes no room from what was used, and not much of anybody's time", () => {
    const wishes = Array.from({ length: 6_000 }, (_, n) => went("GET", `https://h${n}.example.com/x`, denied));
    const often = went("GET", "https://h900.example.com/x", denied);
    const used = action({ capability: "database", method: "select", target: "books" });
    const asked = "permissions: { database: [{ connection: books, mode: r }] }";
    const result = learnt(asked, [...wishes, often, used], { includeRefused: true });
    expect(result.permissions[0]).toMatchObject({ capability: "database", change: "keep", uses: 1 });
    expect(result.refused).toHaveLength(1_000);
    expect(result.refused[0]).toMatchObject({ wish: "GET https://h900.example.com/x", included: true });
    expect(result.refused.filter(({ included }) => included)).toHaveLength(32);
    const observer = createObserver();
    for (const wish of wishes.slice(0, 1_000)) observer.add(wish);
    expect(observer.incomplete()).toBe(false);
    for (const wish of wishes) observer.add(wish);
    expect(observer.incomplete()).toBe(true);
  });

  it("is never proposed wider than it was wanted", () => {
    const wild = Array.from({ length: 40 }, (_, index) =>
      went("GET", `https://evil.example/${"x/".repeat(index)}end`, denied),
    );
    const odd = went("NOT-A-METHOD", "https://odd.example/", denied);
    const result = learnt("permissions: {}", [...wild, odd, went("GET", "ftp://x/", denied)], { includeRefused: true });
    expect(result.requests).toEqual([]);
  });
});

describe("what an operator would approve", () => {
  const permissions = `permissions:
  network: [{ host: a.example }, { host: b.example, optional: true }]
  filesystem: [{ path: "\${data}", mode: rw }]`;
  const requests = requestsOf(permissions);

  it("is within what is granted, with the operator's own words, and leaves out what may be left out", () => {
    const granted: readonly Scope[] = [
      parseScopeArgument("network+private=https://a.example/v1/**"),
      ...scopesIn(requests).slice(1),
    ];
    const observed = observe([went("GET", "https://a.example/v1/1"), went("GET", "https://a.example/v1/2")]);
    const answer = approveArguments(requests, granted, narrowedGrants(granted, observed));
    expect(answer).toEqual({
      only: ["network:a.example:443", "filesystem:${data}"],
      scopes: ["network+private=https://a.example/v1/*,methods=GET"],
    });
  });

  it("keeps what leaves no trace", () => {
    const exposed = requestsOf("permissions: { secrets: [{ name: OPEN, expose: true, optional: true }] }");
    expect(narrowedGrants(scopesIn(exposed), [])).toEqual(scopesIn(exposed));
  });

  it("never widens a grant that is narrower than what was asked", () => {
    const granted = [parseScopeArgument("network=https://a.example/only"), ...scopesIn(requests).slice(1)];
    expect(approveArguments(requests, granted, narrowedGrants(granted, []))).toEqual({
      only: ["network:a.example:443", "filesystem:${data}"],
      scopes: ["network=https://a.example/only"],
    });
  });
});

it("names a request with a comma in its key by its kind, since --only splits at commas", () => {
  const requests = requestsOf("permissions: { agent: [{ tools: [a__x, b__y] }] }");
  const granted = scopesIn(requests);
  expect(approveArguments(requests, granted, granted)).toEqual({ only: ["agent"], scopes: [] });
});
