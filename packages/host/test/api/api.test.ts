import { beforeEach, describe, expect, it } from "vitest";
import { createApi, type Principal, ROUTES } from "../../src/api/index.ts";
import { SallyportError } from "../../src/kernel/index.ts";
import { createFakeHost, type FakeHost } from "../support/fake-host.ts";

const ADA: Principal = { kind: "operator", name: "ada" };
const BOT: Principal = { kind: "agent", name: "bot" };

let host: FakeHost;
let principal: Principal;
let defects: unknown[];

beforeEach(async () => {
  host = await createFakeHost();
  principal = ADA;
  defects = [];
});

function app() {
  return createApi(host, { identify: () => principal, onDefect: (error) => defects.push(error) });
}

async function send(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  const response = await app().request(path, {
    method,
    headers: { ...(body !== undefined && { "content-type": "application/json" }), ...headers },
    ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  return { status: response.status, answer: JSON.parse(await response.text()) };
}

const done = (verb: string) => host.calls.filter((call) => call.verb === verb).map((call) => call.args);

describe("the table of routes", () => {
  it("classifies every route of the app, each verb once [S2-36]", () => {
    const table = new Set(ROUTES.map(({ method, path }) => `${method} ${path}`));
    for (const { method, path } of app().routes) expect(table).toContain(`${method} ${path}`);
    expect(app().routes).toHaveLength(ROUTES.length);
    expect(new Set(ROUTES.map(({ verb }) => verb)).size).toBe(ROUTES.length);
  });

  it("keeps every route but these from agents [S2-62, S2-63]", () => {
    const open = ROUTES.filter(({ audience }) => audience !== "operator").map(({ verb }) => verb);
    expect(open).toEqual([
      "healthz",
      "tool.list",
      "tool.info",
      "tool.call",
      "plugin.execute",
      "command.list",
      "command.run",
      "route.get",
      "route.post",
      "route.put",
      "route.patch",
      "route.delete",
    ]);
  });

  it("asks for the passphrase before every verb that widens", () => {
    const guarded = ROUTES.filter(({ needsPassphrase }) => needsPassphrase).map(({ verb }) => verb);
    expect(guarded).toEqual([
      "plugin.approve",
      "plugin.enable",
      "plugin.config.set",
      "plugin.rollback",
      "plugin.lock.restore",
      "agent.set",
      "agent.remove",
      "tool.enable",
      "token.create",
      "key.trust",
      "key.rotate",
      "key.reseal",
      "registry.add",
      "home.backup",
      "policy.override.remove",
      "policy.accept_clock",
      "approval.approve",
      "secret.set",
      "secret.remove",
      "secret.rotate_key",
    ]);
  });

  const operators = ROUTES.filter(({ audience }) => audience === "operator");
  it.each(operators)("$verb refuses an agent, and an operator who acts as one [S4-57, S4-58]", async (route) => {
    const path = route.path.replace(/:\w+/g, "weather");
    for (const sender of [BOT, { ...ADA, actingAs: "bot" }]) {
      principal = sender;
      const { status, answer } = await send(route.method, path, route.method === "GET" ? undefined : {});
      expect([status, answer.success, answer.code]).toEqual([403, false, "forbidden"]);
    }
    expect(host.calls).toEqual([]);
  });

  const guarded = ROUTES.filter(({ needsPassphrase }) => needsPassphrase);
  it.each(guarded)("$verb does nothing without the right passphrase", async (route) => {
    await host.operators.setPassphrase(undefined, "correct horse");
    const path = route.path.replace(/:\w+/g, "weather");
    const body = route.verb.endsWith(".set") ? { values: {}, value: "x", origins: [] } : {};
    for (const headers of [{}, { "x-sallyport-passphrase": "wrong guess" }]) {
      const { status, answer } = await send(route.method, path, body, headers);
      expect([status, answer.code]).toEqual([401, "passphrase_required"]);
    }
    expect(host.calls).toEqual([]);
  });

  it("answers an unknown route or method as JSON", async () => {
    expect(await send("GET", "/api/nothing")).toMatchObject({ status: 404, answer: { code: "not_found" } });
    expect(await send("GET", "/api/plugins/install")).toMatchObject({ status: 404, answer: { success: false } });
  });
});

describe("authority of the sender", () => {
  it("serves nothing but /healthz to one who is not identified", async () => {
    const closed = createApi(host, {
      identify: () => {
        throw new SallyportError("unauthenticated", "No credential.");
      },
    });
    for (const { method, path, audience } of ROUTES) {
      const response = await closed.request(path.replace(/:\w+/g, "weather"), { method });
      expect([path, response.status]).toEqual([path, audience === "open" ? 200 : 401]);
    }
    expect(host.calls).toEqual([]);
  });

  it("tells the host who calls: an agent, an operator, or an operator as an agent", async () => {
    for (const sender of [BOT, ADA, { ...ADA, actingAs: "bot" }]) {
      principal = sender;
      await send("POST", "/api/tools/weather__forecast/call", { input: {} });
    }
    expect(done("invoke").map(([caller]) => caller)).toEqual([
      { kind: "agent", agent: "bot" },
      { kind: "operator", agent: "cli", operator: "ada" },
      { kind: "agent", agent: "bot", operator: "ada" },
    ]);
  });

  it("never takes the operator from the body", async () => {
    const { status } = await send("POST", "/api/plugins/approve/weather", { operator: "mallory" });
    expect(status).toBe(400);
    await send("POST", "/api/plugins/approve/weather", {
      only: ["network:api.example.com:443"],
      allow_tools: ["forecast"],
    });
    expect(done("approve")).toEqual([
      [{ name: "ada" }, "weather", { only: ["network:api.example.com:443"], allowTools: ["forecast"] }],
    ]);
  });

  it("lets a configuration through a load only with the passphrase", async () => {
    await host.operators.setPassphrase(undefined, "correct horse");
    const refused = await send("POST", "/api/plugins/load/weather", { config: { units: "metric" } });
    expect(refused.answer.code).toBe("passphrase_required");
    expect(host.calls).toEqual([]);
    expect((await send("POST", "/api/plugins/load/weather", {})).status).toBe(200);
  });

  it("upgrades only with the passphrase, and shows without it what would be done [S2-64] [S4-59]", async () => {
    await host.operators.setPassphrase(undefined, "correct horse");
    for (const [path, verb] of [
      ["/api/plugins/upgrade/weather", "upgrade"],
      ["/api/plugins/upgrades", "upgradeAll"],
    ] as const) {
      expect((await send("POST", path, {})).answer.code).toBe("passphrase_required");
      expect(host.calls.filter((call) => call.verb === verb)).toEqual([]);
      const { answer } = await send("POST", path, { dry_run: true });
      expect([answer.result].flat()).toMatchObject([{ id: "weather", state: "possible", from: "1.2.0", to: "1.3.0" }]);
    }
    expect((await send("POST", "/api/plugins/rollback/weather", {})).answer.code).toBe("passphrase_required");
    expect((await send("POST", "/api/plugins/lock/restore", {})).answer.code).toBe("passphrase_required");
  });
});

describe("plugins over REST", () => {
  const metadata = {
    name: "weather",
    version: "1.2.0",
    author: "Acme",
    description: "Forecasts.",
    capabilities: ["integration"],
    required_permissions: ["NETWORK_ACCESS"],
  };

  it("installs from {plugin_path, metadata, auto_load} and answers {success, plugin} [S3-46, S3-48, S3-52, S3-49]", async () => {
    const { status, answer } = await send("POST", "/api/plugins/install", {
      plugin_path: "/plugins/weather",
      metadata,
      auto_load: true,
    });
    expect(status).toBe(200);
    expect(answer).toMatchObject({ success: true, plugin: { id: "weather" }, result: { loaded: true } });
    expect(done("install")).toEqual([
      [
        { name: "ada" },
        {
          source: "/plugins/weather",
          load: true,
          expect: {
            name: "weather",
            version: "1.2.0",
            author: "Acme",
            description: "Forecasts.",
            categories: ["integration"],
            capabilities: ["network"],
          },
        },
      ],
    ]);
  });

  it.each(Object.keys(metadata))("refuses metadata without %s", async (key) => {
    const rest = Object.fromEntries(Object.entries(metadata).filter(([name]) => name !== key));
    const { status, answer } = await send("POST", "/api/plugins/install", { plugin_path: "/p", metadata: rest });
    expect([status, answer.code]).toEqual([400, "usage"]);
    expect(answer.error).toContain(`metadata.${key}`);
    expect(host.calls).toEqual([]);
  });

  it("refuses unknown capabilities and permissions in the metadata [S3-25, S3-26]", async () => {
    for (const wrong of [{ capabilities: ["telepathy"] }, { required_permissions: ["ROOT"] }]) {
      const body = { plugin_path: "/p", metadata: { ...metadata, ...wrong } };
      expect((await send("POST", "/api/plugins/install", body)).status).toBe(400);
    }
    expect(host.calls).toEqual([]);
  });

  it("refuses a relative source and unknown keys", async () => {
    for (const body of [{ source: "./weather" }, { source: "/p", loda: true }, { plugin_path: "p", metadata }]) {
      expect((await send("POST", "/api/plugins/install", body)).status).toBe(400);
    }
    expect(host.calls).toEqual([]);
  });

  it("streams the steps of an install as lines, then the answer", async () => {
    const lines = { accept: "application/x-ndjson", "content-type": "application/json" };
    const response = await app().request("/api/plugins/install", {
      method: "POST",
      headers: lines,
      body: '{"source":"/plugins/weather"}',
    });
    const parts = (await response.text())
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(parts.slice(0, 2)).toEqual([
      { step: { name: "read", index: 1, of: 2 } },
      { step: { name: "store", index: 2, of: 2 } },
    ]);
    expect(parts[2].answer).toMatchObject({ success: true, plugin: { id: "weather" } });
    const failed = await app().request("/api/plugins/install", {
      method: "POST",
      headers: lines,
      body: '{"source":"/broken"}',
    });
    expect(JSON.parse((await failed.text()).trim())).toMatchObject({ success: false, code: "internal" });
  });

  it("loads, lists, shows, unloads and uninstalls a version [S3-53, S3-55, S3-58, S3-59, S3-60]", async () => {
    await send("POST", "/api/plugins/load/weather", { version: "1.2.0", config: { units: "metric" } });
    expect(done("load")).toEqual([[{ name: "ada" }, "weather", { version: "1.2.0", config: { units: "metric" } }]]);
    expect((await send("GET", "/api/plugins/loaded")).answer.result).toMatchObject([
      { id: "weather", state: "running" },
    ]);
    expect((await send("GET", "/api/plugins/info/weather")).answer.result).toMatchObject({
      health: { status: "stopped" },
      execution_count: 3,
      error_count: 1,
      manifest: { contributes: { tools: [{ name: "forecast", timeout_ms: 5000 }] } },
    });
    await send("POST", "/api/plugins/unload/weather", {});
    expect((await send("GET", "/api/plugins/loaded")).answer.result).toEqual([]);
    await send("DELETE", "/api/plugins/uninstall/weather?version=1.2.0");
    expect(done("uninstall")).toEqual([[{ name: "ada" }, "weather", { version: "1.2.0", purge: false }]]);
  });

  it("lists available plugins and filters them by capability [S3-56, S3-57]", async () => {
    expect((await send("GET", "/api/plugins/available")).answer.result).toHaveLength(1);
    expect((await send("GET", "/api/plugins/available?capability=integration")).answer.result).toHaveLength(1);
    expect((await send("GET", "/api/plugins/available?capability=monitoring")).answer.result).toEqual([]);
    expect((await send("GET", "/api/plugins/available?capability=unknown")).status).toBe(400);
    expect((await send("GET", "/api/plugins/available?capability=integration&capability=monitoring")).status).toBe(400);
  });

  it("reads encoded and differently spelled ids, and refuses what is none", async () => {
    expect((await send("GET", "/api/plugins/info/acme%2Fweather")).answer.result.id).toBe("acme/weather");
    expect((await send("GET", "/api/plugins/info/ACME%2Fweather")).status).toBe(200);
    for (const id of ["..%2F..%2Fetc", "%00", "a%252Fb", "a%2Fb%2Fc", "-x", "%F0%9F%92%A9"]) {
      expect([id, (await send("GET", `/api/plugins/info/${id}`)).status]).toEqual([id, 400]);
    }
    expect((await send("GET", "/api/plugins/info/nobody")).status).toBe(404);
  });
});

describe("calls over REST", () => {
  it("executes an action and answers {success, result} [S3-50, S3-51, S3-54]", async () => {
    const { status, answer } = await send("POST", "/api/plugins/execute/weather/forecast", {
      params: { city: "Bern" },
    });
    expect(status).toBe(200);
    expect(answer).toEqual({ success: true, call_id: "call_1", result: { celsius: 20 }, duration_ms: 1.5 });
    expect(done("invoke")[0]?.[1]).toMatchObject({ tool: "weather__forecast", input: { city: "Bern" } });
    await send("POST", "/api/plugins/execute/acme%2Fmy_skill/analyze_task", {});
    expect(done("invoke")[1]?.[1]).toMatchObject({ tool: "acme_my-skill__analyze_task", input: {} });
  });

  it("answers a failure with its code, fix, approval and fixed status [S3-51]", async () => {
    expect(await send("POST", "/api/tools/weather__ask/call", { input: {} })).toEqual({
      status: 403,
      answer: {
        success: false,
        call_id: "call_2",
        error: "An operator must approve this call first.",
        code: "approval_required",
        approval: { id: "apr_2" },
      },
    });
    expect((await send("POST", "/api/plugins/execute/weather/nothing", {})).status).toBe(404);
  });

  it("cancels the call when the client goes away", async () => {
    const gone = new AbortController();
    await app().request("/api/tools/weather__forecast/call", { method: "POST", signal: gone.signal });
    const [, request] = done("invoke")[0] ?? [];
    gone.abort();
    expect(request).toMatchObject({ signal: { aborted: true } });
  });

  it("lists tools with snake_case schemas", async () => {
    expect((await send("GET", "/api/tools")).answer.result[0]).toMatchObject({
      name: "weather__forecast",
      input_schema: { type: "object" },
      output_schema: { type: "object" },
      decision: "allow",
    });
    expect((await send("GET", "/api/tools/other__tool")).status).toBe(404);
  });
});

describe("bodies", () => {
  const path = "/api/tools/weather__forecast/call";

  it.each([
    ["not JSON", "{", "application/json", 400],
    ["an array", "[]", "application/json", 400],
    ["a form", "input=1", "application/x-www-form-urlencoded", 400],
    ["plain text", '{"input":{}}', "text/plain", 400],
    ["a dangerous key", '{"input":{"__proto__":{}}}', "application/json", 400],
    ["an unknown key", '{"inptu":{}}', "application/json", 400],
    ["deep nesting", `{"input":${"[".repeat(9000)}${"]".repeat(9000)}}`, "application/json", 429],
    ["3 MiB", `{"input":"${"x".repeat(3 << 20)}"}`, "application/json", 413],
  ])("refuses %s", async (_what, body, type, status) => {
    const result = await send("POST", path, body, { "content-type": type });
    expect([result.status, result.answer.success]).toEqual([status, false]);
    expect(host.calls).toEqual([]);
  });

  it("refuses an endless body without a length, and bytes that are no UTF-8", async () => {
    let sent = 0;
    const endless = new ReadableStream({
      pull(controller) {
        sent += 65_536;
        controller.enqueue(new Uint8Array(65_536));
      },
    });
    const headers = { "content-type": "application/json" };
    const request = new Request(`http://localhost${path}`, { method: "POST", body: endless, headers, duplex: "half" });
    expect((await app().request(request)).status).toBe(413);
    expect(sent).toBeLessThan(4 << 20);
    const broken = new Request(`http://localhost${path}`, {
      method: "POST",
      body: new Uint8Array([0x7b, 0xff]),
      headers,
    });
    expect((await app().request(broken)).status).toBe(400);
    expect(host.calls).toEqual([]);
  });

  it("shows no cause, path or stack of a defect, and hands it to the log", async () => {
    const { status, answer } = await send("POST", "/api/plugins/install", { source: "/broken" });
    expect([status, answer.code]).toEqual([500, "internal"]);
    expect(JSON.stringify(answer)).not.toContain("/root/private");
    expect(defects).toHaveLength(1);
  });
});
