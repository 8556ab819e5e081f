import { beforeEach, describe, expect, it } from "vitest";
import { createApi } from "../../src/api/index.ts";
import { createFakeHost, type FakeHost } from "../support/fake-host.ts";

let host: FakeHost;
beforeEach(async () => {
  host = await createFakeHost();
});

function app() {
  return createApi(host, { identify: () => ({ kind: "operator", name: "ada" }) });
}

async function send(method: string, path: string, body?: unknown) {
  const response = await app().request(path, {
    method,
    ...(body !== undefined && { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
  });
  return { status: response.status, answer: JSON.parse(await response.text()) };
}

const done = (verb: string) => host.calls.filter((call) => call.verb === verb).map((call) => call.args);

describe("the operator's other verbs", () => {
  it("sets, lists and removes secrets, and never shows a value", async () => {
    await send("PUT", "/api/secrets/API_KEY", { value: "s3cret", origins: ["https://api.example.com"] });
    expect(done("secrets.set")).toEqual([[{ name: "ada" }, "API_KEY", "s3cret", ["https://api.example.com"]]]);
    expect((await send("GET", "/api/secrets")).answer.result).toEqual([
      { name: "API_KEY", origins: ["https://api.example.com"], version: 1, updated_at: 5 },
    ]);
    expect((await send("DELETE", "/api/secrets/API_KEY")).status).toBe(200);
  });

  it("says what is wrong with a secret's name", async () => {
    for (const name of ["config%3Akey", "..%2Fx", "_x"]) {
      const { status, answer } = await send("PUT", `/api/secrets/${name}`, { value: "x", origins: [] });
      expect([status, answer]).toMatchObject([
        400,
        { error: "The secret's name is not valid.", fix: "Choose a name such as OPENWEATHER_KEY." },
      ]);
    }
    expect(done("secrets.set")).toEqual([]);
  });

  it("shows the last lines of a plugin's log, then each new one, and knows no log of an unknown plugin [S3-105]", async () => {
    for (const message of ["one", "two"]) host.log({ time: 1, level: "info", message });
    host.log({ time: 2, level: "error", message: "three", call: "call_1" });
    expect((await send("GET", "/api/plugins/logs/weather?limit=2")).answer.result).toEqual([
      { time: 1, level: "info", message: "two" },
      { time: 2, level: "error", message: "three", call: "call_1" },
    ]);
    expect((await send("GET", "/api/plugins/logs/weather")).answer.result).toHaveLength(3);
    expect((await send("GET", "/api/plugins/logs/weather?limit=0")).answer.result).toEqual([]);
    expect((await send("GET", "/api/plugins/logs/nobody")).answer).toMatchObject({ code: "not_found" });
    expect((await send("GET", "/api/plugins/logs/nobody?follow=true")).answer).toMatchObject({ code: "not_found" });
    expect((await send("GET", "/api/plugins/logs/weather?limit=5000")).status).toBe(400);

    const response = await app().request("/api/plugins/logs/weather?follow=true&limit=1");
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    expect(JSON.parse((await reader.read()).value!)).toMatchObject({ message: "three" });
    const next = reader.read();
    host.log({ time: 2, level: "error", message: "three", call: "call_1" });
    expect(JSON.parse((await next).value!)).toMatchObject({ message: "three" });
    await reader.cancel();
  });

  it("asks about, approves and denies exactly the version that was named", async () => {
    await send("POST", "/api/plugins/approve/weather", { version: "1.2.0" });
    await send("POST", "/api/plugins/deny/weather", { version: "1.2.0", reason: "no" });
    expect([done("approve"), done("deny")]).toEqual([
      [[{ name: "ada" }, "weather", { version: "1.2.0" }]],
      [[{ name: "ada" }, "weather", "no", "1.2.0"]],
    ]);
    expect((await send("GET", "/api/plugins/info/weather?version=9.9.9")).answer).toMatchObject({ code: "not_found" });
  });

  it("approves and denies calls", async () => {
    const { answer } = await send("POST", "/api/approvals/apr_1/approve", { uses: 1 });
    expect(answer).toMatchObject({ success: true, approval: { id: "apr_1", state: "approved", decided_by: "ada" } });
    await send("POST", "/api/approvals/apr_1/deny", { reason: "no" });
    expect(done("approvals.deny")).toEqual([[{ name: "ada" }, "apr_1", "no"]]);
    expect((await send("GET", "/api/approvals?state=later")).status).toBe(400);
  });

  it("queries, verifies, exports and follows the audit", async () => {
    host.emit({ type: "plugin.lifecycle" });
    host.emit({ type: "plugin_tool.invoked" });
    expect((await send("GET", "/api/audit?plugin=weather&limit=10&since=5")).answer.result).toHaveLength(2);
    expect(done("audit.query")).toEqual([[{ plugin: "weather", limit: 10, since: 5 }]]);
    expect((await send("GET", "/api/audit?limit=5000")).status).toBe(400);
    await send("GET", `/api/audit/verify?head=2:${"a".repeat(64)}`);
    expect(done("audit.verify")).toEqual([[{ seq: 2, hash: "a".repeat(64) }]]);
    expect((await send("GET", "/api/audit/verify?head=nonsense")).status).toBe(400);
    expect(await (await app().request("/api/audit/export")).text()).toBe('{"seq":1}\n{"head":1}\n');

    const response = await app().request("/api/audit/tail?after=0&type=plugin_tool.invoked");
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    expect(JSON.parse((await reader.read()).value!)).toMatchObject({ seq: 1 });
    expect(JSON.parse((await reader.read()).value!)).toMatchObject({ seq: 2 });
    const next = reader.read();
    host.emit({ type: "plugin.lifecycle" });
    host.emit({ type: "plugin_tool.invoked" });
    expect(JSON.parse((await next).value!)).toMatchObject({ seq: 4 });
    await reader.cancel();
  });

  it("reports levels, statistics and health [S3-39, S3-89, S3-90, S3-91]", async () => {
    expect((await send("GET", "/api/doctor")).answer.result).toMatchObject({
      level: "runtime",
      available: ["runtime"],
    });
    expect((await send("GET", "/api/stats")).answer.result).toMatchObject({
      loaded_plugins: 1,
      registry: { total_plugins: 2, active_plugins: 1 },
    });
    expect((await send("GET", "/healthz")).answer).toEqual({ success: true, result: "ok" });
  });
});
