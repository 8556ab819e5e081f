import { readFileSync } from "node:fs";
import { createServer as createHttps } from "node:https";
import { describe, expect, it } from "vitest";
import { unenforceableScopes } from "../../src/catalog/index.ts";
import { readManifest } from "../../src/manifest/index.ts";
import { bench, codeOf, secret } from "./support.ts";
import {
  all,
  frame,
  open,
  opening,
  type Received,
  sending,
  socketServers,
  textOf,
  wsScope,
} from "./websocket-support.ts";

const fixture = (name: string): string => readFileSync(new URL(`fixtures/${name}`, import.meta.url), "utf8");
const { proper, raw } = socketServers();
const echo = () => proper((socket) => socket.on("message", (data, binary) => socket.send(data, { binary })));

describe("WebSocket: what is granted, and nothing else", () => {
  it("opens, sends and receives text and bytes, and records both ends of it [S1-17]", async () => {
    const server = await echo();
    const probe = bench({ granted: [wsScope(server.port)] });
    const { ask, actions } = probe;
    const answer = await ask<{ socket: string; protocol: string }>(
      "ws.open",
      opening(`${server.url}/feed?token=hidden`, { protocols: ["v2.json", "v1.json"] }),
    );
    expect(answer.protocol).toBe("v2.json");
    const { socket } = answer;
    await ask("ws.send", sending(socket, "grüezi"));
    await ask("ws.send", sending(socket, Buffer.from([0, 255, 1])));
    const got: Received["messages"][number][] = [];
    while (got.length < 2) got.push(...(await ask<Received>("ws.receive", { socket })).messages);
    expect(got).toEqual([
      { binary: false, data: Buffer.from("grüezi").toString("base64") },
      { binary: true, data: Buffer.from([0, 255, 1]).toString("base64") },
    ]);
    await ask("ws.close", { socket, code: 3001, reason: "done" });
    expect((await all(probe, socket)).close).toEqual({ code: 3001, reason: "done", clean: true });
    expect(await server.ended).toEqual({ code: 3001, reason: "done" });
    const target = `${server.url}/feed`;
    expect(actions).toEqual([
      expect.objectContaining({ capability: "network", method: "ws.open", target, status: 101, callId: "call_1" }),
      expect.objectContaining({ method: "ws.close", target, status: 3001, bytes: 20, outcome: "succeeded" }),
    ]);
    expect(JSON.stringify(actions)).not.toContain("hidden");
  });

  it("writes the handshake itself: no origin, no cookie, no extension, nothing of the plugin's", async () => {
    const server = await echo();
    await open(bench({ granted: [wsScope(server.port)] }), `${server.url}/a`);
    const headers = server.handshakes[0]?.headers ?? {};
    expect(Object.keys(headers).toSorted()).toEqual([
      "connection",
      "host",
      "sec-websocket-key",
      "sec-websocket-version",
      "upgrade",
      "user-agent",
    ]);
    expect(headers).toMatchObject({ host: `127.0.0.1:${server.port}`, "user-agent": "sallyport" });
  });

  it("needs a grant of its own: one for http opens none, and one for ws fetches nothing [S1-11] [S1-17]", async () => {
    const server = await echo();
    const { url, port } = server;
    const refused = async (options: Parameters<typeof bench>[0], path = "/") =>
      codeOf(bench(options).ask("ws.open", opening(`${url}${path}`)));
    expect(await refused({})).toBe("permission_denied");
    expect(await refused({ granted: [wsScope(port, { scheme: "http" })] })).toBe("permission_denied");
    expect(await refused({ granted: [wsScope(port)], declared: [] })).toBe("permission_denied");
    expect(await refused({ granted: [], declared: [wsScope(port)] })).toBe("permission_denied");
    expect(await refused({ granted: [wsScope(port)], ceiling: [] })).toBe("permission_denied");
    expect(await refused({ granted: [wsScope(port, { paths: ["/feed"] })] }, "/other")).toBe("permission_denied");
    expect(await refused({ granted: [wsScope(port, { methods: ["POST"] })] })).toBe("permission_denied");
    expect(await codeOf(bench({ granted: [wsScope(port)] }).fetch(`http://127.0.0.1:${port}/`))).toBe(
      "permission_denied",
    );
    expect(server.handshakes).toEqual([]);
    const probe = bench({});
    await codeOf(probe.ask("ws.open", opening(`${url}/x?secret=1`)));
    expect(probe.actions).toEqual([
      expect.objectContaining({
        method: "ws.open",
        target: `${url}/x`,
        outcome: "denied",
        reason: "permission_denied",
      }),
    ]);
  });

  it.each([
    ["a user name", "ws://user@HOST/"],
    ["a line break", "ws://HOST/\r\nX: y"],
    ["a backslash", "ws:\\\\HOST\\"],
    ["an escaped slash", "ws://HOST/v1%2f..%2fadmin"],
    ["one slash", "ws:/HOST/"],
    ["an http URL", "http://HOST/"],
    ["a unix socket", "ws+unix:///var/run/docker.sock:/"],
    ["a decimal address", "ws://2130706433:PORT/"],
    ["a mapped address", "ws://[::ffff:127.0.0.1]:PORT/"],
  ])("refuses a URL with %s, before anything is compared", async (_what, url) => {
    const server = await echo();
    const { ask } = bench({ granted: [wsScope(server.port)] });
    const asked = url.replace("HOST", `127.0.0.1:${server.port}`).replace("PORT", String(server.port));
    expect(await codeOf(ask("ws.open", opening(asked)))).toBe("usage");
    expect(server.handshakes).toEqual([]);
  });

  it.each([
    ["a line break", ["a\r\nCookie: x"]],
    ["a comma", ["a,b"]],
    ["a space", ["a b"]],
    ["nothing", [""]],
    ["one twice", ["a", "a"]],
    ["too many", Array.from({ length: 17 }, (_, index) => `p${index}`)],
  ])("refuses subprotocols with %s", async (_what, protocols) => {
    const server = await echo();
    const { ask } = bench({ granted: [wsScope(server.port)] });
    expect(await codeOf(ask("ws.open", opening(server.url, { protocols })))).toBe("usage");
    expect(server.handshakes).toEqual([]);
  });
});

it("is refused at load to an MCP server, whose way out is the proxy, and to no other plugin", () => {
  const scope = wsScope(443, { host: "api.test", scheme: "wss" });
  const { manifest } = readManifest({
    name: "plugin.yml",
    bytes: Buffer.from(
      "manifest_version: 1\nid: probe\nname: probe\nversion: 1.0.0\ndescription: x\nlicense: MIT\nentry: plugin.js\ncontributes: {}\npermissions: {}\nconfig_schema: {}\n",
    ),
  });
  expect(unenforceableScopes(manifest, [scope])).toEqual([]);
  const server = { ...manifest, mcpServers: [{ name: "probe", program: "server.py" }] };
  expect(unenforceableScopes(server, [scope])).toEqual(["WebSocket connections for an MCP server"]);
});

describe("WebSocket: addresses and TLS", () => {
  it.each([
    [["127.0.0.1"]],
    [["10.0.0.1"]],
    [["169.254.169.254"]],
    [["::1"]],
    [["::ffff:127.0.0.1"]],
    [["8.8.8.8", "127.0.0.1"]],
  ])("refuses a granted name that resolves to %j [S1-17]", async (addresses) => {
    const { ask } = bench({
      granted: [wsScope(80, { host: "api.test", loopback: false })],
      resolve: async () => addresses,
    });
    expect(await codeOf(ask("ws.open", opening("ws://api.test/")))).toBe("address_refused");
  });

  it("resolves a name once and connects to the address that was checked", async () => {
    const server = await echo();
    const answers = ["127.0.0.1", "169.254.169.254"];
    let asked = 0;
    const probe = bench({
      granted: [wsScope(server.port, { host: "api.test" })],
      resolve: async () => [answers[asked++] ?? ""],
    });
    await open(probe, `ws://api.test:${server.port}/`);
    expect(asked).toBe(1);
    expect(server.handshakes[0]?.headers.host).toBe(`api.test:${server.port}`);
    // The second answer is another one, and is judged anew.
    expect(await codeOf(probe.ask("ws.open", opening(`ws://api.test:${server.port}/`)))).toBe("address_refused");
  });

  it("never reaches a port of this host, whatever was granted", async () => {
    const server = await echo();
    const { ask } = bench({ granted: [wsScope(server.port)], ownPorts: () => [server.port] });
    expect(await codeOf(ask("ws.open", opening(server.url)))).toBe("address_refused");
    expect(server.handshakes).toEqual([]);
  });

  it("checks the certificate of wss against the granted name, whatever the environment says", async () => {
    const server = await proper(
      (socket) => socket.on("message", (data) => socket.send(data)),
      createHttps({ key: fixture("server.key"), cert: fixture("server.pem") }),
    );
    const options = (host: string, trusted: boolean) => ({
      granted: [wsScope(server.port, { scheme: "wss", host })],
      resolve: async () => ["127.0.0.1"],
      ...(trusted ? { certificateAuthorities: [fixture("ca.pem")] } : {}),
    });
    const url = (host: string) => opening(`wss://${host}:${server.port}/`);
    const good = bench(options("api.test", true));
    const { socket } = await good.ask<{ socket: string }>("ws.open", url("api.test"));
    await good.ask("ws.send", sending(socket, "sealed"));
    expect(textOf(await good.ask<Received>("ws.receive", { socket }))).toEqual(["sealed"]);
    expect(await codeOf(bench(options("other.test", true)).ask("ws.open", url("other.test")))).toBe("network_failed");
    const before = process.env["NODE_TLS_REJECT_UNAUTHORIZED"];
    process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0";
    try {
      expect(await codeOf(bench(options("api.test", false)).ask("ws.open", url("api.test")))).toBe("network_failed");
    } finally {
      if (before === undefined) delete process.env["NODE_TLS_REJECT_UNAUTHORIZED"];
      else process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = before;
    }
    expect(server.handshakes).toHaveLength(1);
  });
});

describe("WebSocket: secrets", () => {
  const KEY = "s3cr3t-value-0123456789";
  const vaultFor = (origin: string) => ({ KEY: { value: KEY, origins: [origin] } });

  it("writes a declared secret into the handshake to its origin, and takes it out of what comes back [S1-17]", async () => {
    const server = await proper((socket, { headers, url }) => {
      socket.send(`you are ${headers.authorization ?? ""} at ${url ?? ""}`);
      socket.send(Buffer.from(`bytes ${KEY} bytes`));
      socket.close(4000, `bye ${KEY}`);
    });
    const origin = `http://127.0.0.1:${server.port}`;
    const probe = bench({
      granted: [wsScope(server.port), secret("KEY", origin, "header:authorization", "Bearer {}")],
      vault: vaultFor(origin),
    });
    const socket = await open(probe, `${server.url}/`, { secrets: ["KEY"] });
    expect(server.handshakes[0]?.headers.authorization).toBe(`Bearer ${KEY}`);
    const { messages, close } = await all(probe, socket);
    const seen = `${textOf({ messages, close }).join("|")}|${close?.reason ?? ""}`;
    expect(seen).not.toContain(KEY);
    expect(seen).toContain("you are Bearer ");
    expect(probe.actions[0]).toMatchObject({ method: "ws.open", secrets: ["KEY"] });
    expect(JSON.stringify(probe.actions)).not.toContain(KEY);
  });

  it("is in the record also when the server took it and opened nothing", async () => {
    let read = "";
    const server = await raw(
      (socket) => void socket.end(),
      (head) => {
        read = head;
        return "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n";
      },
    );
    const origin = `http://127.0.0.1:${server.port}`;
    const probe = bench({
      granted: [wsScope(server.port), secret("KEY", origin, "header:x-key")],
      vault: vaultFor(origin),
    });
    expect(await codeOf(probe.ask("ws.open", opening(`${server.url}/`, { secrets: ["KEY"] })))).toBe("network_failed");
    expect(read).toContain(KEY);
    expect(probe.actions).toEqual([
      expect.objectContaining({ method: "ws.open", outcome: "failed", secrets: ["KEY"] }),
    ]);
  });

  it("costs no more for thousands of small messages at once", async () => {
    const value = "aB3+".repeat(400);
    const server = await raw((socket) => {
      socket.write(
        Buffer.concat([...Array.from({ length: 10_000 }, () => frame(1, Buffer.alloc(0))), frame(8, Buffer.alloc(0))]),
      );
    });
    const origin = `http://127.0.0.1:${server.port}`;
    const probe = bench({
      granted: [wsScope(server.port), secret("KEY", origin, "header:x-key")],
      vault: { KEY: { value, origins: [origin] } },
    });
    // Making a search for each message would take twenty seconds.
    const { messages } = await all(probe, await open(probe, `${server.url}/`, { secrets: ["KEY"] }));
    expect(messages).toHaveLength(10_000);
  });

  it("puts it where a placeholder stands in the declared place of the URL", async () => {
    const server = await echo();
    const origin = `http://127.0.0.1:${server.port}`;
    const probe = bench({
      granted: [wsScope(server.port), secret("KEY", origin, "query:key")],
      vault: vaultFor(origin),
    });
    await open(probe, `${server.url}/?key=${probe.session.secretsView["KEY"] ?? ""}&a=1`);
    expect(server.handshakes[0]?.url).toBe(`/?a=1&key=${KEY}`);
  });

  it("refuses a placeholder anywhere else: in path, query, subprotocol, message or reason", async () => {
    const server = await echo();
    const origin = `http://127.0.0.1:${server.port}`;
    const make = () =>
      bench({
        granted: [wsScope(server.port), secret("KEY", origin, "header:x-key")],
        vault: vaultFor(origin),
      });
    const probe = make();
    const held = probe.session.secretsView["KEY"] ?? "";
    expect(held).toMatch(/^sallyport-secret-KEY-/);
    for (const params of [
      opening(`${server.url}/${held}`),
      opening(`${server.url}/?q=${held}`),
      opening(server.url, { protocols: ["chat", held] }),
    ])
      expect(await codeOf(probe.ask("ws.open", params))).toBe("secret_misuse");
    expect(server.handshakes).toEqual([]);
    const socket = await open(probe, server.url);
    expect(await codeOf(probe.ask("ws.close", { socket, code: null, reason: held }))).toBe("secret_misuse");
    expect(await codeOf(probe.ask("ws.send", sending(socket, `{"auth":"${held}"}`)))).toBe("secret_misuse");
    const second = await open(probe, server.url);
    expect(await codeOf(probe.ask("ws.send", sending(second, Buffer.from(`..${held}..`))))).toBe("secret_misuse");
    expect(probe.actions.filter(({ method, outcome }) => method === "ws.close" && outcome === "denied")).toHaveLength(
      2,
    );
  });

  it("sends it to no other origin, and not where the vault does not bind it", async () => {
    const server = await echo();
    const origin = `http://127.0.0.1:${server.port}`;
    const granted = [wsScope(server.port), secret("KEY", "http://127.0.0.1:1", "header:x-key")];
    const other = bench({ granted, vault: vaultFor("http://127.0.0.1:1") });
    expect(await codeOf(other.ask("ws.open", opening(server.url, { secrets: ["KEY"] })))).toBe("secret_misuse");
    const unbound = bench({
      granted: [wsScope(server.port), secret("KEY", origin, "header:x-key")],
      vault: vaultFor("http://127.0.0.1:1"),
    });
    expect(await codeOf(unbound.ask("ws.open", opening(server.url, { secrets: ["KEY"] })))).toBe("secret_misuse");
    expect(server.handshakes).toEqual([]);
  });
});
