import { cp } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Host, InvokeAnswer } from "../../src/host-api.ts";
import { AGENT, installed, makeHome, manifestOf, OPERATOR, type TestHome, toolLine } from "../support/home.ts";
import { needsNamespace } from "../support/namespace.ts";
import { portOf } from "./support.ts";
import { socketServers } from "./websocket-support.ts";

/* A real plugin behind its walls, the real broker, and servers on loopback. */

needsNamespace();

let home: TestHome;
let host: Host;
beforeAll(async () => {
  home = await makeHome();
  host = await home.open();
});
afterAll(() => home.remove());

const { proper } = socketServers();
const call = (tool: string, input: unknown): Promise<InvokeAnswer> => host.invoke(AGENT, { tool, input });

describe("a plugin's WebSocket", () => {
  const CODE = `export default { tools: {
    talk: ({ url, texts }) => new Promise((done) => {
      const got = []; const ws = new WebSocket(url);
      ws.onopen = () => texts.forEach((text) => ws.send(text));
      ws.onmessage = ({ data }) => { got.push(data); if (got.length === texts.length) ws.close(); };
      ws.onerror = ({ message }) => got.push("error: " + message);
      ws.onclose = ({ code, wasClean }) => done({ got, code, wasClean });
    }),
    keep: ({ url }) => new Promise((done) => { globalThis.kept = new WebSocket(url); kept.onopen = () => done({}); kept.onclose = ({ code }) => { kept.closed = code } }),
    later: async () => { kept.send("after the call"); await new Promise((r) => setTimeout(r)); return { state: kept.readyState } },
    hang: ({ url }) => new Promise(() => { new WebSocket(url) }),
  } };`;
  const load = async (id: string, ports: readonly number[]): Promise<void> => {
    const lines = ports.map((port) => `{ host: 127.0.0.1, port: ${port}, scheme: ws, paths: ["/feed"] }`);
    const tools = ["talk", "keep", "later"].map((name) => toolLine(name));
    const hang = toolLine("hang").replace("effect:", "timeout_ms: 300, effect:");
    await installed(
      host,
      await home.plugin(id, {
        "plugin.yml": manifestOf(id, [...tools, hang], `permissions: { network: [${lines.join(", ")}] }`),
        "plugin.js": CODE,
      }),
      {
        allowTools: ["talk", "keep", "later", "hang"],
        scopes: ports.map((port) => `network+loopback=ws://127.0.0.1:${port}/feed`),
      },
    );
  };

  it("talks to what was granted, to nothing else, and the audit has both ends of it [S1-17] [S3-72]", async () => {
    const server = await proper((socket) =>
      socket.on("message", (data) => socket.send(`echo ${Buffer.isBuffer(data) ? data.toString() : ""}`)),
    );
    await load("talker", [server.port]);
    const answer = await call("talker__talk", { url: `${server.url}/feed`, texts: ["a", "b"] });
    expect(answer).toMatchObject({
      success: true,
      result: { got: ["echo a", "echo b"], code: 1005, wasClean: true },
    });
    const refused = await call("talker__talk", { url: `${server.url}/other`, texts: ["a"] });
    expect(refused).toMatchObject({
      result: { got: [expect.stringContaining("error: The plugin may not open")], code: 1006 },
    });
    await host.audit.flush();
    const events = await host.audit.query({ type: "broker.action", call: answer.callId, order: "asc" });
    const target = `${server.url}/feed`;
    expect(events).toMatchObject([
      { capability: "network", method: "ws.open", target, status: 101, outcome: "succeeded", agent: "local" },
      {
        capability: "network",
        method: "ws.close",
        target,
        status: 1005,
        bytes: 14,
        tool: expect.stringContaining("talk"),
      },
    ]);
    expect(await host.audit.query({ type: "broker.action", call: refused.callId })).toMatchObject([
      { method: "ws.open", decision: "deny", reason: "permission_denied" },
    ]);
  });

  it("ends with its call, with its deadline, and with the plugin", async () => {
    const ends: Promise<number>[] = [];
    const server = await proper((socket) => ends.push(new Promise((done) => socket.once("close", done))));
    await load("keeper", [server.port]);
    const url = `${server.url}/feed`;
    expect(await call("keeper__keep", { url })).toMatchObject({ success: true });
    expect(await ends[0]).toBe(1001);
    expect(await call("keeper__later", {})).toMatchObject({ success: true, result: { state: 3 } });
    expect(await call("keeper__hang", { url })).toMatchObject({ success: false, code: "deadline_exceeded" });
    expect(await ends[1]).toBe(1001);
    expect(server.handshakes).toHaveLength(2);
    await host.plugins.unload(OPERATOR, "keeper");
  });
});

it("serves a library from npm as it is: the WebSocket of hono's client", async () => {
  const server = await proper((socket) => socket.on("message", (data) => socket.send(data, { binary: false })));
  const source = await home.plugin("library", {
    "plugin.yml": manifestOf(
      "library",
      [toolLine("talk")],
      `permissions: { network: [{ host: 127.0.0.1, port: ${server.port}, scheme: ws, paths: ["/feed"] }] }`,
    ),
    "package.json": JSON.stringify({ name: "library", type: "module", dependencies: { hono: "*" } }),
    "plugin.js": `import { hc } from "hono/client";
      export default { tools: { talk: ({ url }) => new Promise((done, fail) => {
        const socket = hc(url).feed.$ws({ query: { a: "1" } });
        socket.addEventListener("open", () => socket.send("as it is"));
        socket.addEventListener("message", ({ data }) => { socket.close(); done({ data, url: socket.url }); });
        socket.addEventListener("error", ({ error }) => fail(error));
      }) } };`,
  });
  const library = fileURLToPath(new URL("..", import.meta.resolve("hono")));
  await cp(library, join(source, "node_modules", "hono"), {
    recursive: true,
    filter: (path) => !/\/(?:cjs|types)$/.test(path),
  });
  await installed(host, source, {
    allowTools: ["talk"],
    scopes: [`network+loopback=ws://127.0.0.1:${server.port}/feed`],
  });
  expect(await call("library__talk", { url: `http://127.0.0.1:${server.port}` })).toMatchObject({
    success: true,
    result: { data: "as it is", url: `${server.url}/feed?a=1` },
  });
});

it("reads server-sent events within a call, reconnecting with the last id, by a grant of GET alone", async () => {
  const asked: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method ?? ""} ${String(request.headers["last-event-id"] ?? "")}`);
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.end(`retry: 1\nid: ${asked.length}\ndata: event ${asked.length}\n\n`);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const port = portOf(server.address());
  try {
    await installed(
      host,
      await home.plugin("events", {
        "plugin.yml": manifestOf(
          "events",
          [toolLine("read")],
          `permissions: { network: [{ host: 127.0.0.1, port: ${port}, scheme: http, methods: [GET], paths: ["/events"] }] }`,
        ),
        "plugin.js": `export default { tools: { read: ({ path }) => new Promise((done) => {
          const got = []; globalThis.source = new EventSource("http://127.0.0.1:${port}" + path);
          source.onmessage = ({ data }) => { got.push(data); if (got.length === 3) done({ got }); };
          source.onerror = () => { if (source.readyState === 2) done({ got, closed: true }); };
        }) } };`,
      }),
      { allowTools: ["read"], scopes: [`network+loopback=http://127.0.0.1:${port}/events,methods=GET`] },
    );
    expect(await call("events__read", { path: "/events" })).toMatchObject({
      result: { got: ["event 1", "event 2", "event 3"] },
    });
    expect(asked.slice(0, 3)).toEqual(["GET ", "GET 1", "GET 2"]);
    expect(await call("events__read", { path: "/other" })).toMatchObject({ result: { got: [], closed: true } });
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});
