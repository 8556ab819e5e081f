import { cp } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, sep } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Host } from "../../src/host-api.ts";
import { makeHome, manifestOf, type TestHome, toolLine } from "../support/home.ts";
import { call, type Internet, openInternet, result, run } from "./support.ts";
import { needsNamespace } from "../support/namespace.ts";

needsNamespace();

let home: TestHome;
let host: Host;
let internet: Internet;
beforeAll(async () => {
  internet = openInternet();
  home = await makeHome();
  host = await home.open({ overrides: { network: internet.network } });
});
afterAll(async () => {
  await home.remove();
  internet.close();
});

/** A plugin's source directory with the library installed in its own node_modules, as `npm install` leaves it. */
async function withLibrary(id: string, library: string, code: string): Promise<string> {
  const source = await home.plugin(id, {
    "plugin.yml": manifestOf(
      id,
      [toolLine("ask")],
      `permissions:
  network: [{ host: api.openweathermap.org, methods: [GET, POST], paths: ["/v1/**"] }]
  secrets: [{ name: TOKEN, use: { origin: "https://api.openweathermap.org", in: "header:authorization", format: "Bearer {}" } }]`,
    ).replace("entry: plugin.js", "entry: src/plugin.ts"),
    "package.json": JSON.stringify({ name: id, version: "1.0.0", type: "module", dependencies: { [library]: "*" } }),
    "src/plugin.ts": code,
  });
  const main = createRequire(import.meta.url).resolve(library);
  const folder = main.slice(
    0,
    main.lastIndexOf(`${sep}node_modules${sep}`) + `${sep}node_modules${sep}`.length + library.length,
  );
  await cp(folder, join(source, "node_modules", library), { recursive: true, dereference: true });
  expect(dirname(folder)).toMatch(/node_modules$/);
  return source;
}

const ASK = {
  axios: `import axios from "axios";
export default { tools: { async ask({ path, body, token }: any, ctx: any) {
  const headers = token ? { authorization: "Bearer " + ctx.secrets.get("TOKEN") } : {};
  const url = "https://api.openweathermap.org" + path;
  try {
    const answer = body === undefined ? await axios.get(url, { headers, params: { q: "a b" } }) : await axios.post(url, body, { headers });
    return { status: answer.status, data: answer.data };
  } catch (error: any) { return { failed: error.response?.status ?? String(error.message) }; }
} } };`,
  ky: `import ky from "ky";
export default { tools: { async ask({ path, body, token }: any, ctx: any) {
  const headers = token ? { authorization: "Bearer " + ctx.secrets.get("TOKEN") } : {};
  const url = "https://api.openweathermap.org" + path;
  try {
    const answer = body === undefined ? await ky.get(url, { headers, searchParams: { q: "a b" }, retry: 0 }) : await ky.post(url, { json: body, headers, retry: 0 });
    return { status: answer.status, data: await answer.json() };
  } catch (error: any) { return { failed: error.response?.status ?? String(error.message) }; }
} } };`,
};

describe.each(["axios", "ky"] as const)("%s, unmodified from npm, bundled into a plugin", (library) => {
  const tool = `uses-${library}__ask`;

  it("asks through sandbox and broker, with a secret that it never sees, and is refused what was not granted", async () => {
    const seen = await internet.serve(
      443,
      (request, response) => {
        if (request.url?.startsWith("/v1/missing")) return void response.writeHead(404).end("{}");
        response.setHeader("content-type", "application/json").end(JSON.stringify({ url: request.url }));
      },
      true,
    );
    await host.secrets.set({ name: "tester" }, "TOKEN", "the-real-token", ["https://api.openweathermap.org"]);
    await run(host, await withLibrary(`uses-${library}`, library, ASK[library]), {
      scopes: ["network+loopback=https://api.openweathermap.org/v1/**,methods=GET+POST"],
      allowTools: ["ask"],
    });
    expect(result(await call(host, tool, { path: "/v1/one" }))).toMatchObject({
      status: 200,
      data: { url: expect.stringMatching(/^\/v1\/one\?q=a(\+|%20)b$/) },
    });
    expect(result(await call(host, tool, { path: "/v1/two", body: { n: 1 }, token: true }))).toMatchObject({
      status: 200,
    });
    expect(result(await call(host, tool, { path: "/v1/missing" }))).toEqual({ failed: 404 });
    expect(result(await call(host, tool, { path: "/v2/other" }))).toEqual({ failed: expect.any(String) });
    expect(seen.map(({ line, body }) => `${line.replace("+", "%20")} ${body}`.trim())).toEqual([
      "GET /v1/one?q=a%20b",
      'POST /v1/two {"n":1}',
      "GET /v1/missing?q=a%20b",
    ]);
    expect(seen[1]?.headers).toMatchObject({
      authorization: "Bearer the-real-token",
      "content-type": expect.stringContaining("json"),
    });
  });
});
