import { describe, expect, it } from "vitest";
import { bench, codeOf, network, servedByTest } from "./support.ts";

const server = servedByTest();
const redirecting = (location: string, status = 302) =>
  server((_request, response) => response.writeHead(status, { location }).end());

describe("network: redirects", () => {
  it("follows one that is granted, and says where the answer came from", async () => {
    const end = await server((_request, response) => response.end("arrived"));
    const start = await redirecting(`${end.origin}/new?x=1#part`);
    const { fetch, bodyOf, actions } = bench({ granted: [network(start.port), network(end.port)] });
    const answer = await fetch(`${start.origin}/old`);
    expect(answer).toMatchObject({ status: 200, redirected: true, url: `${end.origin}/new?x=1` });
    expect((await bodyOf(answer)).toString()).toBe("arrived");
    expect(actions.map(({ target, status }) => [target, status])).toEqual([
      [`${start.origin}/old`, 302],
      [`${end.origin}/new`, 200],
    ]);
  });

  it("checks each step like the first: grant, address, path [S1-17]", async () => {
    const end = await server((_request, response) => response.end("secret"));
    const start = await redirecting(`${end.origin}/admin`);
    expect(await codeOf(bench({ granted: [network(start.port)] }).fetch(start.origin))).toBe("permission_denied");
    expect(
      await codeOf(
        bench({ granted: [network(start.port), network(end.port, { paths: ["/public/**"] })] }).fetch(start.origin),
      ),
    ).toBe("permission_denied");
    expect(
      await codeOf(
        bench({ granted: [network(start.port), network(end.port, { loopback: false })] }).fetch(start.origin),
      ),
    ).toBe("address_refused");
    expect(end.requests).toEqual([]);
  });

  it.each([
    ["http://169.254.169.254/latest/meta-data/"],
    ["http://2130706433/"],
    ["http://[::ffff:7f00:1]/"],
    ["file:///etc/passwd"],
    ["http://user@127.0.0.1/"],
    ["http://"],
  ])("refuses a redirect to %s", async (location) => {
    const start = await redirecting(location);
    const { fetch } = bench({
      granted: [network(start.port), network(80, { host: "169.254.169.254", private: true })],
    });
    expect(await codeOf(fetch(start.origin))).not.toBe("no error");
  });

  it("ends after five, hands the answer over on `manual`, fails on `error`", async () => {
    const loop = await server((request, response) =>
      response.writeHead(302, { location: `${request.url ?? ""}x` }).end(),
    );
    const { fetch } = bench({ granted: [network(loop.port)] });
    expect(await codeOf(fetch(loop.origin))).toBe("network_failed");
    expect(loop.requests).toHaveLength(6);
    expect(await fetch(loop.origin, { redirect: "manual" })).toMatchObject({ status: 302, redirected: false });
    expect(await codeOf(fetch(loop.origin, { redirect: "error" }))).toBe("network_failed");
    expect(loop.requests).toHaveLength(8);
  });

  it.each([
    [301, "POST", "GET", ""],
    [302, "POST", "GET", ""],
    [303, "PUT", "GET", ""],
    [307, "POST", "POST", "data"],
    [308, "PUT", "PUT", "data"],
    [302, "DELETE", "DELETE", "data"],
  ])("after %i turns %s into %s", async (status, method, expected, body) => {
    const end = await server((_request, response) => response.end());
    const start = await redirecting(end.origin, status);
    const { fetch } = bench({ granted: [network(start.port), network(end.port)] });
    await fetch(start.origin, {
      method,
      body: Buffer.from("data").toString("base64"),
      headers: [["content-type", "text/plain"]],
    });
    expect(end.requests[0]).toMatchObject({ method: expected, body });
    expect("content-type" in (end.requests[0]?.headers ?? {})).toBe(body !== "");
  });

  it("takes credentials along to the same origin only", async () => {
    const end = await server((_request, response) => response.end());
    const start = await server((request, response) =>
      response.writeHead(302, { location: request.url === "/1" ? "/2" : end.origin }).end(),
    );
    const { fetch } = bench({ granted: [network(start.port), network(end.port)] });
    await fetch(`${start.origin}/1`, {
      headers: [
        ["Authorization", "Bearer mine"],
        ["x-other", "kept"],
      ],
    });
    expect(start.requests.map(({ headers }) => headers.authorization)).toEqual(["Bearer mine", "Bearer mine"]);
    expect(end.requests[0]?.headers.authorization).toBeUndefined();
    expect(end.requests[0]?.headers["x-other"]).toBe("kept");
  });

  it("does not send a body in pieces a second time", async () => {
    const end = await server((_request, response) => response.end());
    const start = await redirecting(end.origin, 307);
    const { fetch, ask } = bench({ granted: [network(start.port), network(end.port)] });
    const answer = codeOf(fetch(start.origin, { method: "POST", upload: "u1" }));
    await ask("body.write", { upload: "u1", data: "YQ==", done: true });
    expect(await answer).toBe("network_failed");
    expect(end.requests).toEqual([]);
  });
});
