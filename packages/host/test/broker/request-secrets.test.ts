import { describe, expect, it } from "vitest";
import { type Bench, bench, codeOf, network, secret, servedByTest, type TestServer } from "./support.ts";

const VALUE = "s3cr3t/value+with=odd&chars";
const server = servedByTest();
const echo = () => server((_request, response) => response.end("ok"));

const tool = (api: TestServer, place: string, format?: string, extra: Parameters<typeof bench>[0] = {}): Bench =>
  bench({
    granted: [network(api.port), secret("KEY", api.origin, place, format)],
    vault: { KEY: { value: VALUE, origins: [api.origin] } },
    ...extra,
  });
const placeholderOf = ({ session }: Bench): string => session.secretsView["KEY"] ?? "";

describe("secrets: what the plugin holds", () => {
  it("is a placeholder, another one in each process, and never the value [S1-18]", async () => {
    const api = await echo();
    const [one, two] = [tool(api, "header:x-key"), tool(api, "header:x-key")];
    expect(placeholderOf(one)).toMatch(/^sallyport-secret-KEY-[0-9a-f]{32}$/);
    expect(placeholderOf(one)).not.toBe(placeholderOf(two));
    expect(JSON.stringify(one.session.secretsView)).not.toContain(VALUE);
  });

  it("is the value only if declared, granted and ceiling all say expose", () => {
    const expose = { capability: "secrets", name: "KEY", expose: true } as const;
    const plain = secret("KEY", "https://api.test", "header:x-key");
    const vault = { KEY: { value: VALUE, origins: ["https://api.test"] } };
    expect(bench({ granted: [expose], vault }).session.secretsView).toEqual({ KEY: VALUE });
    expect(bench({ granted: [expose], ceiling: [plain], vault }).session.secretsView).toEqual({});
    expect(bench({ declared: [plain], granted: [expose, plain], vault }).session.secretsView["KEY"]).toMatch(
      /^sallyport-secret-/,
    );
  });

  it("has no entry for a secret without a value or without a grant, so that initialize() can see it", () => {
    const granted = [secret("KEY", "https://api.test", "header:x-key")];
    expect(bench({ granted, vault: {} }).session.secretsView).toEqual({});
    expect(
      bench({ declared: granted, granted: [], vault: { KEY: { value: VALUE, origins: [] } } }).session.secretsView,
    ).toEqual({});
  });
});

describe("secrets: where the host writes them", () => {
  const cases: [string, string | undefined, (request: TestServer["requests"][number]) => unknown, unknown][] = [
    ["header:x-key", "Bearer {}", ({ headers }) => headers["x-key"], `Bearer ${VALUE}`],
    ["header:authorization", "token {}", ({ headers }) => headers.authorization, `token ${VALUE}`],
    ["query:appid", undefined, ({ url }) => url, `/a/b?q=1&appid=${encodeURIComponent(VALUE)}`],
    [
      "basic",
      "user:{}",
      ({ headers }) => headers.authorization,
      `Basic ${Buffer.from(`user:${VALUE}`).toString("base64")}`,
    ],
  ];
  it.each(cases)("%s, when the request names the secret", async (place, format, look, expected) => {
    const api = await echo();
    const { fetch, actions } = tool(api, place, format);
    await fetch(`${api.origin}/a/b?q=1`, { secrets: ["KEY"] });
    expect(api.requests.map(look)).toEqual([expected]);
    expect(actions[0]).toMatchObject({ target: `${api.origin}/a/b`, secrets: ["KEY"] });
    expect(JSON.stringify(actions)).not.toContain(VALUE);
  });

  it("path:N, percent-encoded, and only where the whole path is granted", async () => {
    const api = await echo();
    const vault = { KEY: { value: "123:abc", origins: [api.origin] } };
    const use = secret("KEY", api.origin, "path:0", "bot{}");
    const { fetch, actions } = bench({ granted: [network(api.port, { paths: ["/*/send"] }), use], vault });
    await fetch(`${api.origin}/x/send`, { secrets: ["KEY"] });
    expect(api.requests[0]?.url).toBe("/bot123%3Aabc/send");
    expect(actions[0]?.target).toBe(`${api.origin}/[secret KEY]/send`);
    expect(
      await codeOf(
        bench({ granted: [network(api.port, { paths: ["/x/**"] }), use], vault }).fetch(`${api.origin}/x/send`, {
          secrets: ["KEY"],
        }),
      ),
    ).toBe("permission_denied");
    for (const value of ["../..", "....", "a/b"]) {
      const odd = bench({
        granted: [network(api.port), secret("KEY", api.origin, "path:0")],
        vault: { KEY: { value, origins: [api.origin] } },
      });
      expect(await codeOf(odd.fetch(`${api.origin}/x/send`, { secrets: ["KEY"] }))).toBe(
        value === "...." ? "no error" : "secret_misuse",
      );
    }
  });

  it("in place of the placeholder, the declared part whole", async () => {
    const api = await echo();
    const header = tool(api, "header:x-key", "Bearer {}");
    await header.fetch(api.origin, {
      headers: [
        ["X-Key", `anything ${placeholderOf(header)} anything`],
        ["x-key", "second"],
      ],
    });
    const query = tool(api, "query:appid");
    await query.fetch(`${api.origin}/?appid=${placeholderOf(query)}&appid=other&b=2`);
    const basic = tool(api, "basic", "user:{}");
    await basic.fetch(api.origin, {
      headers: [["Authorization", `Basic ${Buffer.from(`me:${placeholderOf(basic)}`).toString("base64")}`]],
    });
    expect(api.requests[0]?.headers["x-key"]).toBe(`Bearer ${VALUE}`);
    expect(api.requests[1]?.url).toBe(`/?b=2&appid=${encodeURIComponent(VALUE)}`);
    expect(api.requests[2]?.headers.authorization).toBe(`Basic ${Buffer.from(`user:${VALUE}`).toString("base64")}`);
  });

  it("asks for the whole, plain answer", async () => {
    const api = await echo();
    await tool(api, "header:x-key").fetch(api.origin, {
      secrets: ["KEY"],
      headers: [
        ["Range", "bytes=0-1"],
        ["If-Range", "x"],
        ["Accept-Encoding", "gzip"],
      ],
    });
    expect(api.requests[0]?.headers).toMatchObject({ "accept-encoding": "identity" });
    expect(api.requests[0]?.headers).not.toHaveProperty("range");
    expect(api.requests[0]?.headers).not.toHaveProperty("if-range");
  });
});

describe("secrets: where they never go", () => {
  it("refuses a placeholder anywhere but in the declared place", async () => {
    const api = await echo();
    const attempts: ((placeholder: string) => [string, object])[] = [
      (p) => [api.origin, { headers: [["x-other", p]] }],
      (p) => [api.origin, { headers: [[p, "x"]] }],
      (p) => [`${api.origin}/?q=${p}`, {}],
      (p) => [`${api.origin}/?${p}=q`, {}],
      (p) => [`${api.origin}/${p}`, {}],
      (p) => [api.origin, { headers: [["authorization", `Basic ${Buffer.from(`a:${p}`).toString("base64")}`]] }],
      (p) => [api.origin, { method: "POST", body: Buffer.from(`{"a":"${p}"}`).toString("base64") }],
      (p) => [
        api.origin,
        {
          headers: [
            ["x-key", p],
            ["x-other", p],
          ],
        },
      ],
    ];
    for (const attempt of attempts) {
      const probe = tool(api, "header:x-key");
      expect(await codeOf(probe.fetch(...attempt(placeholderOf(probe))))).toBe("secret_misuse");
      expect(probe.actions).toEqual([expect.objectContaining({ outcome: "denied", reason: "secret_misuse" })]);
    }
    expect(api.requests).toEqual([]);
  });

  it("refuses a placeholder that is split over the pieces of a body", async () => {
    const api = await echo();
    const probe = tool(api, "header:x-key");
    const answer = codeOf(probe.fetch(api.origin, { method: "POST", upload: "u1" }));
    const [head, tail] = [placeholderOf(probe).slice(0, 20), placeholderOf(probe).slice(20)];
    await probe.ask("body.write", { upload: "u1", data: Buffer.from(`x${head}`).toString("base64"), done: false });
    expect(
      await codeOf(probe.ask("body.write", { upload: "u1", data: Buffer.from(tail).toString("base64"), done: true })),
    ).toBe("secret_misuse");
    expect(await answer).toBe("secret_misuse");
    expect(api.requests).toEqual([]);
  });

  it("sends nothing to another origin: vault, manifest and grant must all bind it there", async () => {
    const [api, other] = [await echo(), await echo()];
    const granted = [network(api.port), network(other.port), secret("KEY", api.origin, "header:x-key")];
    const both = { KEY: { value: VALUE, origins: [api.origin, other.origin] } };
    const byManifest = bench({ granted, vault: both });
    expect(await codeOf(byManifest.fetch(other.origin, { secrets: ["KEY"] }))).toBe("secret_misuse");
    expect(await codeOf(byManifest.fetch(other.origin, { headers: [["x-key", placeholderOf(byManifest)]] }))).toBe(
      "secret_misuse",
    );
    const elsewhere = { KEY: { value: VALUE, origins: [other.origin] } };
    expect(await codeOf(bench({ granted, vault: elsewhere }).fetch(api.origin, { secrets: ["KEY"] }))).toBe(
      "secret_misuse",
    );
    const undeclared = bench({ granted, declared: [network(api.port)], vault: both });
    expect(await codeOf(undeclared.fetch(api.origin, { secrets: ["KEY"] }))).toBe("secret_misuse");
    const narrowed = bench({
      granted,
      ceiling: [network(api.port), secret("KEY", api.origin, "query:key")],
      vault: both,
    });
    expect(await codeOf(narrowed.fetch(api.origin, { secrets: ["KEY"] }))).toBe("secret_misuse");
    expect(await codeOf(byManifest.fetch(api.origin, { secrets: ["OTHER"] }))).toBe("secret_misuse");
    expect([...api.requests, ...other.requests]).toEqual([]);
  });

  it("is in the record also when the server took it and never answered, and not when it was refused before", async () => {
    const api = await server((request) => request.socket.destroy());
    const probe = tool(api, "header:x-key", undefined, {
      granted: [network(api.port, { paths: ["/a"] }), secret("KEY", api.origin, "header:x-key")],
    });
    expect(await codeOf(probe.fetch(`${api.origin}/a`, { secrets: ["KEY"] }))).toBe("network_failed");
    expect(await codeOf(probe.fetch(`${api.origin}/b`, { secrets: ["KEY"] }))).toBe("permission_denied");
    expect(api.requests[0]?.headers["x-key"]).toBe(VALUE);
    expect(probe.actions).toEqual([
      expect.objectContaining({ outcome: "failed", secrets: ["KEY"] }),
      expect.not.objectContaining({ secrets: expect.anything() }),
    ]);
  });

  it("says when the vault has no value", async () => {
    const api = await echo();
    expect(await codeOf(tool(api, "header:x-key", "{}", { vault: {} }).fetch(api.origin, { secrets: ["KEY"] }))).toBe(
      "secret_missing",
    );
  });

  it("refuses a value that would break out of its header", async () => {
    const api = await echo();
    const vault = { KEY: { value: "value\r\nX-Evil: 1", origins: [api.origin] } };
    expect(await codeOf(tool(api, "header:x-key", "{}", { vault }).fetch(api.origin, { secrets: ["KEY"] }))).toBe(
      "secret_misuse",
    );
    expect(await codeOf(tool(api, "header:host").fetch(api.origin, { secrets: ["KEY"] }))).toBe("secret_misuse");
    expect(api.requests).toEqual([]);
  });

  it.each(["header:x-key", "query:key", "basic"])(
    "crosses no redirect to another origin (%s), and does not come back with the next",
    async (place) => {
      let away = "";
      const api = await server((request, response) => {
        if (request.url?.startsWith("/end") === true) return response.end("end");
        return response.writeHead(302, { location: request.url?.startsWith("/1") === true ? "/2" : away }).end();
      });
      const other = await server((_request, response) =>
        response.writeHead(302, { location: `${api.origin}/end` }).end(),
      );
      away = other.origin;
      const { fetch } = tool(api, place, "{}", {
        granted: [network(api.port), network(other.port), secret("KEY", api.origin, place)],
      });
      expect((await fetch(`${api.origin}/1`, { secrets: ["KEY"] })).status).toBe(200);
      const carried = api.requests.map(({ url, headers }) =>
        JSON.stringify([url, headers]).includes(
          place === "basic"
            ? Buffer.from(`${VALUE}:`).toString("base64")
            : place === "query:key"
              ? encodeURIComponent(VALUE)
              : VALUE,
        ),
      );
      expect(carried).toEqual([true, true, false]);
      expect(JSON.stringify(other.requests)).not.toContain(encodeURIComponent(VALUE));
      expect(JSON.stringify(other.requests)).not.toContain(VALUE);
      expect(other.requests[0]?.headers).not.toHaveProperty("authorization");
    },
  );

  it("stops a server that sends the secret on in a redirect's address", async () => {
    const other = await echo();
    const api = await server((request, response) =>
      response.writeHead(302, { location: `${other.origin}${request.url ?? ""}` }).end(),
    );
    const { fetch, actions } = tool(api, "query:key", "{}", {
      granted: [network(api.port), network(other.port), secret("KEY", api.origin, "query:key")],
    });
    expect(await codeOf(fetch(`${api.origin}/?a=1`, { secrets: ["KEY"] }))).toBe("secret_misuse");
    expect(other.requests).toEqual([]);
    // The audit does not say that nothing was sent.
    expect(actions.map(({ outcome, status, secrets }) => [outcome, status, secrets])).toEqual([
      ["succeeded", 302, ["KEY"]],
      ["denied", 302, ["KEY"]],
    ]);
  });
});

describe("secrets: what comes back", () => {
  it("takes the value out of status text, headers, address and body, in every spelling", async () => {
    const spellings = [
      VALUE,
      encodeURIComponent(VALUE),
      Buffer.from(VALUE).toString("base64"),
      Buffer.from(`ab${VALUE}`).toString("base64url"),
      JSON.stringify({ v: VALUE }),
      Buffer.from(VALUE).toString("hex"),
    ];
    const api = await server((_request, response) =>
      response
        .writeHead(200, `OK ${VALUE}`, { "x-echo": VALUE, location: `/?k=${encodeURIComponent(VALUE)}` })
        .end(spellings.join("\n")),
    );
    const { fetch, bodyOf } = tool(api, "query:key");
    const answer = await fetch(`${api.origin}/?a=1`, { secrets: ["KEY"] });
    const text = (await bodyOf(answer)).toString();
    const all = JSON.stringify([answer, text]);
    for (const spelling of [
      VALUE,
      encodeURIComponent(VALUE),
      Buffer.from(VALUE).toString("base64").slice(0, -2),
      Buffer.from(VALUE).toString("hex"),
    ])
      expect(all).not.toContain(spelling);
    expect(text.split("[secret KEY]").length - 1).toBe(6);
    expect(answer.url).toBe(`${api.origin}/?a=1&key=[secret KEY]`);
    expect(answer.headers.map(([name]) => name)).not.toContain("content-length");
  });

  it("finds it across the border of two chunks, at every place", async () => {
    for (let cut = 1; cut < VALUE.length; cut += 5) {
      let rest: (() => void) | undefined;
      const api = await server((_request, response) => {
        response.write(`before ${VALUE.slice(0, cut)}`);
        rest = () => response.end(`${VALUE.slice(cut)} after`);
      });
      const { fetch, ask, bodyOf } = tool(api, "header:x-key");
      const answer = await fetch(api.origin, { secrets: ["KEY"] });
      const first = await ask<{ data: string }>("body.read", { stream: answer.stream });
      rest?.();
      const text = Buffer.concat([Buffer.from(first.data, "base64"), await bodyOf(answer)]).toString();
      expect(text).toBe("before [secret KEY] after");
    }
  });

  it("undoes an encoding that the server used all the same, and refuses one that it cannot undo", async () => {
    const { gzipSync } = await import("node:zlib");
    const api = await server((request, response) => {
      const encoding = request.url === "/odd" ? "rot13" : "gzip";
      response.setHeader("content-encoding", encoding).end(gzipSync(`x ${VALUE} y`));
    });
    const { fetch, bodyOf } = tool(api, "header:x-key");
    expect((await bodyOf(await fetch(api.origin, { secrets: ["KEY"] }))).toString()).toBe("x [secret KEY] y");
    expect(await codeOf(fetch(`${api.origin}/odd`, { secrets: ["KEY"] }))).toBe("network_failed");
  });
});
