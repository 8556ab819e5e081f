import { createServer as createRaw } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import type { Host } from "../../src/host-api.ts";
import { portOf, servedByTest } from "../broker/support.ts";
import { AGENT, makeHome, OPERATOR, repositoryPlugin, type TestHome } from "../support/home.ts";
import { readFile } from "node:fs/promises";
import { lacking } from "./support.ts";

const serve = servedByTest();
const homes: TestHome[] = [];
afterEach(async () => {
  for (const home of homes.splice(0)) await home.remove();
});

/** What a library that knows nothing of us does with the network, and what an attacker tries. */
const MAIN = `
import socket, ssl, urllib.request, urllib.error, os, json
import sallyport_v1

def attempt(action):
    try:
        return action()
    except urllib.error.HTTPError as error:
        return "http %d" % error.code
    except BaseException as error:
        return type(error).__name__ + ": " + str(error)

def get(arguments, call):
    return attempt(lambda: urllib.request.urlopen(arguments["url"], timeout=10).read().decode())

def direct(arguments, call):
    socket.setdefaulttimeout(3)
    def dial(family, address):
        connection = socket.socket(family, socket.SOCK_STREAM)
        connection.connect(address)
        return "connected"
    return {name: attempt(lambda target=target: dial(*target)) for name, target in {
        "server": (socket.AF_INET, ("127.0.0.1", arguments["port"])),
        "gateway": (socket.AF_INET, ("10.0.0.1", 80)),
        "public": (socket.AF_INET, ("1.1.1.1", 443)),
        "metadata": (socket.AF_INET, ("169.254.169.254", 80)),
        "v6": (socket.AF_INET6, ("::1", arguments["port"])),
        "unix": (socket.AF_UNIX, "/rt/proxy/proxy"),
        "abstract": (socket.AF_UNIX, "\\0sallyport"),
    }.items()} | {
        "udp": attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM) and "made"),
        "listen": attempt(lambda: socket.create_server(("127.0.0.1", 0)) and "listens"),
        "names": attempt(lambda: socket.getaddrinfo("example.com", 443) and "resolved"),
        "environment": {key: value for key, value in os.environ.items() if "proxy" in key.lower()},
    }

def raw(arguments, call):
    connection = socket.create_connection(("127.0.0.1", 3128), 10)
    connection.sendall(arguments["text"].encode())
    answer = b""
    while True:
        part = attempt(lambda: connection.recv(65536))
        if not isinstance(part, bytes) or not part:
            break
        answer += part
    return answer.decode()

def brokered(arguments, call):
    status, body = call.fetch(arguments["url"])
    return {"status": status, "body": body.decode()}

sallyport_v1.serve({"get": get, "direct": direct, "raw": raw, "brokered": brokered})
`;

const note = lacking("namespace", "python");

describe(`a program's network, from inside${note === "" ? "" : ` (${note})`}`, () => {
  async function start(permissions: object[], scopes: string[]): Promise<Host> {
    const home = await makeHome(
      "plugins: { enabled: true }\nisolation: { driver: namespace }\npolicy: { defaults: { read: allow, external: allow } }\n",
    );
    homes.push(home);
    const tool = (name: string) => ({ name, description: name, effect: "read", input_schema: { type: "object" } });
    const source = await home.plugin("netprobe", {
      "plugin.json": JSON.stringify({
        manifest_version: 1,
        id: "netprobe",
        name: "netprobe",
        version: "1.0.0",
        description: "d",
        entry: "main.py",
        interpreter: "python",
        contributes: { tools: ["get", "direct", "raw", "brokered"].map(tool) },
        permissions: { network: permissions },
        config_schema: { type: "object" },
      }),
      "main.py": MAIN,
      "sallyport_v1.py": await readFile(`${repositoryPlugin("word-tally")}/sallyport_v1.py`, "utf8"),
    });
    const host = await home.open();
    await host.plugins.install(OPERATOR, { source });
    await host.plugins.approve(OPERATOR, "netprobe", { scopes });
    await host.plugins.load(OPERATOR, "netprobe");
    return host;
  }
  const call = async (host: Host, tool: string, input: object) => {
    const answer = await host.invoke(AGENT, { tool: `netprobe__${tool}`, input });
    return answer.success ? answer.result : answer;
  };

  it.skipIf(note !== "")("reaches a granted server through the proxy alone, and nothing else in any way", async () => {
    const server = await serve((_request, response) => response.end("hello"));
    const other = await serve((_request, response) => response.end("other"));
    const host = await start(
      [{ host: "127.0.0.1", port: server.port, scheme: "http" }],
      [`network+loopback=http://127.0.0.1:${server.port}/**`],
    );
    const shown = (await host.plugins.info("netprobe")).permissions.find(({ capability }) => capability === "network");
    expect(shown?.enforced).toEqual({
      by: expect.stringMatching(/^the only way out of the process is the host's proxy/),
    });
    expect(await call(host, "get", { url: `${server.origin}/a?b=c` })).toBe("hello");
    expect(await call(host, "brokered", { url: `${server.origin}/b` })).toEqual({ status: 200, body: "hello" });
    for (const url of [
      `${other.origin}/`,
      "http://169.254.169.254/latest",
      "http://localhost:1/",
      `https://127.0.0.1:${other.port}/`,
    ])
      expect([url, await call(host, "get", { url })]).toEqual([url, expect.stringMatching(/403/)]);
    const direct = await call(host, "direct", { port: server.port });
    expect(direct).toMatchObject({
      server: expect.stringMatching(/^ConnectionRefusedError/),
      gateway: expect.stringMatching(/^OSError.*unreachable/),
      public: expect.stringMatching(/^OSError.*unreachable/),
      metadata: expect.stringMatching(/^OSError.*unreachable/),
      v6: expect.stringMatching(/^PermissionError/),
      unix: expect.stringMatching(/^PermissionError/),
      abstract: expect.stringMatching(/^PermissionError/),
      udp: expect.stringMatching(/^PermissionError/),
      listen: expect.stringMatching(/Error/),
      names: expect.stringMatching(/^gaierror/),
    });
    expect(other.requests).toEqual([]);
    const actions = await host.audit.query({ plugin: "netprobe", type: "broker.action", limit: 50 });
    const reached = actions.filter(({ outcome }) => outcome === "succeeded");
    expect(reached.map(({ method, target, call_id: id }) => [method, target, typeof id])).toEqual(
      expect.arrayContaining([
        ["GET", `${server.origin}/a`, "string"],
        ["GET", `${server.origin}/b`, "string"],
      ]),
    );
    expect(JSON.stringify(actions)).not.toContain("b=c");
    expect(actions.filter(({ decision }) => decision === "deny")).toHaveLength(4);
  });

  it.skipIf(note !== "")("tunnels bytes to a granted whole host, and cuts the tunnel with the call", async () => {
    const server = createRaw((socket) => socket.on("data", () => socket.end("pong")).on("error", () => undefined));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const port = portOf(server.address());
    try {
      const host = await start(
        [{ host: "127.0.0.1", port, scheme: "http" }],
        [`network+loopback=http://127.0.0.1:${port}/**`],
      );
      const connect = `CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`;
      expect(await call(host, "raw", { text: `${connect}ping` })).toMatch(/^HTTP\/1.1 200 .*pong$/s);
      expect(await call(host, "raw", { text: connect.replaceAll(String(port), "1") })).toMatch(/^HTTP\/1.1 403 /);
    } finally {
      server.close();
    }
  });

  it.skipIf(note !== "")("has neither proxy nor sockets without a network grant", async () => {
    const host = await start([], []);
    const direct = await call(host, "direct", { port: 1 });
    expect(direct).toMatchObject({
      server: expect.stringMatching(/^OSError: \[Errno 38\]/),
      unix: expect.stringMatching(/^OSError: \[Errno 38\]/),
      environment: {},
    });
  });
});
