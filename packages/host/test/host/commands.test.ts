import { chmod, copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Host } from "../../src/host-api.ts";
import { PolicyViolationError } from "../../src/kernel/index.ts";
import { AGENT, installed, makeHome, manifestOf, OPERATOR, type TestHome, toolLine } from "../support/home.ts";
import { failed, refusal, result } from "../acceptance/support.ts";

const CODE = `export default { tools: {
  async count({ text }, ctx) { const { code, stdout } = await ctx.exec("wc", ["-w"], { stdin: text }); return { code, words: Number(stdout) }; },
  async shows(_, ctx) {
    await ctx.files.write("\${data}/a.txt", "kept");
    return (await ctx.exec("cat", ["a.txt"], { files: { "a.txt": "\${data}/a.txt" } })).stdout;
  },
  async runs({ command, args, stdin }, ctx) { return (await ctx.exec(command, args, { stdin })).stdout; },
  async learns({ facet }, ctx) { return { value: await ctx.system.get(facet) }; },
} };`;
const RUNS = `export default { tools: {
  async runs({ command, args, stdin }, ctx) { return (await ctx.exec(command, args, { stdin })).stdout; },
} };`;
const TOOLS = ["count", "shows", "runs", "learns"];

const COUNTER = `permissions:
  exec:
    - { command: wc, args: ["-w"], reason: "Counts words." }
    - { command: cat, args: ["*"] }
  filesystem: [{ path: "\${data}", mode: rw }]`;

let home: TestHome;
let host: Host;
beforeAll(async () => {
  home = await makeHome();
  host = await home.open();
});
afterAll(() => home.remove());

async function source(id: string, permissions: string): Promise<string> {
  return home.plugin(id, {
    "plugin.yml": manifestOf(
      id,
      TOOLS.map((name) => toolLine(name)),
      permissions,
    ),
    "plugin.js": CODE,
  });
}
const call = (tool: string, input: unknown = {}) => host.invoke(AGENT, { tool, input });

describe("exec in a whole host", () => {
  beforeAll(async () => {
    await installed(host, await source("counter", COUNTER), { allowTools: ["count", "shows"] });
  });

  it("runs what one yes granted, and its tools are destructive whatever they declare", async () => {
    const counted = await call("counter__count", { text: "one two three" });
    expect(result(counted)).toEqual({ code: 0, words: 3 });
    expect(result(await call("counter__shows"))).toBe("kept");
    const { tools, permissions } = await host.plugins.info("counter");
    expect(tools.map(({ effect }) => effect)).toEqual(TOOLS.map(() => "destructive"));
    expect(permissions.find(({ key }) => key === "exec:wc -w")).toMatchObject({
      granted: true,
      risk: "critical",
      sentence: expect.stringMatching(/^MAY RUN THE PROGRAM \/usr\/bin\/wc -w/),
    });
    await host.audit.flush();
    expect(await host.audit.query({ type: "grant.written", plugin: "counter" })).toMatchObject([
      { data: { commands: [{ command: "/usr/bin/wc", path: "/usr/bin/wc", sha256: expect.any(String) }, {}] } },
    ]);
    const events = await host.audit.query({ call: counted.callId, order: "asc" });
    expect(events.map(({ type, phase }) => phase ?? type)).toEqual(["intent", "broker.action", "outcome"]);
    expect(events[1]).toMatchObject({
      capability: "exec",
      target: "wc -w",
      outcome: "succeeded",
      data: { exit_code: 0, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
    });
  });

  it("keeps to the file over an upgrade, and binds what is added when the operator says yes to it", async () => {
    const next = await source(
      "counter",
      COUNTER.replace("filesystem:", '  - { command: sort, args: ["-u"] }\n  filesystem:'),
    );
    await writeFile(
      join(next, "plugin.yml"),
      (await readFile(join(next, "plugin.yml"), "utf8")).replace("1.0.0", "1.1.0"),
    );
    const { digest, difference } = await host.plugins.upgrade(OPERATOR, "counter", { source: next, dryRun: true });
    expect(difference.added.map(({ key }) => key)).toEqual(["exec:sort -u"]);
    await host.plugins.upgrade(OPERATOR, "counter", { source: next, approve: digest });
    expect(result(await call("counter__count", { text: "one two" }))).toEqual({ code: 0, words: 2 });
    await host.audit.flush();
    const [written] = await host.audit.query({ type: "grant.written", plugin: "counter", order: "desc", limit: 1 });
    expect(written?.data?.["commands"]).toMatchObject([
      { command: "/usr/bin/wc" },
      { command: "/usr/bin/cat" },
      { command: "/usr/bin/sort", path: "/usr/bin/sort", sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
    ]);
  });

  it("asks a person for a tool that was not allowed, or denies it, as for everything destructive", async () => {
    expect(failed(await call("counter__runs", { command: "wc", args: ["-w"] })).code).not.toBe("tool_failed");
  });

  it.skipIf(!existsSync("/usr/bin/perl"))(
    "refuses a plain yes to an interpreter, and says how it is said",
    async () => {
      const permissions = 'permissions: { exec: [{ command: perl, args: ["-"] }] }';
      await host.plugins.install(OPERATOR, { source: await source("perly", permissions) });
      const refused = await refusal(host.plugins.approve(OPERATOR, "perly", {}));
      expect(refused).toMatchObject({ code: "ceiling_exceeded", denial: true });
      const [, scope = ""] = /--scope '(.*)'$/.exec(refused.fix) ?? [];
      await host.plugins.approve(OPERATOR, "perly", { scopes: [scope], allowTools: ["runs"] });
      await host.plugins.load(OPERATOR, "perly");
      const ran = await call("perly__runs", { command: "perl", args: ["-"], stdin: 'print "ran";' });
      expect(result(ran)).toBe("ran");
      const { permissions: shown } = await host.plugins.info("perly");
      expect(JSON.stringify(shown)).toContain("MAY RUN ANY CODE THROUGH THE INTERPRETER");
    },
  );

  it("grants nothing for a request without a scope until the operator fills it, and then that [S0-14] [S3-75]", async () => {
    const shell = (id: string) =>
      home.plugin(id, {
        "plugin.yml": manifestOf(id, [toolLine("runs")], "permissions: { shell: true }"),
        "plugin.js": RUNS,
      });
    await installed(host, await shell("shelly"), { allowTools: ["runs"] });
    const run = (id: string) => call(`${id}__runs`, { command: "wc", args: ["-w"], stdin: "a b" });
    expect(failed(await run("shelly"))).toMatchObject({ code: "tool_failed" });
    await host.plugins.approve(OPERATOR, "shelly", { scopes: ["exec=/usr/bin/wc -w"], allowTools: ["runs"] });
    await host.plugins.load(OPERATOR, "shelly");
    expect(result(await run("shelly"))).toBe("2\n");
  });

  it.skipIf(process.getuid?.() !== 0)(
    "runs no more once the command is another file, until somebody says yes again",
    async () => {
      const folder = await mkdtemp(join(tmpdir(), "sallyport-command-"));
      try {
        await chmod(folder, 0o755);
        const path = join(folder, "count");
        await copyFile("/usr/bin/wc", path);
        await installed(host, await source("own", `permissions: { exec: [{ command: ${path}, args: ["-w"] }] }`), {
          allowTools: ["runs"],
        });
        const run = () => call("own__runs", { command: path, args: ["-w"], stdin: "a b" });
        expect(result(await run())).toBe("2\n");
        const commands = async () => (await host.doctor()).checks.find(({ name }) => name === "commands");
        expect(await commands()).toMatchObject({ ok: true });
        await copyFile("/usr/bin/cat", path);
        expect(await commands()).toMatchObject({ ok: false, detail: `own 1.0.0: ${path}` });
        expect(failed(await run())).toMatchObject({
          code: "tool_failed",
          error: expect.stringContaining("not the file that was approved"),
          detail: expect.stringContaining("digest_mismatch"),
        });
        await copyFile("/usr/bin/wc", path);
        await chmod(path, 0o755);
        expect(result(await run())).toBe("2\n");
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
  );

  it("does not install a manifest that names a fact or a pattern that there is not", async () => {
    for (const permissions of [
      "permissions: { system: [{ facet: users }] }",
      'permissions: { exec: [{ command: "wc -w" }] }',
      'permissions: { exec: [{ command: wc, args: ["**", "x"] }] }',
    ]) {
      const error: unknown = await host.plugins
        .install(OPERATOR, { source: await source(`bad-${permissions.length}`, permissions) })
        .catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: "manifest_invalid" });
      expect(error).not.toBeInstanceOf(PolicyViolationError);
    }
  });
});

it("tells the facts that one yes granted, and no other [S3-76]", async () => {
  await installed(host, await source("facts", "permissions: { system: [{ facet: hostname }, { facet: load }] }"), {
    allowTools: ["learns"],
  });
  expect(result(await call("facts__learns", { facet: "hostname" }))).toEqual({ value: hostname() });
  const refused = await call("facts__learns", { facet: "uptime" });
  expect(failed(refused)).toMatchObject({ code: "tool_failed", detail: expect.stringMatching(/uptime|system/) });
  await host.audit.flush();
  expect(await host.audit.query({ call: refused.callId, type: "broker.action" })).toMatchObject([
    { capability: "system", target: "uptime", decision: "deny" },
  ]);
});

it("fills in EXECUTE_CODE and SYSTEM_ACCESS as the operator says, and nothing beyond [S3-75] [S3-76]", async () => {
  const permissions = "permissions: {}\nrequired_permissions: [EXECUTE_CODE, SYSTEM_ACCESS]";
  await installed(host, await source("power", permissions), {
    scopes: ["exec=wc -w", "system=load"],
    allowTools: ["count", "runs", "learns"],
  });
  expect(result(await call("power__count", { text: "a b c" }))).toEqual({ code: 0, words: 3 });
  expect(result(await call("power__learns", { facet: "load" }))).toEqual({
    value: [expect.any(Number), expect.any(Number), expect.any(Number)],
  });
  for (const [tool, input] of [
    ["power__learns", { facet: "hostname" }],
    ["power__runs", { command: "wc", args: ["-c"] }],
    ["power__runs", { command: "id", args: [] }],
  ] as const)
    expect(failed(await call(tool, input))).toMatchObject({
      code: "tool_failed",
      detail: expect.stringContaining("permission_denied"),
    });
});
