import { existsSync, readdirSync, readFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { verifyExport } from "../../src/audit/index.ts";
import { starterConfig } from "../../src/config/index.ts";
import type { Host } from "../../src/host-api.ts";
import { createApi } from "../../src/index.ts";
import { LIMITS, SallyportError } from "../../src/kernel/index.ts";
import { makeHome, manifestOf, OPERATOR, repositoryPlugin, type TestHome, toolLine } from "../support/home.ts";
import { call, edges, failed, type Internet, openInternet, refusal, result, run } from "./support.ts";
import { needsNamespace } from "../support/namespace.ts";

/* The second half of what the originals get wrong (design.md §12): processes, calls and their record. */

needsNamespace();

let home: TestHome;
let host: Host;
let internet: Internet;
beforeAll(async () => {
  internet = openInternet();
  home = await makeHome();
  host = await home.open({ overrides: { network: internet.network } });
});
afterEach(async () => {
  for (const { id } of await host.plugins.list()) await host.plugins.uninstall(OPERATOR, id, { purge: true });
});
afterAll(async () => {
  await home.remove();
  internet.close();
});

let n = 0;
const HELLO = 'export default { tools: { hello: () => ({ hello: "world" }) } };';
const plugin = (id: string, more?: string, code = HELLO, tools: readonly string[] = [toolLine("hello")], files = {}) =>
  home.plugin(`${id.replaceAll(/\W/g, "_")}-${++n}`, {
    "plugin.yml": manifestOf(id, tools, more),
    "plugin.js": code,
    ...files,
  });

/** Processes that this one started and that live, without esbuild's. */
function children(): readonly string[] {
  return readdirSync("/proc/self/task")
    .flatMap((thread) => readFileSync(`/proc/self/task/${thread}/children`, "utf8").trim().split(" "))
    .filter(
      (id) => id !== "" && existsSync(`/proc/${id}`) && !readFileSync(`/proc/${id}/comm`, "utf8").startsWith("esbuild"),
    );
}

describe("life", () => {
  it("does not repeat: turning plugins off leaves them running; `unloaded` never emitted", async () => {
    const own = await makeHome();
    try {
      const before = children();
      const switched = await own.open();
      await run(switched, repositoryPlugin("echo"));
      expect(children().length).toBeGreaterThan(before.length);
      await switched.plugins.unload(OPERATOR, "echo");
      expect(await edges(switched, "echo")).toContain("running→stopped (unloaded)");
      expect(children()).toEqual(before);
      await switched.plugins.load(OPERATOR, "echo");
      const off = new Promise<void>((resolve) => {
        switched.audit.subscribe(({ type, to }) => type === "plugin.lifecycle" && to === "stopped" && resolve());
      });
      await own.writeConfig(starterConfig({ pluginsEnabled: false }));
      await off;
      expect((await call(switched, "echo__echo", { text: "x" })).success).toBe(false);
      await expect.poll(children).toEqual(before);
    } finally {
      await own.remove();
    }
  });

  it("does not repeat: any state transition accepted, `stopped` a dead end", async () => {
    const source = await plugin("moves");
    await host.plugins.install(OPERATOR, { source });
    for (const verb of ["unload", "enable", "disable"] as const)
      expect([verb, (await refusal(host.plugins[verb](OPERATOR, "moves"))).code]).toEqual([verb, "illegal_transition"]);
    await host.plugins.approve(OPERATOR, "moves", {});
    for (let round = 0; round < 2; round++) {
      expect((await host.plugins.load(OPERATOR, "moves")).state).toBe("running");
      expect((await host.plugins.unload(OPERATOR, "moves")).state).toBe("stopped");
    }
  });

  it("does not repeat: failed load leaves the process alive and callable", async () => {
    const before = children();
    for (const body of ["return false;", "throw new Error('no');", "for (;;) Deno.exit(1);"]) {
      const code = `export default { initialize() { ${body} }, tools: { hello: () => ({}) } };`;
      await refusal(run(host, await plugin("broken", undefined, code)));
      await expect.poll(children).toEqual(before);
      expect(failed(await call(host, "broken__hello")).code).toBe("unknown_tool");
      await host.plugins.uninstall(OPERATOR, "broken");
    }
  });

  it("does not repeat: token in the environment", async () => {
    const source = await plugin(
      "environment",
      undefined,
      "export default { tools: { hello: () => ({ env: { ...process.env } }) } };",
    );
    const before = new Set(children());
    await run(host, source);
    const launches: string[][] = [];
    for (let launch = 0; launch < 2; launch++) {
      const started = children().filter((id) => !before.has(id));
      expect(started).not.toEqual([]);
      for (const id of started) expect(readFileSync(`/proc/${id}/environ`, "utf8")).toBe("");
      launches.push(started.map((id) => readFileSync(`/proc/${id}/cmdline`, "utf8")));
      await host.plugins.unload(OPERATOR, "environment");
      await host.plugins.load(OPERATOR, "environment");
    }
    // A token is of one launch: what is the same at each holds none.
    expect(launches[1]).toEqual(launches[0]);
    expect(result(await call(host, "environment__hello"))).toEqual({ env: {} });
  });
});

describe("calls and their record", () => {
  it("does not repeat: plugin failure reported as success", async () => {
    const code = `export default class { execute(action) { if (action === "throws") throw new Error("no"); return { success: false, error: "quota" }; } }`;
    await run(host, await plugin("loser", undefined, code, [toolLine("says"), toolLine("throws")]));
    expect(failed(await call(host, "loser__says"))).toMatchObject({
      code: "tool_failed",
      error: expect.stringContaining("quota"),
    });
    expect(failed(await call(host, "loser__throws")).code).toBe("tool_failed");
    expect(await host.plugins.info("loser")).toMatchObject({ executionCount: 2, errorCount: 2 });
  });

  it("does not repeat: output neither capped nor checked", async () => {
    const line = (name: string) =>
      `{ name: ${name}, description: Answers., effect: read, input_schema: { type: object }, output_schema: { type: object, properties: { text: { type: string } }, additionalProperties: false } }`;
    const code = `export default { tools: { big: () => ({ text: "x".repeat(${LIMITS.outputBytes}) }), odd: () => ({ text: 1 }), extra: () => ({ html: "<script>" }) } };`;
    await run(host, await plugin("talker", undefined, code, ["big", "odd", "extra"].map(line)));
    for (const [tool, expected] of [
      ["big", "output_too_large"],
      ["odd", "invalid_output"],
      ["extra", "invalid_output"],
    ])
      expect([tool, failed(await call(host, `talker__${tool}`)).code]).toEqual([tool, expected]);
  });

  it("does not repeat: commands and routes that skip policy", async () => {
    const entrances =
      "  commands: [{ name: note, description: Writes., tool: note }]\n  routes: [{ method: POST, path: /note, tool: note }]\n";
    const source = await home.plugin(`commands-${++n}`, {
      "plugin.yml": manifestOf("commands", [toolLine("note", "write")]).replace(
        "contributes:\n",
        `contributes:\n${entrances}`,
      ),
      "plugin.js": 'export default { tools: { note: () => { console.log("ran"); return {}; } } };',
    });
    await run(host, source);
    const api = createApi(host, { identify: () => ({ kind: "agent", name: "local" }) });
    for (const path of [
      "/api/plugins/execute/commands/note",
      "/api/commands/commands__note/run",
      "/plugins/commands/note",
    ]) {
      const response = await api.request(path, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: "{}",
      });
      expect([path, response.status, JSON.parse(await response.text()).code]).toEqual([path, 403, "approval_required"]);
    }
    expect(host.plugins.logs("commands")).toEqual([]);
  });

  it("does not repeat: management API unauthenticated, approver taken from the request body", async () => {
    await host.plugins.install(OPERATOR, { source: await plugin("mine") });
    const send = (api: ReturnType<typeof createApi>, body: object) =>
      api.request("/api/plugins/approve/mine", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      });
    const nobody = createApi(host, {
      identify: () => {
        throw new SallyportError("unauthenticated", "No credential.");
      },
    });
    const agent = createApi(host, { identify: () => ({ kind: "agent", name: "local" }) });
    const ada = createApi(host, { identify: () => ({ kind: "operator", name: "ada" }) });
    expect((await send(nobody, {})).status).toBe(401);
    expect((await send(agent, {})).status).toBe(403);
    for (const body of [{ operator: "root" }, { approver: "root" }, { decided_by: "root" }])
      expect((await send(ada, body)).status).toBe(400);
    expect((await host.plugins.info("mine")).state).toBe("pending_approval");
    expect((await send(ada, {})).status).toBe(200);
    expect((await host.plugins.info("mine")).grant).toMatchObject({ grantedBy: "ada" });
  });

  it("does not repeat: audit chain that one edit repairs, cut tail unnoticed", async () => {
    await run(host, repositoryPlugin("echo"));
    for (let round = 0; round < 3; round++) await call(host, "echo__echo", { text: "x" });
    const lines: string[] = [];
    for await (const line of host.audit.export()) lines.push(line);
    expect(await verifyExport(lines)).toMatchObject({ ok: true });
    const edited = lines.map((line, index) => (index === 2 ? line.replace('"actor":"', '"actor":"x') : line));
    expect((await verifyExport(edited)).ok).toBe(false);
    expect((await verifyExport(lines.filter((_, index) => index !== lines.length - 2))).ok).toBe(false);
    const { head } = await host.audit.verify();
    expect(head).not.toBeNull();
    expect(await host.audit.verify({ seq: (head?.seq ?? 0) + 5, hash: head?.hash ?? "" })).toMatchObject({ ok: false });
  });
});
