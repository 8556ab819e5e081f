import { describe, expect, it } from "vitest";
import { bench, codeOf, network, servedByTest } from "./support.ts";

const server = servedByTest();

describe("network: what is granted, and nothing else", () => {
  it("contacts a granted host and port [S0-11] [S0-15] [S0-17] [S1-17] [S3-72]", async () => {
    const api = await server((_request, response) => response.end("hello"));
    const { fetch, bodyOf, actions } = bench({ granted: [network(api.port)] });
    const answer = await fetch(`${api.origin}/v1/thing?key=1`);
    expect(answer.status).toBe(200);
    expect((await bodyOf(answer)).toString()).toBe("hello");
    expect(api.requests[0]).toMatchObject({ method: "GET", url: "/v1/thing?key=1" });
    expect(actions).toEqual([
      expect.objectContaining({
        capability: "network",
        target: `${api.origin}/v1/thing`,
        method: "GET",
        status: 200,
        bytes: 5,
        outcome: "succeeded",
        callId: "call_1",
      }),
    ]);
  });

  it("refuses without a grant, and without a declaration, whatever the other says [S0-10] [S1-10] [S1-17]", async () => {
    const api = await server((_request, response) => response.end("hello"));
    const scope = network(api.port);
    expect(await codeOf(bench({}).fetch(api.origin))).toBe("permission_denied");
    expect(await codeOf(bench({ granted: [scope], declared: [] }).fetch(api.origin))).toBe("permission_denied");
    expect(await codeOf(bench({ granted: [], declared: [scope] }).fetch(api.origin))).toBe("permission_denied");
    expect(api.requests).toEqual([]);
  });

  it("refuses a declared and granted host that the host's own list does not hold [S0-33]", async () => {
    const api = await server((_request, response) => response.end("hello"));
    const granted = [network(api.port)];
    const refused = bench({ granted, ceiling: [] });
    expect(await codeOf(refused.fetch(api.origin))).toBe("permission_denied");
    expect(refused.actions).toEqual([expect.objectContaining({ outcome: "denied", reason: "permission_denied" })]);
    expect(
      await codeOf(bench({ granted, ceiling: [network(api.port, { methods: ["POST"] })] }).fetch(api.origin)),
    ).toBe("permission_denied");
    expect(await codeOf(bench({ granted, ceiling: [network(api.port)] }).fetch(api.origin))).toBe("no error");
  });

  it("compares host, port, scheme, method and path together [S1-11]", async () => {
    const api = await server((_request, response) => response.end("hello"));
    const { fetch } = bench({ granted: [network(api.port, { methods: ["GET"], paths: ["/v1/*"] })] });
    expect(await codeOf(fetch(`${api.origin}/v1/a`))).toBe("no error");
    expect(await codeOf(fetch(`${api.origin}/v1/a`, { method: "POST" }))).toBe("permission_denied");
    expect(await codeOf(fetch(`${api.origin}/v1/a/b`))).toBe("permission_denied");
    expect(await codeOf(fetch(`${api.origin}/v1/a/../../v2/b`))).toBe("permission_denied");
    expect(await codeOf(fetch(`http://127.0.0.1:${api.port === 80 ? 81 : 80}/v1/a`))).toBe("permission_denied");
    expect(await codeOf(fetch(`https://127.0.0.1:${api.port}/v1/a`))).toBe("permission_denied");
  });

  it.each([
    ["a user name", "http://user@HOST/"],
    ["an empty user name", "http://@HOST/"],
    ["a tab", "http://HOST/a\tb"],
    ["a line break", "http://HOST/\r\nX: y"],
    ["NUL", "http://HOST/\0"],
    ["a space", " http://HOST/"],
    ["a backslash", "http:\\\\HOST\\"],
    ["an escaped slash", "http://HOST/v1%2f..%2fadmin"],
    ["an escaped backslash", "http://HOST/v1%5Cadmin"],
    ["an escaped NUL", "http://HOST/v1%00"],
    ["overlong UTF-8", "http://HOST/v1/%c0%af"],
    ["a dot segment with a parameter", "http://HOST/v1/..;/admin"],
    ["one slash", "http:/HOST/"],
    ["a file URL", "file:///etc/passwd"],
    ["a data URL", "data:text/plain,x"],
    ["a decimal address", "http://2130706433:PORT/"],
    ["a hexadecimal address", "http://0x7f.1:PORT/"],
    ["a short address", "http://127.1:PORT/"],
    ["an octal address", "http://0177.0.0.1:PORT/"],
    ["a mapped address", "http://[::ffff:127.0.0.1]:PORT/"],
    ["an escaped host", "http://127.0.0.%31:PORT/"],
    ["full-width digits", "http://１２７.0.0.1:PORT/"],
  ])("refuses a URL with %s, before anything is compared [S1-17]", async (_what, url) => {
    const api = await server((_request, response) => response.end("hello"));
    const { fetch } = bench({ granted: [network(api.port)] });
    expect(await codeOf(fetch(url.replace("HOST", `127.0.0.1:${api.port}`).replace("PORT", String(api.port))))).toBe(
      "usage",
    );
    expect(api.requests).toEqual([]);
  });

  it("waits for the call's intent before anything leaves, and sends nothing when it cannot be written", async () => {
    const api = await server((_request, response) => response.end("hello"));
    let write: (() => void) | undefined;
    const intent = new Promise<void>((resolve) => (write = resolve));
    const waiting = bench({ granted: [network(api.port)], intent });
    const answer = waiting.fetch(api.origin);
    await bench({ granted: [network(api.port)] }).fetch(`${api.origin}/other`);
    expect(api.requests.map(({ url }) => url)).toEqual(["/other"]);
    write?.();
    expect((await answer).status).toBe(200);
    const failing = Promise.reject(new Error("disk full"));
    failing.catch(() => undefined);
    await expect(bench({ granted: [network(api.port)], intent: failing }).fetch(`${api.origin}/never`)).rejects.toThrow(
      "disk full",
    );
    expect(api.requests.map(({ url }) => url)).toEqual(["/other", "/"]);
  });

  it("serves nothing but kv outside a call, and no unknown method or parameter [S1-9]", async () => {
    const { session, context, ask } = bench({ granted: [network(1)] });
    const signal = new AbortController().signal;
    const params = {
      call: null,
      url: "http://127.0.0.1:1/",
      method: "GET",
      headers: [],
      body: null,
      upload: null,
      redirect: "follow",
      secrets: [],
    };
    expect(await codeOf(session.handle("fetch", params, null, signal))).toBe("permission_denied");
    expect(await codeOf(session.handle("files.stat", { call: null, path: "/" }, null, signal))).toBe(
      "permission_denied",
    );
    expect(await codeOf(session.handle("exec.run", { call: "call_1" }, context, signal))).toBe("permission_denied");
    expect(await codeOf(session.handle("__proto__", {}, context, signal))).toBe("permission_denied");
    expect(await codeOf(ask("kv.get", { key: "a", extra: 1 }))).toBe("usage");
    expect(await codeOf(session.handle("kv.get", { call: "call_2", key: "a" }, context, signal))).toBe("usage");
    expect(await codeOf(session.handle("kv.get", null, context, signal))).toBe("usage");
    expect(await session.handle("kv.get", { call: null, key: "a" }, null, signal)).toEqual({
      value: null,
      found: false,
    });
  });
});

describe("network: headers", () => {
  it("writes Host, lengths, Connection, Cookie and proxy headers itself", async () => {
    const api = await server((_request, response) =>
      response.setHeader("set-cookie", "a=b").setHeader("x-answer", "1").end("x"),
    );
    const { fetch } = bench({ granted: [network(api.port)] });
    const answer = await fetch(api.origin, {
      method: "POST",
      body: Buffer.from("abc").toString("base64"),
      headers: [
        ["Host", "evil.example"],
        ["Connection", "upgrade"],
        ["Content-Length", "99"],
        ["Transfer-Encoding", "chunked"],
        ["Cookie", "s=1"],
        ["Proxy-Authorization", "x"],
        ["X-Mine", "yes"],
        ["Accept-Encoding", "zstd"],
        ["Expect", "100-continue"],
      ],
    });
    const { headers, body } = api.requests[0] ?? { headers: {}, body: "" };
    expect(headers).toMatchObject({
      host: `127.0.0.1:${api.port}`,
      "content-length": "3",
      "x-mine": "yes",
      "accept-encoding": "gzip, deflate, br",
    });
    for (const name of ["cookie", "proxy-authorization", "transfer-encoding", "expect"])
      expect(headers).not.toHaveProperty(name);
    expect(headers.connection).toBe("keep-alive");
    expect(body).toBe("abc");
    expect(answer.headers).toContainEqual(["x-answer", "1"]);
    expect(answer.headers.map(([name]) => name)).not.toContain("set-cookie");
  });

  it.each(["X-HTTP-Method-Override", "x-original-url", "X-Method-Override"])(
    "refuses %s, which asks for more than was compared",
    async (name) => {
      const { fetch } = bench({ granted: [network(1)] });
      expect(await codeOf(fetch("http://127.0.0.1:1/", { headers: [[name, "DELETE"]] }))).toBe("permission_denied");
    },
  );

  it.each([
    ["a line break", "a\r\nX-Evil: 1"],
    ["NUL", "a\0"],
    ["a wide character", "a\u0100"],
  ])("refuses a header value with %s", async (_what, value) => {
    const { fetch } = bench({ granted: [network(1)] });
    expect(await codeOf(fetch("http://127.0.0.1:1/", { headers: [["x-a", value]] }))).toBe("usage");
    expect(await codeOf(fetch("http://127.0.0.1:1/", { headers: [[`x${value}`, "a"]] }))).toBe("usage");
  });

  it.each(["CONNECT", "TRACE", "track"])("never sends %s", async (method) => {
    expect(await codeOf(bench({ granted: [network(1)] }).fetch("http://127.0.0.1:1/", { method }))).toBe(
      "permission_denied",
    );
  });
});
