import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { starterConfig } from "../../src/config/index.ts";
import type { Host } from "../../src/host-api.ts";
import { AGENT, makeHome, manifestOf, OPERATOR, repositoryPlugin, type TestHome, toolLine } from "../support/home.ts";
import { call, edges, openInternet, type Internet, refusal, result, run } from "./support.ts";
import { needsNamespace } from "../support/namespace.ts";

needsNamespace();

let home: TestHome;
let host: Host;
let internet: Internet;
beforeAll(async () => {
  internet = openInternet();
  home = await makeHome(starterConfig({ pluginsEnabled: true }));
  host = await home.open({ overrides: { network: internet.network } });
});
afterAll(async () => {
  await home.remove();
  internet.close();
});

afterEach(async () => {
  for (const { id } of await host.plugins.list()) await host.plugins.uninstall(OPERATOR, id, { purge: true });
});

describe("versions and dependencies", () => {
  const numbered = (version: string) =>
    home.plugin(`numbered-${version}`, {
      "plugin.yml": manifestOf("numbered", [toolLine("which")]).replace("version: 1.0.0", `version: ${version}`),
      "plugin.js": `export default { tools: { which: () => ({ version: "${version}" }) } };`,
    });

  it("keeps versions beside each other, runs the one that is asked for, and removes one alone [S3-10] [S3-60]", async () => {
    for (const version of ["1.9.0", "1.10.0"]) {
      await host.plugins.install(OPERATOR, { source: await numbered(version) });
      await host.plugins.approve(OPERATOR, "numbered", {});
    }
    for (const version of ["1.9.0", "1.10.0", "1.9.0"]) {
      await host.plugins.load(OPERATOR, "numbered", { version });
      expect(result(await call(host, "numbered__which"))).toEqual({ version });
    }
    await host.plugins.uninstall(OPERATOR, "numbered", { version: "1.9.0" });
    expect(await refusal(host.plugins.load(OPERATOR, "numbered", { version: "1.9.0" }))).toMatchObject({
      code: "not_found",
    });
    expect((await call(host, "numbered__which")).success).toBe(false);
    await host.plugins.load(OPERATOR, "numbered", { version: "1.10.0" });
    expect(result(await call(host, "numbered__which"))).toEqual({ version: "1.10.0" });
  });

  it("does not load a plugin without the plugins that it depends on, in their range [S3-12]", async () => {
    const dependant = await home.plugin("dependant", {
      "plugin.yml": manifestOf(
        "dependant",
        [toolLine("hello")],
        "permissions: {}\ndependencies: { numbered: ^1.10.0 }",
      ),
      "plugin.js": "export default { tools: { hello: () => ({}) } };",
    });
    await host.plugins.install(OPERATOR, { source: dependant });
    await host.plugins.approve(OPERATOR, "dependant", {});
    const load = () => host.plugins.load(OPERATOR, "dependant");
    expect(await refusal(load())).toMatchObject({
      code: "dependency_missing",
      fix: expect.stringContaining("numbered"),
    });
    await run(host, await numbered("1.9.0"));
    expect(await refusal(load())).toMatchObject({
      code: "dependency_missing",
      detail: expect.stringContaining("1.9.0"),
    });
    await host.plugins.uninstall(OPERATOR, "numbered");
    await host.plugins.install(OPERATOR, { source: await numbered("1.10.2") });
    expect(await refusal(load())).toMatchObject({ code: "dependency_missing" });
    await host.plugins.approve(OPERATOR, "numbered", {});
    await load();
    expect((await call(host, "dependant__hello")).success).toBe(true);
  });
});

describe("the sandbox and its permissions", () => {
  it("is what every load goes through; a load that has none is refused [S3-5] [S3-21] [S3-28] [S3-83]", async () => {
    const bare = await makeHome();
    try {
      const without = await bare.open({ overrides: { levels: ["runtime"] } });
      await without.plugins.install(OPERATOR, { source: repositoryPlugin("data-processor") });
      await without.plugins.approve(OPERATOR, "data-processor", {});
      expect(await refusal(without.plugins.load(OPERATOR, "data-processor"))).toMatchObject({
        code: "isolation_unavailable",
      });
    } finally {
      await bare.remove();
    }
    await run(host, repositoryPlugin("data-processor"));
    const answered = await call(host, "data-processor__normalize", { data: [1, 3] });
    await host.audit.flush();
    expect(await host.audit.query({ call: answered.callId, limit: 1 })).toMatchObject([
      { isolation: "namespace", contained: true },
    ]);
  });

  it("are as fine as method, host, port and path, and what was not granted is refused [S3-6] [S3-84] [S4-68]", async () => {
    const seen = await internet.serve(8080, (_request, response) => response.end("ok"));
    const source = await home.plugin("fine", {
      "plugin.yml": manifestOf(
        "fine",
        [toolLine("ask")],
        `permissions:
  network:
    - { host: api.example.com, port: 8080, scheme: http, methods: [GET], paths: ["/v1/*/public"] }
    - { host: api.example.com, port: 8080, scheme: http, methods: [POST], paths: ["/v1/**"], optional: true }`,
      ),
      "plugin.js": `export default { tools: { async ask({ method, path }) { return { status: (await fetch("http://api.example.com:8080" + path, { method })).status }; } } };`,
    });
    await host.plugins.install(OPERATOR, { source });
    const [, first] = (await host.plugins.info("fine")).permissions;
    expect(first).toMatchObject({ sentence: expect.stringContaining("api.example.com") });
    await host.plugins.approve(OPERATOR, "fine", {
      only: ["tools", first?.key ?? ""],
      scopes: ["network+loopback=http://api.example.com:8080/v1/*/public,methods=GET"],
      allowTools: ["ask"],
    });
    await host.plugins.load(OPERATOR, "fine");
    const ask = async (method: string, path: string) => (await call(host, "fine__ask", { method, path })).success;
    expect(await ask("GET", "/v1/users/public")).toBe(true);
    for (const [method, path] of [
      ["POST", "/v1/users/public"],
      ["DELETE", "/v1/users/public"],
      ["GET", "/v1/users/private"],
      ["GET", "/v1/a/b/public"],
      ["GET", "/v1/users%2fx/public"],
      ["GET", "/v1/../v1/users/private"],
    ] as const)
      expect([method, path, await ask(method, path)]).toEqual([method, path, false]);
    expect(seen.map(({ line }) => line)).toEqual(["GET /v1/users/public"]);
  });
});

describe("an error of a plugin", () => {
  it("is found through its logs, the types it wants, its state and its counts [S3-105]", async () => {
    const source = await home.plugin("buggy", {
      "plugin.yml": manifestOf("buggy", [
        "{ name: divide, description: Divides., effect: read, input_schema: { type: object, properties: { by: { type: number } }, required: [by], additionalProperties: false } }",
      ]),
      "plugin.js": `export default { tools: { divide({ by }) { console.error("dividing by", by); if (by === 0) throw new Error("division by zero"); return { n: 1 / by }; } } };`,
    });
    await run(host, source);
    expect(await call(host, "buggy__divide", { by: "two" })).toMatchObject({
      code: "invalid_input",
      error: expect.stringMatching(/by .*number/),
      fix: expect.stringContaining("tool info buggy__divide"),
    });
    expect((await host.tools.info(AGENT, "buggy__divide")).inputSchema).toMatchObject({
      properties: { by: { type: "number" } },
    });
    const answered = await call(host, "buggy__divide", { by: 0 });
    expect(answered).toMatchObject({ code: "tool_failed", error: expect.stringContaining("division by zero") });
    expect(host.plugins.logs("buggy")).toMatchObject([
      { level: "error", message: "dividing by 0", call: answered.callId },
      { level: "debug", message: expect.stringMatching(/division by zero\n.*bundle.mjs:\d+/), call: answered.callId },
    ]);
    expect(await host.plugins.info("buggy")).toMatchObject({
      state: "running",
      executionCount: 1,
      errorCount: 1,
      lastError: expect.stringContaining("division by zero"),
    });
  });

  it("at load is told by its cause: permissions, imports, metadata, bytes", async () => {
    const code = async (files: Record<string, string>) =>
      (await refusal(host.plugins.install(OPERATOR, { source: await home.plugin(`cause-${Math.random()}`, files) })))
        .code;
    const yml = manifestOf("cause", [toolLine("hello")]);
    expect(
      await code({ "plugin.yml": yml, "plugin.js": 'import "node:child_process"; export default { tools: {} };' }),
    ).toBe("bundle_failed");
    expect(
      await code({ "plugin.yml": yml.replace("version: 1.0.0", "version: one"), "plugin.js": "export default {};" }),
    ).toBe("manifest_invalid");
    expect(await code({ "plugin.js": "export default {};" })).toBe("manifest_missing");
    await host.plugins.install(OPERATOR, {
      source: await home.plugin("cause", {
        "plugin.yml": yml,
        "plugin.js": "export default { tools: { hello: () => ({}) } };",
      }),
    });
    const { fix } = await refusal(host.plugins.load(OPERATOR, "cause"));
    expect(fix).toContain("plugin approve cause");
    expect((await edges(host, "cause")).at(-1)).toBe("pending_approval→pending_approval (not_allow_listed)");
  });
});
