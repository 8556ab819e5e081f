import { createServer, type Server } from "node:http";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { build } from "esbuild";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Client, type Message, startRunner } from "./client.ts";

const root = dirname(createRequire(import.meta.url).resolve("../../package.json"));

/* As registry/ bundles: conditions of the design, so that libraries choose fetch. */
async function bundle(code: string): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: root, loader: "js" },
    bundle: true,
    write: false,
    format: "esm",
    platform: "browser",
    conditions: ["deno", "browser", "import"],
    tsconfigRaw: {},
    logLevel: "silent",
  });
  return outputFiles[0]?.text ?? "";
}

let client: Client;
let server: Server;
let origin: string;
const seen: string[] = [];

beforeEach(async () => {
  seen.length = 0;
  server = createServer((request, response) => {
    let body = "";
    request.on("data", (data) => (body += data));
    request.on("end", () => {
      seen.push(`${request.method} ${request.url} ${request.headers["content-type"] ?? "-"} ${body}`);
      if (request.url === "/flaky" && seen.length === 1) return void response.writeHead(503).end();
      if (request.url === "/missing")
        return void response.writeHead(404, { "content-type": "application/json" }).end('{"why":"gone"}');
      response
        .writeHead(200, { "content-type": "application/json", "x-seen": String(seen.length) })
        .end(JSON.stringify({ url: request.url, body }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  origin = `http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}`;
});

afterEach(async () => {
  await client.close();
  await new Promise((resolve) => server.close(resolve));
});

/* A host that grants everything on loopback, and always streams. */
function serve(): void {
  const bodies = new Map<string, Buffer>();
  let last = 0;
  client.answers.fetch = async (params: Message) => {
    const init: Message = { method: params.method, headers: params.headers, redirect: params.redirect };
    if (params.body !== null) init.body = Buffer.from(params.body, "base64");
    const response = await fetch(params.url, init);
    const stream = `s${++last}`;
    bodies.set(stream, Buffer.from(await response.arrayBuffer()));
    return {
      status: response.status,
      status_text: response.statusText,
      headers: [...response.headers],
      url: response.url,
      redirected: response.redirected,
      body: null,
      stream,
    };
  };
  client.answers["body.read"] = ({ stream }) => ({ data: bodies.get(stream)?.toString("base64") ?? "", done: true });
  client.answers["body.cancel"] = () => ({});
}

async function run(imports: string, code: string): Promise<Message[string]> {
  client = await startRunner(
    await bundle(`${imports}; export default { tools: { async go({ origin }, ctx) { ${code} } } }`),
  );
  expect((await client.bind(["go"])).error).toBeUndefined();
  serve();
  const answer = await client.call("go", { origin });
  return answer.error ?? answer.result.output;
}

describe("unmodified HTTP clients from npm, over the global fetch", () => {
  it("ky: JSON both ways, prefix, search parameters, retry, HTTP errors, hooks", async () => {
    const output = await run(
      'import ky, { HTTPError } from "ky"',
      `const api = ky.create({ prefixUrl: origin, retry: { limit: 2, delay: () => 0 }, hooks: { beforeRequest: [(r) => r.headers.set("x-hook", "1")] } });
       const posted = await api.post("items", { json: { a: 1 }, searchParams: { q: "x y" } }).json();
       const flaky = await api.get("flaky").json().catch((e) => e.message);
       const error = await api.get("missing").json().catch((e) => [e instanceof HTTPError, e.response.status]);
       return [posted, flaky, error]`,
    );
    expect(output).toEqual([{ url: "/items?q=x+y", body: '{"a":1}' }, { url: "/flaky", body: "" }, [true, 404]]);
    expect(seen[0]).toBe('POST /items?q=x+y application/json {"a":1}');
  });

  it("axios: JSON both ways, parameters, forms, headers, HTTP errors, cancellation", async () => {
    const output = await run(
      'import axios from "axios"',
      `const api = axios.create({ baseURL: origin });
       const posted = await api.post("/items", { a: 1 }, { params: { q: "x" } });
       const form = await api.post("/form", new URLSearchParams({ f: "1" }));
       const error = await api.get("/missing").catch((e) => [axios.isAxiosError(e), e.response?.status, e.response?.data]);
       const controller = new AbortController(); controller.abort();
       const cancelled = await api.get("/never", { signal: controller.signal }).catch((e) => axios.isCancel(e));
       return [posted.status, posted.data, posted.headers["x-seen"], form.data.body, error, cancelled]`,
    );
    expect(output).toEqual([
      200,
      { url: "/items?q=x", body: '{"a":1}' },
      "1",
      "f=1",
      [true, 404, { why: "gone" }],
      true,
    ]);
    expect(seen.map((line) => line.split(" ")[1])).not.toContain("/never");
  });

  it("ofetch: JSON both ways, query, retry, HTTP errors", async () => {
    const output = await run(
      'import { ofetch } from "ofetch"',
      `const posted = await ofetch("/items", { baseURL: origin, method: "POST", body: { a: 1 }, query: { q: "x" } });
       const error = await ofetch("/missing", { baseURL: origin, retry: 0 }).catch((e) => [e.status, e.data]);
       return [posted, error]`,
    );
    expect(output).toEqual([{ url: "/items?q=x", body: '{"a":1}' }, [404, { why: "gone" }]]);
  });

  it("tells the author what the host refused, through the library", async () => {
    client = await startRunner(
      await bundle(
        'import axios from "axios"; export default { tools: { go: () => axios.get("https://evil.example/").catch((e) => [e.code, e.message, e.cause?.code ?? e.cause?.cause?.code]) } }',
      ),
    );
    await client.bind(["go"]);
    client.answers.fetch = () => {
      throw { code: "permission_denied", message: "The plugin has no grant for evil.example." };
    };
    expect((await client.call("go")).result.output.slice(0, 2)).toEqual([
      "permission_denied",
      "The plugin has no grant for evil.example.",
    ]);
  });
});
