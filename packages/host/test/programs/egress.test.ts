import { existsSync, statSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { sweepEgressPlaces } from "../../src/broker/index.ts";
import type { NetworkScope } from "../../src/capability/index.ts";
import { bench, type Bench, type BenchOptions, network, portOf, servedByTest } from "../broker/support.ts";

const serve = servedByTest();
const opened: { end(): void }[] = [];
afterEach(() => {
  for (const each of opened.splice(0)) each.end();
});

interface Door extends Bench {
  readonly path: string;
  /** Sends raw text on one connection and gives all that comes back until it is closed. */
  say(text: string, more?: (socket: Socket) => void): Promise<string>;
}

async function open(options: BenchOptions): Promise<Door> {
  const made = bench(options);
  const { egress } = made.session;
  if (egress === undefined) throw new Error("no way out");
  const path = await egress.open(null);
  opened.push({ end: () => made.session.close() });
  egress.begin(made.context);
  return {
    ...made,
    path,
    say: (text, more) =>
      new Promise((resolve) => {
        let answer = "";
        const socket = connect(path, () => {
          socket.write(text);
          more?.(socket);
        });
        socket.on("data", (chunk) => (answer += chunk.toString("latin1")));
        socket.on("error", () => undefined).on("close", () => resolve(answer));
      }),
  };
}

/** A connection is audited when both of its ends are closed, which may be after the program saw the end. */
async function audited(actions: readonly unknown[], count: number): Promise<void> {
  for (let look = 0; look < 500 && actions.length < count; look++)
    await new Promise((resolve) => setTimeout(resolve, 10));
}

/** A server that speaks no HTTP: says hello to whoever sends something, and keeps what it got. */
async function rawServer(): Promise<{ port: number; got: string[]; connections: () => number }> {
  const got: string[] = [];
  let connections = 0;
  const server: Server = createServer((socket) => {
    connections++;
    socket.on("data", (chunk) => {
      got.push(chunk.toString("latin1"));
      socket.end("hello");
    });
    socket.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  opened.push({ end: () => server.close() });
  return { port: portOf(server.address()), got, connections: () => connections };
}

const TLS = "\u0016\u0003\u0001";
const connectTo = (authority: string, more = ""): string =>
  `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${more}\r\n`;
const scopes = (port: number, extra: Partial<NetworkScope> = {}): NetworkScope[] => [network(port, extra)];

describe("a program's way out: tunnels", () => {
  it("carries bytes to a granted host and port, and audits host, port and bytes", async () => {
    const server = await rawServer();
    const { say, actions } = await open({ granted: scopes(server.port, { scheme: "https" }) });
    const answer = await say(connectTo(`127.0.0.1:${server.port}`) + TLS);
    expect(answer).toBe("HTTP/1.1 200 Connection Established\r\n\r\nhello");
    expect(server.got).toEqual([TLS]);
    await audited(actions, 1);
    expect(actions).toMatchObject([
      {
        capability: "network",
        method: "CONNECT",
        target: `127.0.0.1:${server.port}`,
        bytes: 8,
        outcome: "succeeded",
        callId: "call_1",
        agent: "tester",
      },
    ]);
  });

  it("refuses what no grant covers, before anything is resolved or connected", async () => {
    const server = await rawServer();
    const resolved: string[] = [];
    const { say, actions } = await open({
      granted: [{ ...network(443, { host: "api.example.com", scheme: "https" }) }],
      resolve: async (host) => {
        resolved.push(host);
        return ["127.0.0.1"];
      },
    });
    for (const authority of [
      `127.0.0.1:${server.port}`,
      "api.example.com:80",
      "api.example.com:8443",
      "evil.example.com:443",
      "api.example.com.evil.net:443",
      "169.254.169.254:80",
      "localhost:443",
    ]) {
      expect(await say(connectTo(authority))).toMatch(/^HTTP\/1.1 403 /);
    }
    expect(resolved).toEqual([]);
    expect(server.connections()).toBe(0);
    expect(actions.map(({ outcome, reason }) => [outcome, reason])).toEqual(
      Array.from({ length: 7 }, () => ["denied", "permission_denied"]),
    );
  });

  it("refuses a tunnel where the grant says less than the whole host: it could not be enforced", async () => {
    const server = await rawServer();
    const answers: string[] = [];
    for (const extra of [{ methods: ["GET"] }, { methods: ["CONNECT"] }, { paths: ["/a/**"] }, {}]) {
      const { say } = await open({
        granted: [network(443, { host: "api.example.com", scheme: "https", loopback: false, ...extra })],
        resolve: async () => ["93.184.216.34"],
        dial: () => connect(server.port, "127.0.0.1"),
      });
      answers.push((await say(connectTo("api.example.com:443") + TLS)).slice(0, 12));
    }
    expect(answers).toEqual(["HTTP/1.1 403", "HTTP/1.1 403", "HTTP/1.1 403", "HTTP/1.1 200"]);
    expect(server.connections()).toBe(1);
  });

  it("is stopped by declaration and ceiling as well", async () => {
    const server = await rawServer();
    const granted = scopes(server.port, { scheme: "https" });
    for (const more of [
      { declared: [] },
      { ceiling: [] },
      { ceiling: scopes(server.port, { scheme: "https", methods: ["GET"] }) },
    ]) {
      const { say } = await open({ granted, ...more });
      expect(await say(connectTo(`127.0.0.1:${server.port}`) + TLS)).toMatch(/^HTTP\/1.1 403 /);
    }
    expect(server.connections()).toBe(0);
  });

  it.each([
    ["loopback", "127.0.0.1"],
    ["private", "10.0.0.8"],
    ["metadata", "169.254.169.254"],
    ["mapped", "::ffff:127.0.0.1"],
    ["unique local", "fc00::1"],
  ])("refuses a granted name that resolves to a %s address, also among others", async (_kind, address) => {
    const dialled: string[] = [];
    const { say, actions } = await open({
      granted: [network(443, { host: "api.example.com", scheme: "https", loopback: false })],
      resolve: async () => ["93.184.216.34", address],
      dial: (to, port) => {
        dialled.push(to);
        return connect(port, to);
      },
    });
    expect(await say(connectTo("api.example.com:443") + TLS)).toMatch(/^HTTP\/1.1 403 /);
    expect(dialled).toEqual([]);
    expect(actions).toMatchObject([{ outcome: "denied", reason: "address_refused" }]);
  });

  it("connects to the address that was checked, and resolves once (rebinding)", async () => {
    const server = await rawServer();
    let asked = 0;
    const dialled: string[] = [];
    const { say } = await open({
      granted: [network(443, { host: "api.example.com", scheme: "https", loopback: false })],
      resolve: async () => (asked++ === 0 ? ["93.184.216.34"] : ["127.0.0.1"]),
      dial: (to) => {
        dialled.push(to);
        return connect(server.port, "127.0.0.1");
      },
    });
    expect(await say(connectTo("api.example.com:443") + TLS)).toContain("200 Connection Established");
    expect([asked, dialled]).toEqual([1, ["93.184.216.34"]]);
  });

  it("lets nothing but TLS through a grant that says https", async () => {
    const server = await rawServer();
    const { say, actions } = await open({ granted: scopes(server.port, { scheme: "https" }) });
    const answer = await say(`${connectTo(`127.0.0.1:${server.port}`)}GET / HTTP/1.1\r\n\r\n`);
    expect(answer).not.toContain("hello");
    expect(server.got).toEqual([]);
    await audited(actions, 1);
    expect(actions).toMatchObject([{ outcome: "denied", reason: "permission_denied" }]);
  });

  it.each([
    "127.0.0.1",
    "127.0.0.1:0",
    "127.0.0.1:99999",
    "user@127.0.0.1:443",
    "127.0.0.1:443/x",
    "127.1:443",
    "2130706433:443",
    "0x7f.1:443",
    "%31.example.com:443",
    "a_b\u0000c:443",
    "[::ffff:127.0.0.1]:443",
    "api.example.com%00.evil.net:443",
  ])("refuses the authority %j", async (authority) => {
    const { say } = await open({
      granted: [network(443, { host: "127.0.0.1", scheme: "https", loopback: true })],
      dial: () => {
        throw new Error("dialled");
      },
    });
    expect(await say(connectTo(authority) + TLS)).not.toContain("200 Connection");
  });

  it("refuses a Host header of another host", async () => {
    const { say, actions } = await open({ granted: scopes(443, { scheme: "https" }) });
    expect(await say("CONNECT 127.0.0.1:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n")).toMatch(/^HTTP\/1.1 400 /);
    expect(actions).toMatchObject([{ outcome: "failed", reason: "usage" }]);
  });
});

describe("a program's way out: plain HTTP", () => {
  const ask = (url: string, host: string, more = "", method = "GET"): string =>
    `${method} ${url} HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`;

  it("forwards an absolute-form request whose method and path are granted; the audit holds no query", async () => {
    const server = await serve((_request, response) => response.end("answer"));
    const { say, actions } = await open({ granted: scopes(server.port, { methods: ["GET"], paths: ["/v1/**"] }) });
    const host = `127.0.0.1:${server.port}`;
    const answer = await say(
      ask(`${server.origin}/v1/a?key=hidden`, host, "X-Own: 1\r\nCookie: a=b\r\nProxy-Authorization: x\r\n"),
    );
    expect(answer).toMatch(/^HTTP\/1.1 200 OK\r\n/);
    expect(answer).toMatch(/answer/);
    expect(server.requests).toMatchObject([
      { method: "GET", url: "/v1/a?key=hidden", headers: { "x-own": "1", host } },
    ]);
    expect(server.requests[0]?.headers).not.toHaveProperty("cookie");
    expect(server.requests[0]?.headers).not.toHaveProperty("proxy-authorization");
    expect(actions).toMatchObject([
      { method: "GET", target: `${server.origin}/v1/a`, status: 200, bytes: 6, outcome: "succeeded", callId: "call_1" },
    ]);
    expect(JSON.stringify(actions)).not.toContain("hidden");
  });

  it("refuses other methods, paths and hosts, and whatever two readers could take for two things", async () => {
    const server = await serve((_request, response) => response.end("answer"));
    const host = `127.0.0.1:${server.port}`;
    const { say } = await open({ granted: scopes(server.port, { methods: ["GET", "POST"], paths: ["/v1/**"] }) });
    for (const text of [
      ask(`${server.origin}/v1/a`, host, "", "DELETE"),
      ask(`${server.origin}/v2/a`, host),
      ask(`${server.origin}/v1/..%2fv2`, host),
      ask(`${server.origin}/v1/../v2`, host),
      ask(`http://localhost:${server.port}/v1/a`, `localhost:${server.port}`),
      ask("/v1/a", host),
      ask(`https://${host}/v1/a`, host),
      ask(`${server.origin}/v1/a`, "evil.example"),
      ask(`${server.origin}/v1/a`, host, `Host: ${host}\r\n`),
      ask(`http://user:pass@${host}/v1/a`, host),
      ask(`${server.origin}/v1/a`, host, "X-HTTP-Method-Override: DELETE\r\n"),
      ask(`${server.origin}/v1/a`, host, "", "TRACE"),
      // request smuggling: two lengths, a length and chunks, an obsolete fold, a bare CR, a space before the colon
      `${ask(`${server.origin}/v1/a`, host, "Content-Length: 5\r\nContent-Length: 6\r\n", "POST")}hello`,
      `${ask(`${server.origin}/v1/a`, host, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "POST")}0\r\n\r\n`,
      `${ask(`${server.origin}/v1/a`, host, "Transfer-Encoding: chunked, identity\r\n", "POST")}0\r\n\r\n`,
      ask(`${server.origin}/v1/a`, host, "X-A: b\r\n folded\r\n"),
      ask(`${server.origin}/v1/a`, host, "X-A: b\rX-B: c\r\n"),
      ask(`${server.origin}/v1/a`, host, "X-A : b\r\n"),
      ask(`${server.origin}/v1/a`, host, `X-Big: ${"a".repeat(20_000)}\r\n`),
    ]) {
      expect([text, await say(text)]).not.toEqual([text, expect.stringMatching(/^HTTP\/1.1 2/)]);
    }
    expect(server.requests).toEqual([]);
  });

  it("serves one request a connection, so that nothing can hide behind it", async () => {
    const server = await serve((_request, response) => response.end("answer"));
    const host = `127.0.0.1:${server.port}`;
    const { say } = await open({ granted: scopes(server.port, { paths: ["/v1/**"] }) });
    const answer = await say(ask(`${server.origin}/v1/a`, host) + ask(`${server.origin}/v1/b`, host));
    expect(answer.match(/HTTP\/1.1 200/g)).toHaveLength(1);
    expect(server.requests.map(({ url }) => url)).toEqual(["/v1/a"]);
  });

  it("follows no redirect: the answer goes back, and the next place is a request of its own", async () => {
    const server = await serve((_request, response) => {
      response.writeHead(302, { location: "http://169.254.169.254/latest" }).end();
    });
    const host = `127.0.0.1:${server.port}`;
    const { say } = await open({ granted: scopes(server.port) });
    expect(await say(ask(`${server.origin}/`, host))).toMatch(/^HTTP\/1.1 302 /);
    expect(await say(ask("http://169.254.169.254/latest", "169.254.169.254"))).toMatch(/^HTTP\/1.1 403 /);
    expect(server.requests).toHaveLength(1);
  });

  it("sends a body on, and cuts one that is too large", async () => {
    const server = await serve((_request, response, body) => response.end(String(body.length)));
    const host = `127.0.0.1:${server.port}`;
    const { say } = await open({ granted: scopes(server.port), networkLimits: { requestBytes: 10 } });
    const post = (body: string): string =>
      ask(`${server.origin}/`, host, `Content-Length: ${body.length}\r\n`, "POST") + body;
    expect(await say(post("0123456789"))).toMatch(/10(?:\r\n0\r\n\r\n)?$/);
    expect(await say(post("0123456789x"))).not.toMatch(/^HTTP\/1.1 2/);
  });
});

describe("a program's way out: when", () => {
  it("serves nothing outside a call, and cuts everything when the last call ends", async () => {
    const server = await rawServer();
    const { say, session, actions } = await open({ granted: scopes(server.port, { scheme: "http" }) });
    let known: Promise<number> | undefined;
    const cut = say(connectTo(`127.0.0.1:${server.port}`), (socket) => {
      socket.once("data", () => {
        session.egress?.end("call_1");
        known = Promise.resolve()
          .then(() => undefined)
          .then(() => actions.length);
      });
    });
    expect(await cut).toBe("HTTP/1.1 200 Connection Established\r\n\r\n");
    // Before the call itself has ended: an answer takes longer on its way.
    expect(await known).toBe(1);
    expect(await say(connectTo(`127.0.0.1:${server.port}`))).toMatch(/^HTTP\/1.1 403 /);
    await audited(actions, 2);
    expect(actions.map(({ outcome, reason, callId }) => [outcome, reason, callId])).toEqual([
      // It was let through, whatever cut it.
      ["failed", "cancelled", "call_1"],
      ["denied", "permission_denied", null],
    ]);
  });

  it("connects only once the call's intent is durable", async () => {
    const server = await rawServer();
    let durable = (): void => undefined;
    const intent = new Promise<void>((resolve) => (durable = resolve));
    const { say } = await open({ granted: scopes(server.port), intent });
    const answer = say(`${connectTo(`127.0.0.1:${server.port}`)}x`);
    // Others come and go meanwhile.
    const other = await rawServer();
    const free = await open({ granted: scopes(other.port) });
    for (let each = 0; each < 5; each++) await free.say(`${connectTo(`127.0.0.1:${other.port}`)}x`);
    expect([other.connections(), server.connections()]).toEqual([5, 0]);
    durable();
    expect(await answer).toContain("hello");
  });

  it("says whose a connection is only when there is no doubt", async () => {
    const server = await rawServer();
    const { say, session, context, actions } = await open({ granted: scopes(server.port) });
    session.egress?.begin({ ...context, callId: "call_2" });
    await say(`${connectTo(`127.0.0.1:${server.port}`)}x`);
    await audited(actions, 1);
    expect(actions).toMatchObject([{ callId: null, outcome: "succeeded" }]);
  });

  it("closes a connection that does not say what it wants, and takes no more than its number", async () => {
    const { path, session } = await open({ granted: scopes(80) });
    const results = await Promise.all(
      Array.from(
        { length: 40 },
        () =>
          new Promise<string>((resolve) => {
            const socket = connect(path, () => socket.write("GET http://127.0.0.1/ HTTP/1.1\r\nHost:"));
            socket.on("error", () => resolve("refused")).on("close", () => resolve("refused"));
            socket.setTimeout(1_000, () => {
              socket.destroy();
              resolve("waits");
            });
          }),
      ),
    );
    expect(results.filter((result) => result === "waits").length).toBeLessThanOrEqual(32);
    expect(results).toContain("refused");
    session.close();
  });

  it("cuts a connection whose headers do not come", async () => {
    const server = await rawServer();
    const { say, actions } = await open({ granted: scopes(server.port), egressLimits: { headersMs: 100 } });
    const slow = "GET http://127.0.0.1/ HTTP/1.1\r\nHost:";
    const answers = await Promise.all([
      say(slow),
      say(slow, (socket) => {
        const drip = setInterval(() => socket.write("a"), 20);
        socket.once("close", () => clearInterval(drip));
      }),
    ]);
    expect(answers).toEqual(["", ""]);
    expect([server.connections(), actions]).toEqual([0, []]);
  });

  it("is swept where its host was killed, by the next host of the home and no other", async () => {
    const left = await open({ granted: scopes(80), home: "/nonexistent/left" });
    const other = await open({ granted: scopes(80) });
    await sweepEgressPlaces("/nonexistent/left");
    expect([existsSync(dirname(dirname(left.path))), existsSync(other.path)]).toEqual([false, true]);
  });

  it("is a socket in a folder that only its user can enter, and leaves nothing behind", async () => {
    const { path, session } = await open({ granted: scopes(80) });
    expect(statSync(dirname(path)).mode & 0o777).toBe(0o700);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    session.close();
    const made = dirname(dirname(path));
    for (let look = 0; look < 500 && existsSync(made); look++) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(existsSync(made)).toBe(false);
  });

  it("has no door at all without a network grant", () => {
    expect(bench({ granted: [] }).session.egress).toBeUndefined();
  });
});
