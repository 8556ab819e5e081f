import { mkdir, readFile, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, describe, expect, it, onTestFinished } from "vitest";
import { narrowed } from "../../src/approval/index.ts";
import { createReach, narrowReach } from "../../src/broker/reach.ts";
import {
  covers,
  type FilesystemScope,
  type NetworkScope,
  type Scope,
  type Wish,
  withinScope,
} from "../../src/capability/index.ts";
import { bench, codeOf, network, serve, temporaryDirectory, type TestServer } from "../broker/support.ts";

const servers: TestServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});
const server = async (location?: string): Promise<TestServer> => {
  const made = await serve((_request, response) => {
    if (location === undefined) response.end("ok");
    else response.writeHead(302, { location }).end();
  });
  servers.push(made);
  return made;
};

describe("a call that an operator limited", () => {
  it("reaches only the hosts named, also over a redirect, and the grant stays what it is for other calls", async () => {
    const [named, other] = [await server(), await server()];
    const leading = await server(`http://127.0.0.1:${other.port}/`);
    const granted = [named, other, leading].map(({ port }) => network(port));
    const free = bench({ granted });
    expect((await free.fetch(`http://127.0.0.1:${other.port}/`)).status).toBe(200);
    const within = narrowed(granted, [`127.0.0.1:${named.port}`, `127.0.0.1:${leading.port}`], []);
    const limited = bench({ granted, within });
    expect((await limited.fetch(`http://127.0.0.1:${named.port}/`)).status).toBe(200);
    expect(await codeOf(limited.fetch(`http://127.0.0.1:${other.port}/`))).toBe("permission_denied");
    expect(await codeOf(limited.fetch(`http://127.0.0.1:${leading.port}/`))).toBe("permission_denied");
    expect(other.requests).toHaveLength(1);
  });

  it("opens no WebSocket elsewhere", async () => {
    const other = await server();
    const sockets: NetworkScope = network(other.port, { scheme: "ws" });
    const granted = [sockets, network(1)];
    const limited = bench({ granted, within: narrowed(granted, ["127.0.0.1:1"], []) });
    const open = { url: `ws://127.0.0.1:${other.port}/`, protocols: [], secrets: [] };
    expect(await codeOf(limited.ask("ws.open", open))).toBe("permission_denied");
    expect(other.requests).toEqual([]);
  });

  it("is no way out for a program either: neither a tunnel nor plain HTTP", async () => {
    const other = await server();
    const granted = [network(other.port), network(1)];
    const limited = bench({ granted, within: narrowed(granted, ["127.0.0.1:1"], []) });
    const { egress } = limited.session;
    const path = (await egress?.open(null)) ?? "";
    onTestFinished(() => limited.session.close());
    egress?.begin(limited.context);
    const say = (text: string): Promise<string> =>
      new Promise((resolve) => {
        let answer = "";
        const socket = connect(path, () => socket.write(text));
        socket.on("data", (chunk: Buffer) => (answer += chunk.toString("latin1")));
        socket.on("error", () => undefined).on("close", () => resolve(answer));
      });
    const at = `127.0.0.1:${other.port}`;
    expect(await say(`CONNECT ${at} HTTP/1.1\r\nHost: ${at}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 403/);
    expect(await say(`GET http://${at}/ HTTP/1.1\r\nHost: ${at}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 403/);
    expect(other.requests).toEqual([]);
  });

  it.skipIf(process.platform !== "linux")("reaches only the folders named, for every method", async () => {
    const { path: root, remove } = await temporaryDirectory();
    onTestFinished(remove);
    for (const folder of ["in", "out"]) {
      await mkdir(join(root, folder));
      await writeFile(join(root, folder, "a"), folder);
    }
    const granted: FilesystemScope[] = [{ capability: "filesystem", path: root, mode: "rw" }];
    const within = narrowed(granted, [], [join(root, "in")]);
    const limited = bench({ granted, within, dataDir: join(root, "data") });
    expect(await limited.ask("files.read", { path: join(root, "in", "a"), offset: 0, length: 9 })).toMatchObject({
      data: Buffer.from("in").toString("base64"),
    });
    const refused = [
      limited.ask("files.read", { path: join(root, "out", "a"), offset: 0, length: 9 }),
      limited.ask("files.write", { path: join(root, "out", "a"), data: "AAAA", offset: null }),
      limited.ask("files.list", { path: root }),
      limited.ask("files.stat", { path: join(root, "out") }),
      limited.ask("files.remove", { path: join(root, "out", "a") }),
      limited.ask("files.mkdir", { path: join(root, "out", "b") }),
      limited.ask("files.write", { path: join(root, "inner"), data: "AAAA", offset: null }),
    ].map(codeOf);
    expect(new Set(await Promise.all(refused))).toEqual(new Set(["permission_denied"]));
    expect(await readFile(join(root, "out", "a"), "utf8")).toBe("out");
  });
});

describe("an operator's limit", () => {
  const granted: readonly Scope[] = [
    { ...network(443, { host: "*.example.com", scheme: "https" }) },
    { capability: "filesystem", path: "/data", mode: "r" },
  ];

  it("names less than the grant, and is refused when the grant does not reach there", () => {
    expect(narrowed(granted, ["api.example.com"], ["/data/y"])).toEqual([
      { ...granted[0], host: "api.example.com" },
      { capability: "filesystem", path: "/data/y", mode: "r" },
    ]);
    for (const [hosts, paths] of [
      [["example.com"], []],
      [["api.example.com:8443"], []],
      [["api.example.com.evil.net"], []],
      [["*.example.com"], []],
      [[], ["/"]],
      [[], ["/database"]],
      [[], ["/data/../etc"]],
    ] satisfies [string[], string[]][]) {
      expect(() => narrowed(granted, hosts, paths)).toThrow(expect.objectContaining({ code: "usage" }));
    }
  });

  it("leaves a capability that it does not name as it was, and is never wider than the grant, whatever is in it", () => {
    const paths = ["/data", "/data/a", "/data/a/b", "/other", "/"];
    const scope = fc.record({
      capability: fc.constant("filesystem" as const),
      path: fc.constantFrom(...paths),
      mode: fc.constantFrom("r" as const, "rw" as const),
    });
    const wish: fc.Arbitrary<Wish> = fc.oneof(
      fc.record({
        capability: fc.constant("filesystem" as const),
        path: fc.constantFrom(...paths),
        mode: fc.constantFrom("r" as const, "w" as const),
      }),
      fc.constant<Wish>({ capability: "system", facet: "hostname" }),
    );
    fc.assert(
      fc.property(fc.array(scope), fc.array(scope), wish, (grant, within, wished) => {
        const reach = createReach({
          declared: grant,
          granted: [...grant, { capability: "system", facet: "hostname" }],
        });
        const narrow = narrowReach(reach, within);
        const allowed = narrow.allows(wished);
        if (allowed) expect(reach.allows(wished)).toBe(true);
        if (allowed && wished.capability === "filesystem" && within.length > 0)
          expect(within.some((one) => covers(one, wished))).toBe(true);
        if (wished.capability === "system") expect(allowed).toBe(reach.allows(wished));
      }),
    );
  });

  it("is made of parts of the grant only", () => {
    for (const scope of narrowed(granted, ["a.example.com"], ["/data"]))
      expect(granted.some((outer) => withinScope(scope, outer))).toBe(true);
  });
});
