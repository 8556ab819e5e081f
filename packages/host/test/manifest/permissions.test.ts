import { describe, expect, it } from "vitest";
import { type PermissionRequest, riskOf } from "../../src/capability/index.ts";
import { minimal, read, readText, refusal } from "./support.ts";

const asked = (value: unknown): readonly PermissionRequest[] =>
  read(value).manifest.permissions.filter(({ capability }) => capability !== "tools");
const scopes = (value: unknown): unknown[] => asked(value).map(({ scope }) => scope);
const network = (host: string, change: Record<string, unknown> = {}): unknown => ({
  capability: "network",
  host,
  port: 443,
  scheme: "https",
  methods: ["*"],
  paths: ["/**"],
  ...change,
});

describe("our own permissions", () => {
  it("become requests with stable keys [S4-16] [S4-17] [S4-15]", () => {
    const permissions = {
      secrets: [{ name: "KEY", use: { origin: "https://a.test", in: "header:X-Key" }, reason: "r" }],
      network: [
        { host: "A.test", methods: ["get"], paths: ["/v1/*"], optional: true },
        { host: "a.test", port: 8443 },
      ],
      filesystem: [{ path: "${data}/cache/", mode: "rw" }],
      database: [{ connection: "orders" }],
    };
    expect(asked(minimal({ permissions }))).toEqual([
      {
        key: "network:a.test:443",
        capability: "network",
        scope: network("a.test", { methods: ["GET"], paths: ["/v1/*"] }),
        required: false,
      },
      { key: "network:a.test:8443", capability: "network", scope: network("a.test", { port: 8443 }), required: true },
      {
        key: "filesystem:${data}/cache",
        capability: "filesystem",
        scope: { capability: "filesystem", path: "${data}/cache", mode: "rw" },
        required: true,
      },
      {
        key: "secrets:KEY",
        capability: "secrets",
        scope: {
          capability: "secrets",
          name: "KEY",
          use: { origin: "https://a.test", in: "header:x-key", format: "{}" },
        },
        reason: "r",
        required: true,
      },
      {
        key: "database:orders",
        capability: "database",
        scope: { capability: "database", connection: "orders", mode: "r" },
        required: true,
      },
    ]);
  });

  it("tells requests of one key apart, and makes equal ones one", () => {
    const permissions = {
      network: [
        { host: "a.test", paths: ["/a"] },
        { host: "a.test", paths: ["/b"] },
        { host: "a.test", paths: ["/a"] },
      ],
    };
    expect(asked(minimal({ permissions })).map(({ key }) => key)).toEqual([
      "network:a.test:443",
      "network:a.test:443#2",
    ]);
  });

  it.each([
    [{ network: [{ host: "a.test", private: true }] }, "permissions.network[0].private"],
    [{ network: [{ host: "a.test", loopback: true }] }, "permissions.network[0].loopback"],
    [{ network: [{ host: "*" }] }, "permissions.network[0].host"],
    [{ network: [{ host: "2130706433" }] }, "permissions.network[0].host"],
    [{ network: [{ host: "a.test:8443", port: 443 }] }, "permissions.network[0]"],
    [{ network: [{ host: "a.test", paths: ["/a%2fb"] }] }, "permissions.network[0].paths[0]"],
    [{ network: [{ host: "a.test", methods: ["TRACE"] }] }, "permissions.network[0].methods[0]"],
    [{ network: [{ host: "a.test", methods: [] }] }, "permissions.network[0].methods"],
    [{ filesystem: [{ path: "/a/../b" }] }, "permissions.filesystem[0].path"],
    [{ filesystem: [{ path: "data" }] }, "permissions.filesystem[0].path"],
    [{ filesystem: [{ path: "/a", mode: "w" }] }, "permissions.filesystem[0].mode"],
    [{ secrets: [{ name: "A B" }] }, "permissions.secrets[0].name"],
    [{ secrets: [{ name: "A", use: { origin: "https://*.a.test", in: "query:k" } }] }, "permissions.secrets[0].use"],
    [
      { secrets: [{ name: "A", use: { origin: "https://a.test", in: "header:Cookie" } }] },
      "permissions.secrets[0].use",
    ],
    [
      { secrets: [{ name: "A", use: { origin: "https://a.test", in: "query:k", format: "no place" } }] },
      "permissions.secrets[0].use",
    ],
    [{ agent: [{}] }, "permissions.agent[0]"],
    [{ exec: [{ command: "sh -c" }] }, "permissions.exec[0].command"],
  ])("refuses %j, with the path", (permissions, path) =>
    expect(refusal(() => read(minimal({ permissions }))).paths).toContain(path),
  );

  it("reads exec, agent, events and system, so that the host can refuse what it cannot enforce", () => {
    const permissions = {
      exec: [{ command: "git", args: ["log", "**"] }],
      agent: [{ tools: ["a__b"], notify: true }],
      events: [{ direction: "publish", topic: "a.b" }],
      system: [{ facet: "hostname" }],
    };
    expect(asked(minimal({ permissions })).map((request) => [request.key, riskOf(request)])).toEqual([
      ["exec:git log **", "critical"],
      ["agent:a__b,notify", "high"],
      ["events:publish:a.b", "medium"],
      ["system:hostname", "critical"],
    ]);
  });

  it("asks for the secret behind each sensitive configuration value, loudly where it names no use", () => {
    const config_schema = {
      type: "object",
      properties: {
        token: { type: "string", "x-sensitive": true },
        key: { type: "string", "x-sensitive": true, "x-use": { origin: "https://a.test", in: "basic" } },
      },
    };
    expect(scopes(minimal({ config_schema }))).toEqual([
      { capability: "secrets", name: "config:token", expose: true },
      { capability: "secrets", name: "config:key", use: { origin: "https://a.test", in: "basic", format: "{}" } },
    ]);
  });
});

describe("Missy", () => {
  const weather =
    "name: weather\nversion: 1.0.0\ndescription: Weather.\npermissions:\n  network: true\n  allowed_hosts: [api.openweathermap.org]\n";
  const missy = (permissions: unknown): unknown => ({
    name: "weather",
    version: "1.0.0",
    description: "Weather.",
    permissions,
  });

  it("reads its weather plugin as written [S0-11] [S0-15] [S0-18] [S0-50]", () => {
    const { manifest } = readText(weather);
    expect([manifest.id, manifest.version, manifest.tools.map(({ name }) => name)]).toEqual([
      "weather",
      "1.0.0",
      ["execute"],
    ]);
    expect(manifest.permissions.map(({ scope }) => scope)).toEqual([
      { capability: "tools" },
      network("api.openweathermap.org"),
    ]);
  });

  it("keeps the port of homeassistant.local:8123, over either scheme [S0-17] [S0-51]", () => {
    const home = {
      ...Object(missy({ network: true, allowed_hosts: ["homeassistant.local:8123"] })),
      name: "home_automation",
      version: "0.1.0",
    };
    expect(read(home).manifest.id).toBe("home-automation");
    expect(scopes(home)).toEqual([
      network("homeassistant.local", { port: 8123 }),
      network("homeassistant.local", { port: 8123, scheme: "http" }),
    ]);
  });

  it("asks for nothing where everything is false, which is the default [S0-11] [S0-12] [S0-13] [S0-14] [S0-15] [S0-16]", () => {
    expect(
      asked(
        missy({
          network: false,
          filesystem_read: false,
          filesystem_write: false,
          shell: false,
          allowed_hosts: [],
          allowed_paths: [],
        }),
      ),
    ).toEqual([]);
    expect(asked(missy({ network: false }))).toEqual([]);
  });

  it("gives no scope to a bare yes", () => {
    expect(asked(missy({ network: true, filesystem_read: true, shell: true }))).toEqual([
      { key: "network", scope: null, capability: "network", required: true },
      { key: "filesystem", scope: null, capability: "filesystem", mode: "r", required: true },
      { key: "exec", scope: null, capability: "exec", required: true },
    ]);
  });

  it("reads paths with the mode that was asked [S0-12] [S0-13] [S0-16]", () => {
    expect(scopes(missy({ filesystem_read: true, allowed_paths: ["/srv/a"] }))).toEqual([
      { capability: "filesystem", path: "/srv/a", mode: "r" },
    ]);
    expect(scopes(missy({ filesystem_write: true, allowed_paths: ["/srv/a"] }))).toEqual([
      { capability: "filesystem", path: "/srv/a", mode: "rw" },
    ]);
  });

  it.each([
    [{ network: false, allowed_hosts: ["a.test"] }, "permissions.allowed_hosts"],
    [{ allowed_paths: ["/a"] }, "permissions.allowed_paths"],
    [{ network: true, allowed_hosts: ["0x7f.1"] }, "permissions.allowed_hosts[0]"],
    [{ network: true, allowed_hosts: "a.test" }, "permissions.allowed_hosts"],
    [{ filesystem_read: true, allowed_paths: ["../x"] }, "permissions.allowed_paths[0]"],
    [{ filesystem_read: "yes" }, "permissions.filesystem_read"],
    [{ network: true, camera: true }, "permissions.camera"],
  ])("refuses %j", (permissions, path) => expect(refusal(() => read(missy(permissions))).paths).toContain(path));

  it("is refused without permissions [S0-9]", () => {
    expect(refusal(() => read({ name: "weather", version: "1.0.0", description: "Weather." })).paths).toContain(
      "permissions",
    );
  });
});

describe("Manasvi", () => {
  const manasvi = (capabilities: unknown, change: Record<string, unknown> = {}): Record<string, unknown> => ({
    name: "notes",
    version: "1.0.0",
    description: "Notes.",
    entry: "plugin.js",
    capabilities,
    ...change,
  });
  const tools = [{ name: "add", description: "Adds.", parameters: { text: "string" } }];

  it("reads its capabilities [S1-15] [S1-16] [S1-17] [S1-18] [S1-19]", () => {
    const { manifest } = read(
      manasvi(
        [
          "provide-tools",
          "access-network",
          "access-secret",
          "access-filesystem",
          "publish-events",
          "consume-events",
          "provide-hooks",
          "request-sandboxed-execution",
        ],
        { tools },
      ),
    );
    expect(
      manifest.permissions.map(({ key, scope, mode }) => [key, scope === null ? null : scope.capability, mode]),
    ).toEqual([
      ["tools", "tools", undefined],
      ["network", null, undefined],
      ["secrets", null, undefined],
      ["filesystem", null, "rw"],
      ["events:publish", null, undefined],
      ["events:consume", null, undefined],
      ["hooks", null, undefined],
      ["exec", null, undefined],
    ]);
    expect(manifest.tools[0]?.inputSchema).toEqual({
      type: "object",
      properties: { text: { type: "string" } },
      additionalProperties: false,
    });
  });

  it("reads scopes behind the names, and lets scoped permissions say how far a name reaches", () => {
    expect(
      scopes(
        manasvi([
          "access-secret:KEY",
          { "access-network": ["https://a.test/v1/**", "b.test:8443"] },
          "access-filesystem:/srv/a:r",
        ]),
      ),
    ).toEqual([
      { capability: "secrets", name: "KEY" },
      network("a.test", { paths: ["/v1/**"] }),
      network("b.test", { port: 8443 }),
      { capability: "filesystem", path: "/srv/a", mode: "r" },
    ]);
    expect(scopes(manasvi(["access-network"], { permissions: { network: [{ host: "a.test" }] } }))).toEqual([
      network("a.test"),
    ]);
  });

  it("refuses tools that no capability asked for [S1-6]", () => {
    expect(refusal(() => read(manasvi(["access-network"], { tools }))).message).toMatch(/provide-tools/);
  });

  it("cannot reach the operator's flags through a scope", () => {
    for (const scope of ["+private=a.test", "a.test,private=true", "http+private://a.test"])
      expect(refusal(() => read(manasvi([`access-network:${scope}`]))).paths).toEqual(["capabilities[0]"]);
    expect(refusal(() => read(manasvi(["access-secret:A,expose=true"]))).paths).toEqual(["capabilities[0]"]);
  });
});

describe("Powerhouse", () => {
  const metadata = (change: Record<string, unknown> = {}): Record<string, unknown> => ({
    name: "data_processor",
    version: "1.0.0",
    author: "Powerhouse",
    description: "Processes data.",
    capabilities: ["data_processing"],
    required_permissions: [],
    ...change,
  });
  const actions = [
    {
      name: "transform",
      description: "Transforms.",
      parameters: { data: "list", operation: "add, multiply or power", factor: { type: "number" } },
    },
  ];

  it("reads its metadata and actions as written [S3-41] [S3-47] [S3-44] [S3-14]", () => {
    const { manifest } = read(metadata({ actions }));
    expect([manifest.id, manifest.name, manifest.author, manifest.categories]).toEqual([
      "data-processor",
      "data_processor",
      "Powerhouse",
      ["data_processing"],
    ]);
    expect(manifest.tools[0]).toMatchObject({
      name: "transform",
      inputSchema: {
        properties: {
          data: { type: "array" },
          operation: { description: "add, multiply or power" },
          factor: { type: "number" },
        },
        additionalProperties: false,
      },
    });
  });

  it.each([
    ["FILE_READ", "[S3-70]", "filesystem", "r", "high"],
    ["FILE_WRITE", "[S3-71]", "filesystem", "rw", "high"],
    ["NETWORK_ACCESS", "[S3-72]", "network", undefined, "high"],
    ["DATABASE_READ", "[S3-73]", "database", "r", "medium"],
    ["DATABASE_WRITE", "[S3-74]", "database", "rw", "high"],
    ["EXECUTE_CODE", "[S3-75]", "exec", undefined, "critical"],
    ["SYSTEM_ACCESS", "[S3-76]", "system", undefined, "critical"],
    ["AGENT_CONTROL", "[S3-77]", "agent", undefined, "high"],
  ])("reads %s in either case, with an empty scope %s", (name, _rows, capability, mode, risk) => {
    for (const spelled of [name, name.toLowerCase()]) {
      const [request, ...others] = asked(metadata({ required_permissions: [spelled] }));
      expect(others).toEqual([]);
      expect(request).toEqual({
        key: capability,
        scope: null,
        capability,
        ...(mode === undefined ? {} : { mode }),
        required: true,
      });
      expect(request && riskOf(request)).toBe(risk);
    }
  });

  it("makes one request of reading and writing", () => {
    expect(asked(metadata({ required_permissions: ["FILE_READ", "FILE_WRITE"] }))).toEqual([
      { key: "filesystem", scope: null, capability: "filesystem", mode: "rw", required: true },
    ]);
  });

  it("refuses an unknown capability [S3-25]", () =>
    expect(refusal(() => read(metadata({ capabilities: ["data_processing", "mining"] }))).paths).toEqual([
      "capabilities[1]",
    ]));
  it("refuses an unknown permission [S3-26]", () =>
    expect(refusal(() => read(metadata({ required_permissions: ["ROOT"] }))).paths).toEqual([
      "required_permissions[0]",
    ]));
  it("refuses a category as a permission [S3-26]", () =>
    expect(refusal(() => read(metadata({ required_permissions: ["data_processing"] }))).paths).toEqual([
      "required_permissions[0]",
    ]));

  it.each(["name", "version", "description"])("refuses metadata without %s [S3-47]", (key) => {
    expect(refusal(() => read(metadata({ [key]: undefined }))).paths).toContain(key);
  });

  it("must declare its required permissions [S3-78]", () => {
    expect(refusal(() => read(metadata({ required_permissions: undefined }))).paths).toContain("permissions");
    expect(asked(metadata())).toEqual([]);
  });

  it("accepts any configuration, as its initialize(config) does, where it has no schema", () => {
    expect(read(metadata()).manifest.configSchema).toEqual({ type: "object", additionalProperties: true });
  });

  it("shows problems of actions where they were written", () => {
    expect(refusal(() => read(metadata({ actions: [{ name: "a__b", description: "x" }] }))).paths).toEqual([
      "actions[0].name",
    ]);
  });
});

describe("Tyrum", () => {
  it("reads network_egress, db and secret names [S4-15] [S4-16] [S4-17]", () => {
    expect(
      asked(minimal({ permissions: { network_egress: ["https://a.test"], db: "read", secrets: ["KEY"] } })).map(
        ({ key, scope, mode }) => [key, scope === null, mode],
      ),
    ).toEqual([
      ["network:a.test:443", false, undefined],
      ["database", true, "r"],
      ["secrets:KEY", false, undefined],
    ]);
    expect(refusal(() => read(minimal({ permissions: { db: "admin" } }))).paths).toContain("permissions.db");
  });
});
