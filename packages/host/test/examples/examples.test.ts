import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Host } from "../../src/host-api.ts";
import { AGENT, makeHome, OPERATOR, repositoryPlugin, type TestHome } from "../support/home.ts";
import { type Loopback, run, serveLoopback, withHost } from "./support.ts";
import { needsNamespace } from "../support/namespace.ts";

needsNamespace();

let home: TestHome;
let host: Host;
let server: Loopback | undefined;

beforeEach(async () => {
  home = await makeHome();
  host = await home.open();
});
afterEach(async () => {
  server?.close();
  server = undefined;
  await home.remove();
});

const call = (tool: string, input: unknown) => host.invoke(AGENT, { tool, input });

it("runs data-processor in its sandbox: 1 to 5 times 2 [S3-65]", async () => {
  await run(host, repositoryPlugin("data-processor"));
  expect(
    await call("data-processor__transform", { data: [1, 2, 3, 4, 5], operation: "multiply", value: 2 }),
  ).toMatchObject({
    success: true,
    result: [2, 4, 6, 8, 10],
  });
  expect(await call("data-processor__aggregate", { data: [], operation: "avg" })).toMatchObject({
    success: false,
    code: "tool_failed",
  });
  expect(await call("data-processor__filter", { data: ["x"], operation: "less", value: 1 })).toMatchObject({
    success: false,
    code: "invalid_input",
  });
  expect(await host.plugins.info("data-processor")).toMatchObject({ executionCount: 2, errorCount: 1 });
});

it("runs agent-skill in its sandbox [S3-66]", async () => {
  await run(host, repositoryPlugin("agent-skill"));
  expect(await call("agent-skill__analyze_task", { task_description: "Fix the crash at start." })).toMatchObject({
    success: true,
    result: { kinds: ["fix"] },
  });
});

it("runs line-tools with the machine's own commands, for an agent that may call it", async () => {
  await run(host, repositoryPlugin("line-tools"), { allowTools: ["sort", "count"] });
  const text = "pear 1\napple 3\npear 1\n";
  expect(await call("line-tools__sort", { text, unique: true })).toMatchObject({
    result: { text: "apple 3\npear 1\n" },
  });
  expect(await call("line-tools__sort", { text: "b 1\na 2\n", column: 2 })).toMatchObject({
    result: { text: "b 1\na 2\n" },
  });
  expect(await call("line-tools__count", { text })).toMatchObject({ result: { lines: 3, words: 6, bytes: 22 } });
});

describe("csv-insights", () => {
  const data = repositoryPlugin("csv-insights/data");

  it("reads the granted folder with its library from npm, and no other file", async () => {
    await run(host, repositoryPlugin("csv-insights"), { scopes: [`filesystem=${data}:r`] });
    expect(await call("csv-insights__files", { folder: data })).toMatchObject({
      result: { files: [{ path: `${data}/seattle-weather-2012.csv` }] },
    });
    expect(await call("csv-insights__describe", { path: `${data}/seattle-weather-2012.csv` })).toMatchObject({
      success: true,
      result: {
        rows: 366,
        columns: [{ name: "date", type: "date" }, { name: "precipitation", maximum: 54.1 }, {}, {}, {}],
      },
    });
    expect(await call("csv-insights__describe", { path: repositoryPlugin("csv-insights/README.md") })).toMatchObject({
      success: false,
    });
    expect(await call("csv-insights__describe", { path: `${data}/../package.json` })).toMatchObject({ success: false });
  });

  it("reads nothing before the operator says what", async () => {
    await run(host, repositoryPlugin("csv-insights"));
    expect(await call("csv-insights__describe", { path: `${data}/seattle-weather-2012.csv` })).toMatchObject({
      success: false,
    });
  });
});

describe("weather", () => {
  const answer = { name: "Rome", weather: [{ description: "clear sky" }], main: { temp: 21.5 } };

  it("asks the server with the key that only the host has [S0-50]", async () => {
    server = await serveLoopback((_request, response) => response.end(JSON.stringify(answer)));
    const origin = `http://127.0.0.1:${server.port}`;
    const source = await withHost(home, "weather", [
      [
        "host: api.openweathermap.org\n      port: 443\n      scheme: https",
        `host: 127.0.0.1\n      port: ${server.port}\n      scheme: http`,
      ],
      ["https://api.openweathermap.org", origin],
    ]);
    await host.secrets.set(OPERATOR, "OPENWEATHER_KEY", "the-real-key", [origin]);
    await run(host, source, { scopes: [`network+loopback=${origin}/data/2.5/*,methods=GET`], allowTools: ["current"] });
    expect(await call("weather__current", { location: "Rome,IT" })).toMatchObject({
      success: true,
      result: { temperature: 21.5, units: "metric" },
    });
    expect(server.requests.map(({ line }) => line)).toEqual([
      "GET /data/2.5/weather?q=Rome%2CIT&units=metric&appid=the-real-key",
    ]);
    const [tool] = (await host.tools.list(AGENT)).filter(({ name }) => name === "weather__current");
    expect(tool?.effect).toBe("external");
  });
});

describe("home-automation", () => {
  const states = [{ entity_id: "light.kitchen", state: "on" }];

  async function start(token: string | undefined) {
    server = await serveLoopback((request, response) => {
      if (request.headers.authorization !== "Bearer the-real-token") response.writeHead(401).end("{}");
      else response.end(JSON.stringify(request.url === "/api/" ? { message: "API running." } : states));
    });
    const origin = `http://127.0.0.1:${server.port}`;
    const source = await withHost(home, "home-automation", [
      ["host: homeassistant.local\n      port: 8123", `host: 127.0.0.1\n      port: ${server.port}`],
      ["http://homeassistant.local:8123", origin],
    ]);
    if (token !== undefined) await host.secrets.set(OPERATOR, "HA_TOKEN", token, [origin]);
    return run(host, source, {
      scopes: [`network+loopback=${origin}/api/**,methods=GET+POST`],
      allowTools: ["status", "turn_on"],
    });
  }

  it("reads and switches with the token that only the host has [S0-51]", async () => {
    await start("the-real-token");
    expect(await call("home-automation__status", {})).toMatchObject({
      success: true,
      result: { running: true, devices: [{ kind: "light", total: 1, on: 1 }] },
    });
    expect(await call("home-automation__turn_on", { entity_id: "light.kitchen" })).toMatchObject({
      success: true,
      result: { changed: 1 },
    });
    expect(server?.requests.map(({ line }) => line)).toEqual([
      "GET /api/",
      "GET /api/states",
      "POST /api/services/homeassistant/turn_on",
    ]);
  });

  it("aborts the load when the operator set no token, and asks nobody [S0-29] [S0-25]", async () => {
    await expect(start(undefined)).rejects.toMatchObject({ code: "initialize_failed" });
    expect(server?.requests).toEqual([]);
    expect(await host.tools.list(AGENT)).toEqual([]);
  });
});
