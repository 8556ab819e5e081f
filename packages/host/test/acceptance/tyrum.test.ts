import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { starterConfig } from "../../src/config/index.ts";
import type { Host } from "../../src/host-api.ts";
import { AGENT, makeHome, manifestOf, OPERATOR, repositoryPlugin, type TestHome, toolLine } from "../support/home.ts";
import { call, edges, failed, refusal, result, run } from "./support.ts";
import { needsNamespace } from "../support/namespace.ts";

needsNamespace();

let home: TestHome;
let host: Host;
beforeAll(async () => {
  home = await makeHome();
  host = await home.open();
});
afterEach(async () => {
  for (const { id } of await host.plugins.list()) await host.plugins.uninstall(OPERATOR, id, { purge: true });
});
afterAll(() => home.remove());

describe("a plugin's configuration", () => {
  const SCHEMA = `config_schema:
  type: object
  properties: { units: { enum: [metric, imperial] }, days: { type: integer, maximum: 7 } }
  required: [units]
  additionalProperties: false
`;
  const configured = (name: string, files: Readonly<Record<string, string>>, schema = SCHEMA) =>
    home.plugin(name, {
      "plugin.yml": manifestOf("configured", [toolLine("show")]).replace(/config_schema:.*\n/, schema),
      "plugin.js": `let given; export default { initialize(config) { given = config; return true; }, tools: { show: (_, ctx) => ({ given, own: ctx.config }) } };`,
      ...files,
    });

  it.each([
    ["config.yml", "units: metric\ndays: 3\n"],
    ["config.yaml", "units: metric\ndays: 3\n"],
    ["config.json", '{ "units": "metric", "days": 3 }'],
  ])("is read from %s in its directory, with the operator's values over it [S2-24] [S4-19]", async (file, text) => {
    await run(host, await configured(`shipped-${file}`, { [file]: text }));
    const values = { units: "metric", days: 3 };
    expect(result(await call(host, "configured__show"))).toEqual({ given: values, own: values });
    await host.plugins.setConfig(OPERATOR, "configured", { days: 5 });
    await host.plugins.unload(OPERATOR, "configured");
    await host.plugins.load(OPERATOR, "configured");
    expect(result(await call(host, "configured__show"))).toMatchObject({ given: { units: "metric", days: 5 } });
  });

  it("is {} where there is no file [S2-25]", async () => {
    await run(host, await configured("none", {}, "config_schema: { type: object }\n"));
    expect(result(await call(host, "configured__show"))).toEqual({ given: {}, own: {} });
  });

  it("that is invalid prevents the load, before any code ran, and names the key [S2-26] [S4-18] [S4-19]", async () => {
    await host.plugins.install(OPERATOR, { source: await configured("lacking", {}) });
    await host.plugins.approve(OPERATOR, "configured", {});
    const refused = await refusal(host.plugins.load(OPERATOR, "configured"));
    expect(refused).toMatchObject({ code: "plugin_config_invalid" });
    expect(refused.message + refused.detail).toContain("units");
    expect((await edges(host, "configured")).at(-1)).toBe("approved→approved (plugin_config_invalid)");
    await host.plugins.setConfig(OPERATOR, "configured", { units: "imperial" });
    expect(await host.plugins.load(OPERATOR, "configured")).toMatchObject({ state: "running" });
  });

  it("that is shipped invalid is refused at install, which leaves nothing [S2-26] [S2-27]", async () => {
    for (const text of ["units: kelvin\n", "units: metric\nunknown: 1\n", "[]\n", "units: metric\nunits: imperial\n"]) {
      const refused = await refusal(
        host.plugins.install(OPERATOR, { source: await configured(`bad-${text.length}`, { "config.yml": text }) }),
      );
      expect([text, refused.code]).toEqual([text, "plugin_config_invalid"]);
    }
    expect(await host.plugins.list()).toEqual([]);
  });

  it("is validated when it is written, unknown keys included, while what runs keeps running [S2-27] [S4-20] [S4-21] [S4-24]", async () => {
    await run(host, await configured("written", { "config.yml": "units: metric\n" }));
    for (const values of [{ units: "kelvin" }, { days: 8 }, { days: "3" }, { colour: "red" }]) {
      const refused = await refusal(host.plugins.setConfig(OPERATOR, "configured", values));
      expect(refused).toMatchObject({ code: "plugin_config_invalid" });
      expect(refused.message + refused.detail).toContain(Object.keys(values)[0]);
    }
    expect(await host.plugins.config("configured")).toEqual({ units: "metric" });
    expect(result(await call(host, "configured__show"))).toMatchObject({ given: { units: "metric" } });
    await host.plugins.setConfig(OPERATOR, "configured", { days: 2 });
    await host.audit.flush();
    expect(await host.audit.query({ type: "config.changed", plugin: "configured", limit: 1 })).toMatchObject([
      { actor: "operator:tester", data: { keys: ["days"] } },
    ]);
  });

  it("takes unknown keys where the plugin's schema allows them [S4-21]", async () => {
    const open = "config_schema: { type: object, additionalProperties: true }\n";
    await run(host, await configured("open", { "config.yml": "anything: goes\n" }, open));
    expect(result(await call(host, "configured__show"))).toMatchObject({ given: { anything: "goes" } });
  });

  it("keeps a sensitive value in the vault and shows it nowhere [S4-23]", async () => {
    const sensitive =
      'config_schema: { type: object, properties: { token: { type: string, "x-sensitive": true, "x-use": { origin: "https://api.example.com", in: "header:authorization" } } }, additionalProperties: false }\n';
    await host.plugins.install(OPERATOR, { source: await configured("sensitive", {}, sensitive) });
    const shown = await host.plugins.setConfig(OPERATOR, "configured", { token: "s3cr3t-value" });
    expect(shown).toEqual({ token: "••••••" });
    expect(
      JSON.stringify([shown, await host.plugins.info("configured"), await host.audit.query({ limit: 1000 })]),
    ).not.toContain("s3cr3t-value");
  });
});

describe("nothing of a plugin runs", () => {
  it("when it is installed, listed, shown or approved; at load it does [S1-26] [S1-27] [S2-13] [S4-11] [S4-46]", async () => {
    const trace = join(home.path, "..", "trace");
    const mark = (who: string) =>
      `console.log("${who}"); try { process.getBuiltinModule("fs").writeFileSync(${JSON.stringify(trace)}, "${who}"); } catch {}`;
    const source = await home.plugin("quiet", {
      "plugin.yml": manifestOf("quiet", [toolLine("hello")]),
      "plugin.js": `import "dep"; ${mark("module")} export default { tools: { hello: () => ({}) } };`,
      "package.json": JSON.stringify({
        name: "quiet",
        version: "1.0.0",
        scripts: Object.fromEntries(
          ["preinstall", "install", "postinstall", "prepare", "prepack"].map((name) => [
            name,
            `echo ${name} > ${trace}`,
          ]),
        ),
      }),
      "node_modules/dep/package.json": JSON.stringify({
        name: "dep",
        version: "1.0.0",
        main: "index.js",
        scripts: { postinstall: `echo dep > ${trace}` },
      }),
      "node_modules/dep/index.js": mark("dependency"),
      "binding.gyp": "{}",
    });
    await host.plugins.install(OPERATOR, { source });
    await host.plugins.list();
    await host.plugins.info("quiet");
    await host.plugins.config("quiet");
    await host.plugins.approve(OPERATOR, "quiet", {});
    await host.tools.list(AGENT);
    expect(host.plugins.logs("quiet")).toEqual([]);
    expect((await host.plugins.info("quiet")).state).toBe("approved");
    await host.plugins.load(OPERATOR, "quiet");
    expect(host.plugins.logs("quiet").map(({ message }) => message)).toEqual(["dependency", "module"]);
    expect(existsSync(trace)).toBe(false);
  });

  it("of a manifest that is refused, and the reason names the key [S2-13] [S1-28]", async () => {
    for (const [change, key] of [
      ["entry: ../outside.js", "entry"],
      ["entry: plugin.sh", "entry"],
      ["surprise: true", "surprise"],
    ] as const) {
      const source = await home.plugin(`refused-${key}-${change.length}`, {
        "plugin.yml": manifestOf("refused", [toolLine("hello")]).replace(
          "entry: plugin.js",
          change.startsWith("entry") ? change : `entry: plugin.js\n${change}`,
        ),
        "plugin.js": "export default { tools: { hello: () => ({}) } };",
      });
      expect((await refusal(host.plugins.install(OPERATOR, { source }))).message).toContain(key);
    }
    expect(await host.plugins.list()).toEqual([]);
  });

  it("that is native: an addon in its dependencies is refused, with file and line [S4-47]", async () => {
    const source = await home.plugin("native", {
      "plugin.yml": manifestOf("native", [toolLine("hello")]),
      "plugin.js": 'import fast from "fast"; export default { tools: { hello: () => fast } };',
      "node_modules/fast/package.json": '{ "name": "fast", "version": "1.0.0", "main": "index.js" }',
      "node_modules/fast/index.js": '\nmodule.exports = require("./build/Release/fast.node");',
      "node_modules/fast/build/Release/fast.node": "\u007fELF",
    });
    const refused = await refusal(host.plugins.install(OPERATOR, { source }));
    expect(refused).toMatchObject({ code: "bundle_failed" });
    expect(refused.message + refused.detail).toMatch(
      /node_modules\/fast\/index\.js:2.*native addon|native addon.*node_modules\/fast\/index\.js:2/s,
    );
  });
});

describe("tools that do more than read", () => {
  const three = ["looks", "writes", "wrecks"];
  const plugin = () =>
    home.plugin("three", {
      "plugin.yml": manifestOf("three", [
        toolLine("looks"),
        toolLine("writes", "write"),
        "{ name: wrecks, description: Says nothing of its effect., input_schema: { type: object } }",
      ]),
      "plugin.js": `export default { tools: { ${three.map((name) => `${name}: () => ({ ran: "${name}" })`).join(", ")} } };`,
    });
  const codes = async (on: Host, agent = "local") =>
    Promise.all(
      three.map(async (tool) => {
        const answered = await on.invoke({ kind: "agent", agent }, { tool: `three__${tool}`, input: {} });
        return answered.success ? "ran" : answered.code;
      }),
    );

  it("are opt-in: by default nothing that the operator did not ask for happens [S2-29] [S4-4] [S4-26]", async () => {
    await run(host, await plugin());
    expect(await codes(host)).toEqual(["ran", "approval_required", "unknown_tool"]);
    const strict = await makeHome("plugins: { enabled: true }\n");
    try {
      const silent = await strict.open();
      await run(silent, await plugin());
      expect(await codes(silent)).toEqual(["unknown_tool", "unknown_tool", "unknown_tool"]);
      expect(await silent.tools.list(AGENT)).toEqual([]);
    } finally {
      await strict.remove();
    }
  });

  it("are turned on for all agents or for one, and a no of the operator's stands above [S4-27] [S4-28] [S4-29] [S2-33]", async () => {
    const rules =
      "policy: { rules: [{ tool: three__looks, decision: allow }, { tool: three__writes, agent: gardener, decision: allow }, { tool: 'three__*', agent: intern, decision: deny }] }";
    const own = await makeHome(`plugins: { enabled: true }\n${rules}\n`);
    try {
      const ruled = await own.open();
      await run(ruled, await plugin());
      expect(await codes(ruled, "local")).toEqual(["ran", "unknown_tool", "unknown_tool"]);
      expect(await codes(ruled, "gardener")).toEqual(["ran", "ran", "unknown_tool"]);
      expect(await codes(ruled, "intern")).toEqual(["unknown_tool", "unknown_tool", "unknown_tool"]);
    } finally {
      await own.remove();
    }
  });

  it("are asked for in plain words where they want much: broad requests are flagged at install [S2-67] [S4-68]", async () => {
    const source = await home.plugin("broad", {
      "plugin.yml": manifestOf(
        "broad",
        [toolLine("hello")],
        'permissions: { network: [{ host: "*.example.com" }], filesystem: [{ path: /, mode: rw }] }',
      ),
      "plugin.js": "export default { tools: { hello: () => ({}) } };",
    });
    const { warnings } = await host.plugins.install(OPERATOR, { source });
    expect(warnings.join("\n")).toMatch(/every host below example\.com[^]*whole disk/);
    const narrow = await home.plugin("narrow", {
      "plugin.yml": manifestOf("narrow", [toolLine("hello")], "permissions: { network: [{ host: api.example.com }] }"),
      "plugin.js": "export default { tools: { hello: () => ({}) } };",
    });
    expect((await host.plugins.install(OPERATOR, { source: narrow })).warnings).toEqual([]);
  });
});

describe("what happened", () => {
  it("to a plugin that fails is an event with its reason [S2-54] [S2-60] [S4-50]", async () => {
    const source = await home.plugin("fails", {
      "plugin.yml": manifestOf("fails", [toolLine("dies")]),
      "plugin.js": "export default { tools: { dies: () => Deno.exit(3) } };",
    });
    await run(host, source);
    const unhealthy = new Promise<void>((resolve) => {
      host.audit.subscribe(({ type, to }) => type === "plugin.lifecycle" && to === "unhealthy" && resolve());
    });
    expect(failed(await call(host, "fails__dies")).code).toBe("plugin_crashed");
    await unhealthy;
    const [event] = (await host.audit.query({ type: "plugin.lifecycle", plugin: "fails", limit: 1000 })).filter(
      ({ to }) => to === "unhealthy",
    );
    expect(event).toMatchObject({
      type: "plugin.lifecycle",
      from: "running",
      to: "unhealthy",
      actor: "host",
      isolation: "namespace",
      plugin: { id: "fails", version: "1.0.0" },
    });
    expect(event?.reason).toBeTruthy();
  });

  it("at install, enable and the change to another version is in the audit, under the operator's name [S4-60]", async () => {
    const version = (text: string) =>
      home.plugin(`moves-${text}`, {
        "plugin.yml": manifestOf("moves", [toolLine("hello")]).replace("version: 1.0.0", `version: ${text}`),
        "plugin.js": "export default { tools: { hello: () => ({}) } };",
      });
    await run(host, await version("1.0.0"));
    await host.plugins.disable(OPERATOR, "moves");
    await host.plugins.enable(OPERATOR, "moves");
    await host.plugins.load(OPERATOR, "moves");
    await host.plugins.install(OPERATOR, { source: await version("1.1.0") });
    await host.plugins.approve(OPERATOR, "moves", {});
    await host.plugins.load(OPERATOR, "moves", { version: "1.1.0" });
    await host.audit.flush();
    const events = await host.audit.query({ plugin: "moves", type: "plugin.lifecycle", order: "asc", limit: 1000 });
    expect(events.map(({ plugin, from, to, actor }) => `${plugin?.version} ${from ?? ""}→${to} ${actor}`)).toEqual(
      expect.arrayContaining([
        "1.0.0 →discovered operator:tester",
        "1.0.0 pending_approval→approved operator:tester",
        "1.0.0 disabled→stopped operator:tester",
        "1.1.0 →discovered operator:tester",
        "1.0.0 running→stopped operator:tester",
        "1.1.0 starting→running operator:tester",
      ]),
    );
  });

  it("leaves the machine with id, version, source and digest of every plugin [S2-57] [S4-51] [S4-52]", async () => {
    const source = repositoryPlugin("echo");
    await run(host, source);
    const { digest } = await host.plugins.info("echo");
    expect(await host.plugins.info("echo")).toMatchObject({
      id: "echo",
      version: "1.0.0",
      source: `directory:${source}`,
    });
    const lines: Record<string, unknown>[] = [];
    for await (const line of host.audit.export()) lines.push(JSON.parse(line));
    const discovered = lines.filter(
      ({ to, plugin }) => to === "discovered" && (plugin as { id?: string } | undefined)?.id === "echo",
    );
    expect(discovered.at(-1)).toMatchObject({
      plugin: { id: "echo", version: "1.0.0", digest },
      data: { source: `directory:${source}` },
    });
  });
});

describe("the home's own configuration", () => {
  it("is off unless the operator turned it on, and an unknown key is an error that names it", async () => {
    const own = await makeHome("plugin: { enabled: true }\n");
    try {
      expect(await refusal(own.open())).toMatchObject({ code: "config_invalid" });
      await own.writeConfig(starterConfig({ pluginsEnabled: false }));
      const off = await own.open();
      expect((await off.doctor()).checks).toContainEqual(
        expect.objectContaining({
          name: "plugins enabled",
          ok: false,
          fix: expect.stringContaining("plugins.enabled: true"),
        }),
      );
    } finally {
      await own.remove();
    }
  });
});
