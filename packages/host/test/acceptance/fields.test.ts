import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { starterConfig } from "../../src/config/index.ts";
import type { Host } from "../../src/host-api.ts";
import { makeHome, manifestOf, OPERATOR, type TestHome, toolLine } from "../support/home.ts";
import { call, edges, failed, refusal, result } from "./support.ts";
import { needsNamespace } from "../support/namespace.ts";

/* Every field of the manifest is enforced or refused: one test each, on the real host. */

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

const CODE = "export default { tools: { hello: () => ({}) } };";
let n = 0;
const plugin = (more: string, tools: readonly string[] = [toolLine("hello")], code = CODE) =>
  home.plugin(`field-${++n}`, { "plugin.yml": manifestOf("field", tools, more), "plugin.js": code });

/** Approves whatever is asked and tries to load. */
async function load(source: string, on = host) {
  await on.plugins.install(OPERATOR, { source });
  await on.plugins.approve(OPERATOR, "field", {});
  return on.plugins.load(OPERATOR, "field");
}

describe("limits", () => {
  const EAT = `export default { tools: { eat({ mb }) {
    const all = [];
    for (let n = 0; n < mb; n += 4) { const block = new Uint8Array(4 << 20); block.fill(1); all.push(block); }
    return { eaten: all.length * 4 };
  } } };`;
  it("memory_mb bounds what the process may take, and a bigger one allows more", async () => {
    await load(await plugin("permissions: {}\nlimits: { memory_mb: 64 }", [toolLine("eat")], EAT));
    expect((await call(host, "field__eat", { mb: 8 })).success).toBe(true);
    expect((await call(host, "field__eat", { mb: 400 })).success).toBe(false);
    await host.plugins.uninstall(OPERATOR, "field", { purge: true });
    await load(await plugin("permissions: {}\nlimits: { memory_mb: 1024 }", [toolLine("eat")], EAT));
    expect(result(await call(host, "field__eat", { mb: 400 }))).toEqual({ eaten: 400 });
  });

  it("memory_mb over what the operator's config.yml gives refuses the load, and a plugin that asks nothing gets no more", async () => {
    const own = await makeHome(`${starterConfig({ pluginsEnabled: true })}\nlimits: { memory_mb: 64 }\n`);
    try {
      const small = await own.open();
      const greedy = await plugin("permissions: {}\nlimits: { memory_mb: 65 }", [toolLine("eat")], EAT);
      await expect(load(greedy, small)).rejects.toMatchObject({ code: "ceiling_exceeded" });
      await small.plugins.uninstall(OPERATOR, "field", { purge: true });
      await load(await plugin("permissions: {}", [toolLine("eat")], EAT), small);
      expect((await call(small, "field__eat", { mb: 400 })).success).toBe(false);
    } finally {
      await own.remove();
    }
  });

  it("memory_mb over what the host gives refuses the load", async () => {
    const source = await plugin("permissions: {}\nlimits: { memory_mb: 4096 }", [toolLine("eat")], EAT);
    await expect(load(source)).rejects.toMatchObject({
      code: "ceiling_exceeded",
      fix: expect.stringContaining("limits.memory_mb: 4096 in config.yml"),
    });
  });

  it("concurrency bounds how many calls are in the plugin at once; the others wait", async () => {
    for (const limit of [1, 3]) {
      // Each call waits for as many as the limit says, then for the host, so that one too many would be seen.
      const code = `let now = 0, most = 0, open; const gate = new Promise((done) => (open = done));
      export default { tools: { async work(_, ctx) {
        most = Math.max(most, ++now);
        if (now === ${limit}) open(); else await gate;
        await ctx.kv.get("nothing");
        now--;
        return { most };
      } } };`;
      await load(await plugin(`permissions: {}\nlimits: { concurrency: ${limit} }`, [toolLine("work")], code));
      const answers = await Promise.all(Array.from({ length: limit * 3 }, () => call(host, "field__work")));
      expect(answers.map(result)).toEqual(answers.map(() => ({ most: limit })));
      await host.plugins.uninstall(OPERATOR, "field", { purge: true });
    }
  });
});

it("timeout_ms ends a call of that tool and of no other", async () => {
  const line = (name: string, ms: number) =>
    `{ name: ${name}, description: Waits., effect: read, input_schema: { type: object }, timeout_ms: ${ms} }`;
  const code =
    "export default { tools: { short: () => new Promise(() => {}), long: async (_, ctx) => ({ none: (await ctx.kv.get('x')) ?? null }) } };";
  await load(await plugin("permissions: {}", [line("short", 50), line("long", 20_000)], code));
  const [short, long] = await Promise.all([call(host, "field__short"), call(host, "field__long")]);
  expect(failed(short).code).toBe("deadline_exceeded");
  expect(result(long)).toEqual({ none: null });
});

it("isolation.minimum: kernel is not run at a lower level, also when the operator lowered the floor", async () => {
  const own = await makeHome(starterConfig({ pluginsEnabled: true }).replace("minimum: kernel", "minimum: runtime"));
  try {
    const lowered = await own.open({ overrides: { levels: ["runtime"] } });
    expect((await refusal(load(await plugin("permissions: {}\nisolation: { minimum: kernel }"), lowered))).code).toBe(
      "isolation_unavailable",
    );
    await lowered.plugins.uninstall(OPERATOR, "field");
    expect(await load(await plugin("permissions: {}\nisolation: { minimum: runtime }"), lowered)).toMatchObject({
      isolation: "runtime",
    });
  } finally {
    await own.remove();
  }
});

it("engines.sallyport refuses a host outside its range", async () => {
  expect(await refusal(load(await plugin('permissions: {}\nengines: { sallyport: ">=99" }')))).toMatchObject({
    code: "engine_mismatch",
    message: expect.stringContaining(">=99"),
  });
  await host.plugins.uninstall(OPERATOR, "field");
  expect(await load(await plugin('permissions: {}\nengines: { sallyport: ">=0.0.1" }'))).toMatchObject({
    state: "running",
  });
});

describe("what this version does not serve", () => {
  it.each([
    [
      "MCP servers elsewhere",
      "permissions: {}",
      "an MCP server that runs elsewhere",
      'mcp_servers: [{ name: files, url: "https://mcp.example.com/mcp" }]',
    ],
    ["database", "permissions: { database: [{ connection: orders }] }", "database", ""],
  ])("%s: is refused at load, by name, and never ignored", async (_name, more, word, contribution) => {
    const yml = manifestOf("field", [toolLine("hello")], more);
    const source = await home.plugin(`unserved-${++n}`, {
      "plugin.yml": contribution === "" ? yml : yml.replace("contributes:\n", `contributes:\n  ${contribution}\n`),
      "plugin.js": CODE,
    });
    const refused = await refusal(load(source));
    expect(refused).toMatchObject({ code: "not_enforceable", denial: true });
    expect(refused.message).toContain(word);
    const [last, ...before] = (await edges(host, "field")).toReversed();
    expect([last, before.slice(0, before.indexOf("→discovered")).filter((edge) => edge.includes("starting"))]).toEqual([
      "approved→approved (not_enforceable)",
      [],
    ]);
  });
});

it("optional permissions may be left out, required ones not, and what was left out is refused", async () => {
  const source = await plugin(
    `permissions:
  filesystem:
    - { path: "\${data}/kept", mode: rw, reason: Keeps. }
    - { path: /srv/optional, mode: r, optional: true }`,
    ["write", "read"].map((name) => toolLine(name)),
    `export default { tools: {
      write: async (_, ctx) => { await ctx.files.mkdir("\${data}/kept"); return { bytes: await ctx.files.write("\${data}/kept/a.txt", "x") }; },
      read: async (_, ctx) => ({ text: await ctx.files.readText("/srv/optional/a.txt") }),
    } };`,
  );
  await host.plugins.install(OPERATOR, { source });
  const keys = (await host.plugins.info("field")).permissions.map(({ key, required }) => [key, required]);
  expect(keys).toEqual([
    ["tools", true],
    ["filesystem:${data}/kept", true],
    ["filesystem:/srv/optional", false],
  ]);
  expect(
    await refusal(host.plugins.approve(OPERATOR, "field", { only: ["tools", "filesystem:/srv/optional"] })),
  ).toMatchObject({ code: "permission_required" });
  expect((await host.plugins.info("field")).granted).toEqual([]);
  await host.plugins.approve(OPERATOR, "field", {
    only: ["tools", "filesystem:${data}/kept"],
    allowTools: ["write", "read"],
  });
  await host.plugins.load(OPERATOR, "field");
  expect(result(await call(host, "field__write"))).toEqual({ bytes: 1 });
  const read = failed(await call(host, "field__read"));
  await host.audit.flush();
  expect(await host.audit.query({ call: read.callId, type: "broker.action" })).toMatchObject([
    { outcome: "failed", reason: "permission_denied", target: "/srv/optional/a.txt" },
  ]);
});

it("effect, description, name, author, license and homepage are what an operator sees", async () => {
  const source = await plugin("permissions: {}\nauthor: Acme <a@acme.example>\nhomepage: https://acme.example");
  await host.plugins.install(OPERATOR, { source });
  const info = await host.plugins.info("field");
  expect(info.manifest).toMatchObject({
    name: "field",
    author: "Acme <a@acme.example>",
    license: "MIT",
    homepage: "https://acme.example",
    description: "A plugin of a test.",
  });
  expect(info.tools).toMatchObject([
    { name: "field__hello", effect: "read", decision: "allow", description: "Test tool hello." },
  ]);
});

it("a permission's use of a secret, and its reason, are shown in the host's words beside the plugin's", async () => {
  const source = await plugin(
    'permissions: { secrets: [{ name: KEY, use: { origin: "https://api.example.com", in: "header:x-key" }, reason: "Trust me." }] }',
  );
  const { permissions } = await host.plugins.install(OPERATOR, { source });
  expect(permissions.find(({ key }) => key === "secrets:KEY")).toMatchObject({
    reason: "Trust me.",
    sentence: expect.stringMatching(/KEY.*api\.example\.com/),
    risk: "high",
    enforced: { by: expect.any(String) },
  });
});
