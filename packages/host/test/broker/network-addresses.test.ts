import { readFileSync } from "node:fs";
import { createServer as createHttps } from "node:https";
import { describe, expect, it } from "vitest";
import { createReach } from "../../src/broker/reach.ts";
import { createAddressGate, createSystemAddresses } from "../../src/broker/resolve.ts";
import { parseTarget } from "../../src/broker/target.ts";
import type { NetworkScope } from "../../src/capability/index.ts";
import { bench, codeOf, network, servedByTest } from "./support.ts";

const fixture = (name: string): string => readFileSync(new URL(`fixtures/${name}`, import.meta.url), "utf8");
const ca = fixture("ca.pem");
const server = servedByTest();
const named = (port: number, extra = {}) => network(port, { host: "api.test", ...extra });

const gateFor = (address: string, scope: NetworkScope, ownAddresses: readonly string[] = []) => {
  const gate = createAddressGate(
    { resolve: async () => [address], ownPorts: () => [], ownAddresses: () => ownAddresses, resolveMs: 1_000 },
    createReach({ declared: [scope], granted: [scope] }),
  );
  const wish = { capability: "network", host: "api.test", port: 80, scheme: "http", method: "GET", path: "/" } as const;
  return codeOf(gate.addressesOf(parseTarget("http://api.test/", 100), wish, new AbortController().signal));
};

const https = () =>
  server(
    (_request, response) => response.end("sealed"),
    (listener) => createHttps({ key: fixture("server.key"), cert: fixture("server.pem") }, listener),
  );
const resolve = async (): Promise<string[]> => ["127.0.0.1"];

describe("network: addresses", () => {
  it.each([
    [["127.0.0.1"]],
    [["10.0.0.1"]],
    [["169.254.169.254"]],
    [["::1"]],
    [["fd00::1"]],
    [["::ffff:127.0.0.1"]],
    [["8.8.8.8", "127.0.0.1"]],
    [["2606:4700::1111", "fe80::1"]],
    [["not an address"]],
  ])("refuses a granted name that resolves to %j [S1-17]", async (addresses) => {
    const { fetch } = bench({ granted: [named(80, { loopback: false })], resolve: async () => addresses });
    expect(await codeOf(fetch("http://api.test/"))).toBe("address_refused");
  });

  it("refuses a granted address literal that the operator did not admit", async () => {
    const { fetch } = bench({ granted: [network(80, { loopback: false })] });
    expect(await codeOf(fetch("http://127.0.0.1/"))).toBe("address_refused");
  });

  it("admits the local network and this machine by separate words of the operator, and never metadata", async () => {
    const onlyPrivate = named(80, { private: true, loopback: false });
    const onlyLoopback = named(80);
    expect(await gateFor("10.1.2.3", onlyPrivate)).toBe("no error");
    expect(await gateFor("fd00::1", onlyPrivate)).toBe("no error");
    expect(await gateFor("10.1.2.3", onlyLoopback)).toBe("address_refused");
    expect(await gateFor("127.0.0.1", onlyLoopback)).toBe("no error");
    expect(await gateFor("127.0.0.1", onlyPrivate)).toBe("address_refused");
    for (const never of [
      "169.254.169.254",
      "169.254.1.1",
      "100.100.100.200",
      "fd00:ec2::254",
      "168.63.129.16",
      "100.64.0.1",
      "0.0.0.0",
      "224.0.0.1",
    ]) {
      expect(await gateFor(never, named(80, { private: true }))).toBe("address_refused");
    }
  });

  it("takes an address of this machine's own interfaces for this machine, public or not", async () => {
    for (const own of ["8.8.4.4", "192.168.7.7"]) {
      expect(await gateFor(own, named(80, { private: true, loopback: false }), [own])).toBe("address_refused");
      expect(await gateFor(own, named(80), [own])).toBe("no error");
    }
  });

  it("takes no word of a manifest for it: the flag counts in grant and ceiling only", async () => {
    const api = await server((_request, response) => response.end("x"));
    const flagged = network(api.port);
    const plain = network(api.port, { loopback: false });
    expect(await codeOf(bench({ declared: [flagged], granted: [plain] }).fetch(api.origin))).toBe("address_refused");
    expect(await codeOf(bench({ granted: [flagged], ceiling: [plain] }).fetch(api.origin))).toBe("address_refused");
    expect(await codeOf(bench({ granted: [flagged], ceiling: [flagged] }).fetch(api.origin))).toBe("no error");
    expect(api.requests).toHaveLength(1);
  });

  it.each(["metadata.google.internal", "metadata.goog", "instance-data.ec2.internal"])(
    "refuses the name %s without asking for its address",
    async (host) => {
      const { fetch } = bench({
        granted: [network(80, { host, private: true })],
        resolve: () => Promise.reject(new Error("asked")),
      });
      expect(await codeOf(fetch(`http://${host}/`))).toBe("address_refused");
      expect(await codeOf(fetch(`http://${host.toUpperCase()}./`))).toBe("address_refused");
    },
  );

  it("knows this machine's own addresses from the operating system, and asks again when they are old", () => {
    let now = 0;
    const read = createSystemAddresses({ now: () => 0, monotonic: () => now });
    const first = read();
    expect(first).toContain("127.0.0.1");
    now = 4_999;
    expect(read()).toBe(first);
    now = 5_000;
    expect(read()).not.toBe(first);
  });

  it("never reaches a port that the host itself listens on", async () => {
    const api = await server((_request, response) => response.end("x"));
    const granted = [network(api.port)];
    expect(await codeOf(bench({ granted, ownPorts: () => [api.port] }).fetch(api.origin))).toBe("address_refused");
    const byOwnAddress = bench({
      granted: [named(api.port, { private: true })],
      resolve: async () => ["192.168.7.7"],
      ownAddresses: () => ["192.168.7.7"],
      ownPorts: () => [api.port],
    });
    expect(await codeOf(byOwnAddress.fetch(`http://api.test:${api.port}/`))).toBe("address_refused");
  });

  it("asks for an address once and connects to that one: a second answer is never used", async () => {
    const api = await server((_request, response) => response.end("from the checked address"));
    let asked = 0;
    const answers = ["127.0.0.1", "10.0.0.1", "169.254.169.254"];
    const { fetch, bodyOf } = bench({ granted: [named(api.port)], resolve: async () => [answers[asked++] ?? ""] });
    const answer = await fetch(`http://api.test:${api.port}/`);
    expect((await bodyOf(answer)).toString()).toBe("from the checked address");
    expect(asked).toBe(1);
    expect(api.requests[0]?.headers.host).toBe(`api.test:${api.port}`);
    // Checked anew for each request, also when a connection to the old address is still open.
    expect(await codeOf(fetch(`http://api.test:${api.port}/`))).toBe("address_refused");
  });

  it("tries the next checked address when one does not answer", async () => {
    const api = await server((_request, response) => response.end("x"));
    const { fetch } = bench({ granted: [named(api.port)], resolve: async () => ["127.0.0.9", "127.0.0.1"] });
    expect((await fetch(`http://api.test:${api.port}/`)).status).toBe(200);
  });

  it("reports a name that does not resolve, and one that takes too long", async () => {
    const granted = [named(80)];
    expect(await codeOf(bench({ granted, resolve: async () => [] }).fetch("http://api.test/"))).toBe("network_failed");
    expect(
      await codeOf(bench({ granted, resolve: () => Promise.reject(new Error("ENOTFOUND")) }).fetch("http://api.test/")),
    ).toBe("network_failed");
    expect(
      await codeOf(
        bench({ granted, resolve: () => new Promise(() => undefined), networkLimits: { resolveMs: 20 } }).fetch(
          "http://api.test/",
        ),
      ),
    ).toBe("network_failed");
  });
});

describe("network: TLS", () => {
  it("checks the server's certificate against the name that was granted", async () => {
    const api = await https();
    const scope = named(api.port, { scheme: "https" });
    const { fetch, bodyOf } = bench({ granted: [scope], resolve, certificateAuthorities: [ca] });
    expect((await bodyOf(await fetch(`https://api.test:${api.port}/`))).toString()).toBe("sealed");
    const other = bench({
      granted: [named(api.port, { scheme: "https", host: "other.test" })],
      resolve,
      certificateAuthorities: [ca],
    });
    expect(await codeOf(other.fetch(`https://other.test:${api.port}/`))).toBe("network_failed");
  });

  it("checks it for an address literal as well", async () => {
    const api = await https();
    const { fetch } = bench({
      granted: [network(api.port, { scheme: "https" }), network(api.port, { scheme: "https", host: "127.0.0.2" })],
      certificateAuthorities: [ca],
    });
    expect((await fetch(`https://127.0.0.1:${api.port}/`)).status).toBe(200);
  });

  it("trusts no unknown authority, whatever the environment says", async () => {
    const api = await https();
    const before = process.env["NODE_TLS_REJECT_UNAUTHORIZED"];
    process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0";
    try {
      const { fetch } = bench({ granted: [named(api.port, { scheme: "https" })], resolve });
      expect(await codeOf(fetch(`https://api.test:${api.port}/`))).toBe("network_failed");
    } finally {
      if (before === undefined) delete process.env["NODE_TLS_REJECT_UNAUTHORIZED"];
      else process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = before;
    }
    expect(api.requests).toEqual([]);
  });

  it("pays no heed to a proxy in the environment", async () => {
    const proxy = await server((_request, response) => response.end("proxy"));
    const api = await server((_request, response) => response.end("direct"));
    for (const name of ["HTTP_PROXY", "http_proxy", "NODE_USE_ENV_PROXY"])
      process.env[name] = name.startsWith("NODE") ? "1" : proxy.origin;
    try {
      const { fetch, bodyOf } = bench({ granted: [network(api.port)] });
      expect((await bodyOf(await fetch(api.origin))).toString()).toBe("direct");
    } finally {
      for (const name of ["HTTP_PROXY", "http_proxy", "NODE_USE_ENV_PROXY"]) delete process.env[name];
    }
  });
});
