import { describe, expect, it } from "vitest";
import {
  compareVersions,
  findManifest,
  idSkeleton,
  type JsonSchema,
  readManifest,
  versionSatisfies,
} from "../../src/manifest/index.ts";
import { minimal, read, readText, refusal } from "./support.ts";

const tool = (change: Record<string, unknown> = {}): Record<string, unknown> => ({
  name: "a",
  description: "a",
  effect: "read",
  input_schema: { type: "object" },
  ...change,
});

describe("findManifest", () => {
  it("takes exactly one of plugin.yml, plugin.yaml and plugin.json [S2-12] [S4-10]", () => {
    for (const name of ["plugin.yml", "plugin.yaml", "plugin.json"])
      expect(findManifest(["README.md", name, "src"])).toBe(name);
    expect(refusal(() => findManifest(["plugin.yml", "plugin.json"])).code).toBe("manifest_invalid");
    expect(refusal(() => findManifest(["Plugin.yml", "package.json"])).code).toBe("manifest_missing");
  });

  it("reads all three the same [S2-12]", () => {
    const text = JSON.stringify(minimal());
    const digests = ["plugin.yml", "plugin.yaml", "plugin.json"].map((name) => readText(text, name).digest);
    expect(new Set(digests).size).toBe(1);
    expect(refusal(() => readManifest({ name: "manifest.toml", bytes: new Uint8Array() })).message).toMatch(
      /name of a manifest/,
    );
  });
});

describe("what a manifest must have", () => {
  it.each([
    ["id", "[S2-14] [S4-12]"],
    ["name", "[S2-15] [S4-12] [S0-18]"],
    ["version", "[S2-16] [S4-12] [S0-20]"],
    ["description", "[S0-19]"],
    ["entry", "[S2-17] [S4-13]"],
    ["contributes", "[S2-18] [S4-14] [S4-64]"],
    ["permissions", "[S2-22] [S2-66] [S0-9] [S0-21] [S4-65]"],
    ["config_schema", "[S2-23] [S4-18]"],
  ])("refuses one without %s %s", (key) => {
    const refused = refusal(() => read(minimal({ [key]: undefined })));
    expect(refused.paths).toEqual([key]);
    expect(refused.message).toMatch(/is missing/);
  });

  it("says every problem at once, the first in the message [S1-27]", () => {
    const refused = refusal(() =>
      read(minimal({ version: "1", entry: "../x.js", extra: 1, permissions: { network: [{ host: "0x7f.1" }] } })),
    );
    expect(refused.paths).toEqual(expect.arrayContaining(["version", "entry", "extra", "permissions.network[0].host"]));
    expect(refused.message).toContain("plugin.json: version");
    expect(refused.message).toContain("and 3 more");
  });

  it.each([
    [{ extra: 1 }, "extra"],
    [{ contributes: { tool: [] } }, "contributes.tool"],
    [{ contributes: { tools: [tool({ sideEffect: false })] } }, "contributes.tools[0].sideEffect"],
    [{ permissions: { internet: true } }, "permissions.internet"],
    [{ permissions: { network: [{ host: "a.test", hosts: [] }] } }, "permissions.network[0].hosts"],
    [
      { permissions: { secrets: [{ name: "A", use: { origin: "https://a.test", in: "query:a", extra: 1 } }] } },
      "permissions.secrets[0].use.extra",
    ],
    [{ limits: { cpu: 1 } }, "limits.cpu"],
    [{ isolation: { driver: "none" } }, "isolation.driver"],
    [{ engines: { node: "20" } }, "engines.node"],
    [{ scripts: { postinstall: "x" } }, "scripts"],
    [{ env: { A: "b" } }, "env"],
  ])("refuses unknown keys everywhere, with the path: %j [S2-13]", (change, path) => {
    const refused = refusal(() => read(minimal(change)));
    expect([refused.path, refused.message]).toEqual([path, expect.stringMatching(/not known/)]);
  });
});

describe("ids", () => {
  it.each(["weather", "a", "home-automation", "acme/weather", "x1"])("takes %s", (id) =>
    expect(read(minimal({ id })).manifest.id).toBe(id),
  );

  it.each([
    "",
    "1a",
    "-a",
    "a-",
    "a--b",
    "a/b/c",
    "/a",
    "a/",
    "../x",
    "a.b",
    "a b",
    "wéather",
    "ｗeather",
    "а",
    "weather\u0000",
    "a".repeat(61),
  ])("refuses %j", (id) => {
    expect(refusal(() => read(minimal({ id }))).paths).toContain("id");
  });

  it.each([
    "sallyport",
    "host",
    "system",
    "mcp",
    "sallyport/x",
    "x/system",
    "sa11yport",
    "sallyp0rt",
    "sally-port",
    "h0st",
    "rncp",
    "systern",
  ])("refuses the reserved or confusable %s", (id) => {
    expect(refusal(() => read(minimal({ id }))).message).toMatch(/reserved/);
  });

  it("reads _ as - and folds case, and says so", () => {
    const { manifest, warnings } = read(minimal({ id: "Home_Automation" }));
    expect(manifest.id).toBe("home-automation");
    expect(warnings).toEqual([expect.stringContaining("home-automation")]);
  });

  it("gives look-alikes one skeleton", () => {
    expect(idSkeleton("weather1")).toBe(idSkeleton("weatherl"));
    expect(idSkeleton("modern")).toBe(idSkeleton("modem"));
    expect(idSkeleton("weather")).not.toBe(idSkeleton("whether"));
  });
});

describe("versions", () => {
  it.each(["1.0.0", "0.1.0", "1.10.0-beta.1", "1.0.0+build.5"])("takes %s", (version) =>
    expect(read(minimal({ version })).manifest.version).toBe(version),
  );
  it.each(["1", "1.0", "v1.0.0", " 1.0.0", "1.0.0 ", "01.0.0", "latest", "1.0.0.0", "=1.0.0", "^1.0.0"])(
    "refuses %j [S3-103]",
    (version) => {
      expect(refusal(() => read(minimal({ version }))).paths).toEqual(["version"]);
    },
  );
  it("orders them as semver does [S3-103]", () => {
    expect(["1.10.0", "1.9.0", "1.9.0-rc.1"].toSorted(compareVersions)).toEqual(["1.9.0-rc.1", "1.9.0", "1.10.0"]);
    expect(versionSatisfies("1.10.0", "^1.9.0")).toBe(true);
    expect(versionSatisfies("2.0.0", "^1.9.0")).toBe(false);
  });
});

describe("entries", () => {
  it.each([
    ["dist/plugin.js", "dist/plugin.js"],
    ["./src/plugin.ts", "src/plugin.ts"],
    ["plugin.mjs", "plugin.mjs"],
    ["plugin.mts", "plugin.mts"],
  ])("takes %s [S2-37]", (entry, canonical) => expect(read(minimal({ entry })).manifest.entry).toBe(canonical));

  it.each([
    "../x.js",
    "a/../../x.js",
    "a/..",
    "/etc/x.js",
    "C:\\x.js",
    "c:/x.js",
    "\\\\server\\x.js",
    "a\\..\\x.js",
    "file:///x.js",
    "https://a.test/x.js",
    "data:text/javascript,1",
    "%2e%2e/x.js",
    "a//x.js",
    "./../x.js",
    "x",
    "x.cjs",
    "x.json",
    "x.node",
    "x.js/",
    ".hidden.js",
    "~/x.js",
    "con.js",
    "a./x.js",
    "x.d.ts",
    "a b.js",
    "x.js\u0000.txt",
  ])("refuses %j [S2-37] [S2-39] [S4-40]", (entry) =>
    expect(refusal(() => read(minimal({ entry }))).paths).toContain("entry"),
  );

  it("says why [S2-39] [S4-40]", () => {
    expect(refusal(() => read(minimal({ entry: "a/../../x.js" }))).message).toMatch(/leaves the plugin's root/);
    expect(refusal(() => read(minimal({ entry: "C:\\x.js" }))).message).toMatch(/backslash, a percent sign or a colon/);
  });

  it("gives the entry's own code when it is the first problem", () => {
    expect(refusal(() => read(minimal({ entry: "../x.js" }))).code).toBe("entry_invalid");
  });
});

describe("contributions", () => {
  it("reads tools with typed input and output contracts [S1-44] [S2-6] [S2-7] [S4-5]", () => {
    const output = { type: "object", properties: { c: { type: "number" } } };
    const { manifest } = read(
      minimal({
        contributes: { tools: [tool({ name: "get_it", effect: "write", output_schema: output, timeout_ms: 10 })] },
      }),
    );
    expect(manifest.tools).toEqual([
      {
        name: "get_it",
        description: "a",
        effect: "write",
        inputSchema: { type: "object" },
        outputSchema: output,
        timeoutMs: 10,
      },
    ]);
  });

  it.each(["A", "1a", "a-b", "a__b", "a.b", "", "a b", "ä"])("refuses the tool name %j", (name) => {
    expect(refusal(() => read(minimal({ contributes: { tools: [tool({ name })] } }))).paths).toContain(
      "contributes.tools[0].name",
    );
  });

  it("refuses a full name over 64 characters", () => {
    const fits = "a".repeat(64 - "weather__".length);
    expect(read(minimal({ contributes: { tools: [tool({ name: fits })] } })).manifest.tools[0]?.name).toBe(fits);
    expect(refusal(() => read(minimal({ contributes: { tools: [tool({ name: `${fits}a` })] } }))).message).toMatch(
      /65 characters/,
    );
  });

  it("counts an absent or unknown effect as destructive, and says so", () => {
    for (const effect of [undefined, "harmless"]) {
      const { manifest, warnings } = read(minimal({ contributes: { tools: [tool({ effect })] } }));
      expect(manifest.tools[0]?.effect).toBe("destructive");
      expect(warnings).toEqual([expect.stringContaining("destructive")]);
    }
  });

  it("refuses commands and routes of undeclared tools [S2-19] [S2-20] [S1-28]", () => {
    const contributes = {
      tools: [tool()],
      commands: [{ name: "c", description: "c", tool: "b" }],
      routes: [{ method: "GET", path: "/x", tool: "b" }],
    };
    expect(refusal(() => read(minimal({ contributes }))).paths).toEqual([
      "contributes.commands[0].tool",
      "contributes.routes[0].tool",
    ]);
  });

  it.each([
    ["tools", { tools: [tool(), tool()] }],
    [
      "commands",
      {
        tools: [tool()],
        commands: [
          { name: "c", description: "c", tool: "a" },
          { name: "c", description: "d", tool: "a" },
        ],
      },
    ],
    [
      "routes",
      {
        tools: [tool()],
        routes: [
          { method: "GET", path: "/x", tool: "a" },
          { method: "GET", path: "/x", tool: "a" },
        ],
      },
    ],
    [
      "hooks",
      {
        hooks: [
          { event: "tool.after_call", handler: "h" },
          { event: "tool.after_call", handler: "h" },
        ],
      },
    ],
  ])("refuses duplicate %s", (place, contributes) => {
    expect(refusal(() => read(minimal({ contributes }))).paths).toContain(`contributes.${place}[1]`);
  });

  it.each(["x", "/../x", "//x", "/x/", "/x?y", "/a b", "/%2e%2e/x", "/.x"])("refuses the route path %j", (path) => {
    expect(
      refusal(() => read(minimal({ contributes: { tools: [tool()], routes: [{ method: "GET", path, tool: "a" }] } })))
        .paths,
    ).toContain("contributes.routes[0].path");
  });

  it("reads commands, routes, hooks and MCP servers [S2-8] [S2-21] [S1-3]", () => {
    const { manifest } = read(
      minimal({
        contributes: {
          tools: [tool()],
          commands: [{ name: "go", description: "/go", tool: "a" }],
          routes: [{ method: "POST", path: "/go", tool: "a" }],
          hooks: [{ event: "tool.after_call", handler: "onCall", tools: ["b__c"], payload: true, reason: "r" }],
          mcp_servers: [{ name: "files", program: "bin/server", tools: { a: "theirs" } }],
        },
        entry: "./bin/server",
        interpreter: "none",
      }),
    );
    expect(manifest).toMatchObject({ entry: "bin/server", interpreter: "none" });
    expect(manifest.commands).toEqual([{ name: "go", description: "/go", tool: "a" }]);
    expect(manifest.routes).toEqual([{ method: "POST", path: "/go", tool: "a" }]);
    expect(manifest.hooks).toEqual([{ event: "tool.after_call", handler: "onCall", tools: ["b__c"], payload: true }]);
    expect(manifest.mcpServers).toEqual([{ name: "files", program: "bin/server", tools: { a: "theirs" } }]);
    expect(manifest.permissions.map(({ key }) => key)).toEqual(["tools", "hooks:tool.after_call:b__c"]);
  });

  it("never takes a launch configuration from a manifest", () => {
    const server = { name: "x", command: "sh", args: ["-c", "id"], env: {} };
    expect(refusal(() => read(minimal({ contributes: { mcp_servers: [server] } }))).paths).toContain(
      "contributes.mcp_servers[0].command",
    );
    expect(
      refusal(() => read(minimal({ contributes: { mcp_servers: [{ name: "x", program: "../sh" }] } }))).paths,
    ).toContain("contributes.mcp_servers[0].program");
  });

  it.each<[JsonSchema]>([[{ type: "string" }], [{ type: ["object", "null"] }], [false]])(
    "refuses the input schema %j: an input is an object",
    (input_schema) => {
      expect(refusal(() => read(minimal({ contributes: { tools: [tool({ input_schema })] } }))).path).toBe(
        "contributes.tools[0].input_schema",
      );
    },
  );

  it("checks every schema, with the path inside it", () => {
    const properties = { a: { type: "array", items: { pattern: "(?=x)" } } };
    const refused = refusal(() =>
      read(minimal({ contributes: { tools: [tool({ input_schema: { type: "object", properties } })] } })),
    );
    expect([refused.code, refused.path]).toEqual([
      "schema_unsupported",
      "contributes.tools[0].input_schema.properties.a.items.pattern",
    ]);
  });
});

describe("categories", () => {
  it.each([
    ["data_processing", "[S3-14]"],
    ["model_inference", "[S3-15]"],
    ["agent_skill", "[S3-16]"],
    ["integration", "[S3-17]"],
    ["visualization", "[S3-18]"],
    ["monitoring", "[S3-19]"],
  ])("knows %s %s", (category) =>
    expect(read(minimal({ categories: [category] })).manifest.categories).toEqual([category]),
  );

  it("refuses others [S3-25]", () =>
    expect(refusal(() => read(minimal({ categories: ["mining"] }))).paths).toEqual(["categories[0]"]));
});

describe("digest", () => {
  it("changes with every leaf, however deep, and not with order or spelling", () => {
    const nested = (maximum: number): unknown =>
      minimal({
        contributes: {
          tools: [
            tool({
              input_schema: { type: "object", properties: { a: { type: "object", properties: { b: { maximum } } } } },
            }),
          ],
        },
      });
    expect(read(nested(1)).digest).not.toBe(read(nested(2)).digest);
    const reversed = Object.fromEntries(Object.entries(minimal()).toReversed());
    expect(read(reversed).digest).toBe(read(minimal()).digest);
    expect(read(minimal()).digest).toMatch(/^sha256:[0-9a-f]{64}$/);
  });

  it("answers with a frozen manifest", () => {
    const { manifest } = read(minimal());
    expect(Object.isFrozen(manifest)).toBe(true);
    expect(Object.isFrozen(manifest.tools[0]?.inputSchema)).toBe(true);
  });
});
