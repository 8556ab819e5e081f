import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type CommandWorld, openCommandWorld } from "../support/command.ts";
import { DIGEST, FORECAST, WEATHER } from "../support/fake-host.ts";

const TWO = { time: 1, level: "warn", message: "two\u202e" };

let world: CommandWorld;
let scratch: string;

beforeEach(async () => {
  world = await openCommandWorld();
  scratch = await mkdtemp(join(tmpdir(), "sallyport-cli-files-"));
});
afterEach(async () => {
  await world.close();
  await rm(scratch, { recursive: true });
});

const done = (verb: string) => world.host.calls.filter((call) => call.verb === verb).map((call) => call.args.slice(1));

describe("plugin", () => {
  it("installs a folder and answers {success, plugin, loaded, approval, warnings} [S3-48, S4-38]", async () => {
    const { code, answer } = await world.json(["plugin", "install", scratch, "--load"]);
    expect(code).toBe(0);
    expect(answer).toMatchObject({
      success: true,
      plugin: { id: "weather", version: "1.2.0", state: "pending_approval", digest: DIGEST },
      loaded: true,
      approval: { id: "apr_1" },
      warnings: [],
    });
    expect(done("install")[0]).toMatchObject([{ source: scratch, load: true }]);
  });

  it("says what the plugin asks for in the host's words, and escapes the plugin's own", async () => {
    const { out } = await world.sallyport(["plugin", "install", scratch]);
    expect(out).toContain("may contact api.example.com over HTTPS, reading only [high]");
    expect(out).toContain("Reads\\u{202e} forecasts.\\u{1b}[31m");
    expect(out).toContain("Next: sallyport plugin approve weather");
    expect(out).not.toContain("\u001b");
  });

  it("says after an install what to do next, and every warning", async () => {
    const installed = async (answer: object): Promise<string> => {
      const [asked] = WEATHER.permissions;
      const rest = { loaded: false, dependencies: [] };
      const given = { plugin: WEATHER, permissions: [asked], warnings: ["x\u202e"], ...rest, ...answer };
      Object.assign(world.host.plugins, { install: async () => given });
      return (await world.sallyport(["plugin", "install", scratch])).out;
    };
    const scopeless = { ...WEATHER.permissions[0], capability: "filesystem", needsScope: true };
    expect(await installed({ permissions: [scopeless] })).toContain(
      "Next: sallyport plugin approve weather --scope filesystem=/FOLDER:r\n",
    );
    expect(await installed({})).toContain("! x\\u{202e}\n");
    expect(await installed({ plugin: { ...WEATHER, state: "approved" } })).toContain(
      "Next: sallyport plugin load weather\n",
    );
    expect(await installed({ plugin: { ...WEATHER, version: "2.0.0" } })).toContain(
      "Next: sallyport plugin approve weather --version 2.0.0\n",
    );
    const wantedBy = [{ id: "weather", version: "1.2.0", range: "^2.0.0" }];
    const geo = { plugin: { ...WEATHER, id: "geo" }, permissions: [scopeless], warnings: [], lock: {}, wantedBy };
    const both = await installed({ dependencies: [geo], permissions: [] });
    expect(both).toMatch(/Installed geo .*\nIt asks for:\n {2}- .*\n.*\n.*weather 1\.2\.0 needs it \(\^2\.0\.0\)/s);
    expect(both).toMatch(/approve geo --scope filesystem=\/FOLDER:r\nNext: sallyport plugin approve weather\n$/);
  });

  it("brings along what a plugin needs, unless told not to", async () => {
    await world.sallyport(["plugin", "install", scratch]);
    await world.sallyport(["plugin", "install", scratch, "--no-dependencies"]);
    const asked = world.host.calls.filter(({ verb }) => verb === "install").map(({ args }) => args[1]);
    expect(asked).toEqual([
      expect.objectContaining({ dependencies: true }),
      expect.objectContaining({ dependencies: false }),
    ]);
  });

  it("refuses a source that is not there before it asks the owner", async () => {
    const { code, answer } = await world.json(["plugin", "install", join(scratch, "nothing")]);
    expect([code, answer]).toMatchObject([2, { success: false, code: "usage" }]);
    expect(world.host.calls).toEqual([]);
  });

  it("lists plugins with state, version, health and counts [S0-40, S0-41, S0-42, S4-37, S4-51]", async () => {
    const { answer } = await world.json(["plugin", "list"]);
    expect(answer).toEqual([
      {
        id: "weather",
        name: "Weather",
        version: "1.2.0",
        description: "Forecasts.",
        state: "pending_approval",
        enabled: true,
        digest: DIGEST,
        source: "directory:/plugins/weather",
        isolation: "namespace",
        contained: true,
        health: { status: "stopped" },
        execution_count: 3,
        error_count: 1,
        last_error: null,
        categories: ["integration"],
        signer: { state: "unsigned" },
      },
    ]);
    const { out } = await world.sallyport(["plugin", "list"]);
    expect(out).toMatch(/^ID +VERSION +STATE/);
    expect(out).toMatch(/weather +1\.2\.0 +pending_approval/);
  });

  it("shows manifest, requests, grants, enforcement, tools and config [S2-56, S3-92, S3-93, S3-94]", async () => {
    const { answer } = await world.json(["plugin", "info", "weather"]);
    expect(answer).toMatchObject({
      manifest: { manifest_version: 1, id: "weather" },
      requested: [],
      granted: [],
      permissions: [{ key: "network:api.example.com:443", enforced: { by: "the broker" } }],
      tools: [{ name: "weather__forecast" }],
      config: { units: "metric" },
      health: { status: "stopped" },
      execution_count: 3,
      error_count: 1,
    });
    expect((await world.sallyport(["plugin", "info", "weather"])).out).toMatch(/isolation: +namespace/);
  });

  it("shows people state, level, permissions, tools and configuration, and why it failed [S3-104, S3-105]", async () => {
    const { out: well } = await world.sallyport(["plugin", "info", "weather"]);
    expect(well).toMatch(/^state: +pending_approval$/m);
    expect(well).toContain("- may contact api.example.com over HTTPS, reading only [high]");
    expect(well).toContain("enforced: the broker");
    expect(well).toMatch(/weather__forecast +read +may call it/);
    expect(well).toContain('"units": "metric"');
    expect(well).not.toMatch(/last (error|lines)/);

    const failed = {
      ...WEATHER,
      state: "failed",
      health: { status: "failed" },
      lastError: "It threw: no \u001b[31mkey.",
    };
    Object.assign(world.host.plugins, { info: async () => failed });
    for (let n = 1; n <= 7; n++) world.host.log({ time: n, level: "error", message: `line ${n}\u001b[2J\nsecond` });
    const { out } = await world.sallyport(["plugin", "info", "weather"]);
    expect(out).toMatch(/^last error: +It threw: no \\u\{1b\}\[31mkey\.$/m);
    expect(out).toContain("1970-01-01T00:00:00.007Z error line 7\\u{1b}[2J\n");
    expect([out.includes("line 3"), out.includes("line 2")]).toEqual([true, false]);
    expect(out).not.toContain("\u001b");
  });

  it("shows the log of a plugin, escaped, and as JSON [S3-105]", async () => {
    expect((await world.sallyport(["plugin", "logs", "weather"])).out).toMatch(/has logged nothing/);
    world.host.log({ time: 0, level: "info", message: "old" });
    world.host.log({ time: 0, level: "warn", message: "a\u202eb\n1970-01-01T00:00:00.000Z info  forged" });
    const { out } = await world.sallyport(["plugin", "logs", "weather", "--limit", "1"]);
    expect(out).toBe(
      `1970-01-01T00:00:00.000Z warn  a\\u{202e}b\n${" ".repeat(31)}1970-01-01T00:00:00.000Z info  forged\n`,
    );
    expect((await world.json(["plugin", "logs", "weather"])).answer).toMatchObject([
      { message: "old" },
      { level: "warn" },
    ]);
    expect(await world.json(["plugin", "logs", "nobody"])).toMatchObject({ code: 2, answer: { code: "not_found" } });
    expect(await world.json(["plugin", "logs", "nobody", "-f"])).toMatchObject({
      code: 2,
      answer: { code: "not_found" },
    });
    expect((await world.json(["plugin", "logs", "weather", "--limit", "all"])).code).toBe(2);
  });

  it("follows a log as lines of JSON until the owner stops", async () => {
    world.host.log({ time: 0, level: "info", message: "one" });
    let looks = 0;
    const { logs } = world.host.plugins;
    Object.assign(world.host.plugins, { logs: (id: string) => [...logs(id), ...(looks++ === 0 ? [] : [TWO])] });
    const running = world.sallyport(["plugin", "logs", "weather", "-f", "--json"]);
    await expect.poll(() => looks).toBeGreaterThan(2);
    await world.owner.stop();
    const { code, out } = await running;
    expect(code).toBe(0);
    expect(out).not.toContain("\u202e");
    expect(
      out
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual([{ time: 0, level: "info", message: "one" }, TWO]);
  });

  it("writes hidden characters escaped in JSON too, with the same value", async () => {
    const { out } = await world.sallyport(["plugin", "info", "weather", "--json"]);
    expect(out).not.toContain("\u202e");
    expect(JSON.parse(out).permissions[0].reason).toBe("Reads\u202e forecasts.\u001b[31m");
  });

  it("approves after --yes, with all of the operator's choices", async () => {
    const choices = ["--only", "network", "--scope", "filesystem=/data:r", "--allow-tools", "forecast,other"];
    const { code, answer } = await world.json([
      "plugin",
      "approve",
      "weather",
      "--yes",
      "--expires",
      "7d",
      "--grant-only",
      ...choices,
    ]);
    expect([code, answer]).toMatchObject([0, { success: true, plugin: { id: "weather", state: "approved" } }]);
    expect(done("approve")).toEqual([
      [
        "weather",
        {
          only: ["network:api.example.com:443"],
          scopes: ["filesystem=/data:r"],
          allowTools: ["forecast", "other"],
          expiresAt: Date.parse("2030-01-08T00:00:00Z"),
          grantOnly: true,
          version: "1.2.0",
        },
      ],
    ]);
  });

  it("says what was granted, what agents may do with each tool, and what to do next", async () => {
    const granted = { ...WEATHER, permissions: WEATHER.permissions.map((asked) => ({ ...asked, granted: true })) };
    const note = { ...FORECAST, name: "weather__note", tool: "note", effect: "write", decision: "require_approval" };
    Object.assign(world.host.plugins, {
      approve: async () => ({ ...granted, state: "approved", tools: [FORECAST, note] }),
    });
    const { out } = await world.sallyport(["plugin", "approve", "weather", "--yes"]);
    expect(out).toContain("Granted:\n  - may contact api.example.com over HTTPS, reading only\n");
    expect(out).toMatch(/weather__forecast +read +may call it/);
    expect(out).toMatch(/weather__note +write +must ask you/);
    expect(out).toContain("Next: sallyport plugin load weather\n");
  });

  it("says in loud words what --in-process means, before and after [S4-2] [S4-56]", async () => {
    const loud = "It RUNS WITH THE HOST'S RIGHTS: nothing but its own code keeps it to what was granted.";
    const inside = { ...WEATHER, isolation: "in-process", contained: false } as const;
    const { grant } = WEATHER;
    Object.assign(world.host.plugins, {
      approve: async (_operator: unknown, _id: string, request: unknown) => {
        asked.push(request);
        return { ...inside, state: "approved" };
      },
      load: async () => ({ ...inside, state: "running" }),
      list: async () => [inside],
      info: async () => ({
        ...inside,
        grant: { id: "grt_1", grantedBy: "ann", grantedAt: 0, ...grant, inProcess: true },
      }),
    });
    const asked: unknown[] = [];
    const { out, err } = await world.sallyport(["plugin", "approve", "weather", "--yes", "--in-process"]);
    expect(asked).toEqual([{ inProcess: true, version: "1.2.0" }]);
    expect(err).toContain(loud);
    expect(err).toContain("trusted code in this host's own process");
    expect(out).toContain(loud);
    expect((await world.sallyport(["plugin", "load", "weather"])).out).toContain(loud);
    expect((await world.sallyport(["plugin", "list"])).out).toContain("RUNS WITH THE HOST'S RIGHTS");
    const info = await world.sallyport(["plugin", "info", "weather"]);
    expect(info.out).toMatch(/isolation: +in-process: RUNS WITH THE HOST'S RIGHTS/);
    expect(info.out).toMatch(/granted: .*IN THE HOST'S PROCESS/);
    expect((await world.json(["plugin", "info", "weather"])).answer).toMatchObject({
      contained: false,
      grant: { in_process: true },
    });
  });

  it("says that a running plugin was stopped by the new approval", async () => {
    await world.json(["plugin", "load", "weather"]);
    const { answer } = await world.json(["plugin", "approve", "weather", "--yes"]);
    expect(answer).toMatchObject({
      plugin: { state: "approved" },
      warnings: [expect.stringMatching(/^It was stopped/)],
    });
    expect((await world.json(["plugin", "approve", "weather", "--yes"])).answer).toMatchObject({ warnings: [] });
    await world.json(["plugin", "load", "weather"]);
    expect((await world.sallyport(["plugin", "approve", "weather", "--yes"])).out).toMatch(
      /^! It was .*; load it again/m,
    );
  });

  it("approves no version that was not shown, when several wait", async () => {
    const asked = { kind: "plugin", state: "pending", createdAt: 1, expiresAt: null, id: "apr_3", sentence: "" };
    const unused = { standing: false, covers: [], usesLeft: null, uses: 0 };
    const waiting = { ...asked, ...unused, plugin: { id: "weather", version: "2.0.0", digest: DIGEST } };
    Object.assign(world.host.approvals, { list: async () => [waiting] });
    const refused = await world.json(["plugin", "approve", "weather", "--yes"]);
    expect(refused).toMatchObject({ code: 1, answer: { code: "conflict", fix: expect.stringContaining("2.0.0") } });
    expect(done("approve")).toEqual([]);
    expect((await world.json(["plugin", "approve", "weather", "--yes", "--version", "1.2.0"])).code).toBe(0);
    expect(done("approve")).toEqual([["weather", { version: "1.2.0" }]]);
  });

  it.each([
    ["nobody said yes", []],
    ["an unknown permission", ["--yes", "--only", "filesystem"]],
    ["an expiry that is past", ["--yes", "--expires", "2020-01-01"]],
    ["an expiry that is none", ["--yes", "--expires", "soon"]],
  ])("grants nothing when %s", async (_what, options) => {
    const { code, answer } = await world.json(["plugin", "approve", "weather", ...options]);
    expect([code, answer]).toMatchObject([2, { success: false, code: "usage", fix: expect.any(String) }]);
    expect(done("approve")).toEqual([]);
  });

  it.each([
    ["deny", "denied"],
    ["load", "running"],
    ["unload", "stopped"],
    ["enable", "stopped"],
    ["disable", "disabled"],
    ["revoke", "revoked"],
  ])("%s answers {success, plugin}", async (verb, state) => {
    const { code, answer } = await world.json(["plugin", verb, "weather"]);
    expect([code, answer]).toMatchObject([0, { success: true, plugin: { id: "weather", state } }]);
    expect((await world.sallyport(["plugin", verb, "weather"])).out).toContain(`weather 1.2.0: ${state}`);
  });

  it("passes version and config to a load, and version and purge to an uninstall [S3-101]", async () => {
    await world.json(["plugin", "load", "weather", "--version", "1.2.0", "--config", '{"max_retries":3}']);
    expect(done("load")).toEqual([["weather", { version: "1.2.0", config: { max_retries: 3 } }]]);
    const { answer } = await world.json(["plugin", "uninstall", "weather", "--version", "1.2.0", "--purge"]);
    expect(answer).toEqual({ success: true, plugin: { id: "weather", version: "1.2.0" } });
    expect(done("uninstall")).toEqual([["weather", { version: "1.2.0", purge: true }]]);
  });

  it("shows and replaces configuration, from JSON or a YAML file", async () => {
    expect((await world.json(["plugin", "config", "weather"])).answer).toEqual({ units: "metric" });
    await world.json(["plugin", "config", "weather", "--set", '{"units":"imperial"}']);
    await writeFile(join(scratch, "values.yml"), "units: metric\nretries: 3\n");
    await world.json(["plugin", "config", "weather", "--file", join(scratch, "values.yml")]);
    expect(done("setConfig")).toEqual([
      ["weather", { units: "imperial" }],
      ["weather", { units: "metric", retries: 3 }],
    ]);
    expect((await world.json(["plugin", "config", "weather", "--set", "[1]"])).code).toBe(2);
  });

  it("answers an unknown plugin with exit code 2 and the owner's words", async () => {
    expect(await world.json(["plugin", "info", "nobody"])).toMatchObject({ code: 2, answer: { code: "not_found" } });
    const { err, out } = await world.sallyport(["plugin", "info", "nobody"]);
    expect(err).toContain("✖ There is no plugin nobody.");
    expect(out).toBe("");
  });
});
