import type { Hono } from "hono";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApi, type Principal } from "../../src/api/index.ts";
import type { Host } from "../../src/host-api.ts";
import { installed, makeHome, type TestHome } from "../support/home.ts";
import { needsNamespace } from "../support/namespace.ts";
import { ALLOWING } from "./world.ts";

needsNamespace();

const MANIFEST = `id: acme/notes
name: Notes
version: 1.0.0
description: Answers what it was given.
entry: plugin.js
contributes:
  tools:
    - name: note
      description: Answers its input.
      effect: read
      input_schema:
        type: object
        properties:
          text: { type: string, maxLength: 20 }
          n: { type: integer }
          tags: { type: array, items: { type: string }, maxItems: 9 }
        required: [text]
        additionalProperties: false
    - { name: plain, description: Takes one thing., effect: read, input_schema: { type: object, properties: { one: { type: string } } } }
  commands:
    - { name: note, description: "/note TEXT N", tool: note }
    - { name: one, description: Takes a word., tool: plain }
  routes:
    - { method: GET, path: /notes/list, tool: note }
    - { method: POST, path: /notes/list, tool: note }
    - { method: GET, path: /, tool: note }
permissions: {}
config_schema: {}
`;
const CODE = `export default { tools: { note: (input) => input, plain: (input) => input } };`;

const BOT: Principal = { kind: "agent", name: "bot" };
const CALLER = { kind: "agent", agent: "bot" } as const;

let home: TestHome;
let host: Host;
let app: Hono;
beforeAll(async () => {
  home = await makeHome(ALLOWING);
  host = await home.open();
  await installed(host, await home.plugin("notes", { "plugin.yml": MANIFEST, "plugin.js": CODE }));
  app = createApi(host, { identify: () => BOT });
});
afterAll(() => home?.remove());

async function send(method: string, path: string, body?: string, type = "application/json") {
  const response = await app.request(path, {
    method,
    ...(body !== undefined && { body, headers: { "content-type": type } }),
  });
  return { status: response.status, headers: response.headers, answer: JSON.parse((await response.text()) || "null") };
}
const get = (path: string) => send("GET", `/plugins/acme%2Fnotes${path}`);

describe("a plugin's route", () => {
  it("calls its tool with what the query and the body give, as the schema takes it [S2-4, S2-9, S4-7]", async () => {
    expect(await get("/notes/list?text=12&n=3&tags=%5B%22a%22%5D")).toMatchObject({
      status: 200,
      answer: { success: true, result: { text: "12", n: 3, tags: ["a"] }, call_id: expect.any(String) },
    });
    expect((await get("/?text=root")).answer.result).toEqual({ text: "root" });
    const posted = await send("POST", "/plugins/acme%2Fnotes/notes/list?text=a", '{"n":7}');
    expect(posted.answer.result).toEqual({ text: "a", n: 7 });
    const [event] = await host.audit.query({ type: "plugin_tool.invoked", order: "desc", limit: 1 });
    expect(event).toMatchObject({ agent: "bot", tool: "acme_notes__note", outcome: "succeeded" });
  });

  it("answers JSON that no browser makes anything of, whatever it comes to", async () => {
    for (const path of ["/notes/list?text=a", "/notes/list?n=x", "/nowhere"]) {
      const { headers } = await get(path);
      expect([path, headers.get("content-type"), headers.get("cache-control")]).toEqual([
        path,
        "application/json",
        "no-store",
      ]);
      expect(headers.get("content-security-policy")).toContain("sandbox");
      expect(headers.get("x-content-type-options")).toBe("nosniff");
      expect(headers.get("cross-origin-resource-policy")).toBe("same-origin");
    }
  });

  it.each([
    ["what the schema refuses", "/notes/list?text=a&n=three", 422, "invalid_input"],
    ["an argument that the tool lacks", "/notes/list?text=a&more=1", 422, "invalid_input"],
    ["a value twice in the query", "/notes/list?text=a&text=b", 400, "usage"],
    ["a route of another method", "/notes/list/", 404, "not_found"],
    ["a path that only decodes to the route", "/notes%2Flist?text=a", 404, "not_found"],
    ["a path in another case", "/Notes/list?text=a", 404, "not_found"],
    ["a path with an empty part", "//notes/list?text=a", 404, "not_found"],
    ["the tool's name", "/note?text=a", 404, "not_found"],
  ])("refuses %s", async (_what, path, status, code) => {
    expect(await get(path)).toMatchObject({ status, answer: { success: false, code } });
  });

  it("refuses a body that is no JSON object, one with a GET, and a value in both places", async () => {
    const post = (body: string, type?: string) => send("POST", "/plugins/acme%2Fnotes/notes/list?text=a", body, type);
    for (const [body, type] of [
      ["[]", undefined],
      ["{", undefined],
      ["n=1", "application/x-www-form-urlencoded"],
      ['{"text":"b"}', undefined],
      ['{"__proto__":{"n":1}}', undefined],
    ] as const)
      expect([body, (await post(body, type)).status]).toEqual([body, 400]);
    expect((await send("DELETE", "/plugins/acme%2Fnotes/notes/list")).status).toBe(404);
  });

  it("is found by the plugin's id and by nothing like it", async () => {
    for (const id of ["acme/notes", "acme", "notes", "acme_notes", "acme%252Fnotes", "..%2Facme%2Fnotes"])
      expect([id, (await send("GET", `/plugins/${id}/notes/list?text=a`)).answer.success]).toEqual([id, false]);
  });

  it("of a HEAD request has no body, and was policed like a GET", async () => {
    const before = (await host.plugins.info("acme/notes")).executionCount;
    const response = await app.request("/plugins/acme%2Fnotes/notes/list?text=a", { method: "HEAD" });
    expect([response.status, await response.text()]).toEqual([200, ""]);
    expect((await host.plugins.info("acme/notes")).executionCount).toBe(before + 1);
  });
});

describe("a plugin's command", () => {
  const run = (name: string, words: readonly string[], values = {}, input = {}) =>
    host.commands.run(CALLER, { name, words, values, input });

  it("takes words where its description has capitals, and values by name [S2-8, S4-6]", async () => {
    expect(await host.commands.list(CALLER)).toMatchObject([
      { name: "acme_notes__note", plugin: "acme/notes", tool: "acme_notes__note", words: ["text", "n"] },
      { name: "acme_notes__one", tool: "acme_notes__plain", words: ["one"] },
    ]);
    expect(await run("acme_notes__note", ["a b", "3"])).toMatchObject({ result: { text: "a b", n: 3 } });
    expect(await run("note", ["a"], { tags: '["x"]' }, { n: 1, text: "b" })).toMatchObject({
      result: { text: "a", n: 1, tags: ["x"] },
    });
    expect(await run("one", ["w"])).toMatchObject({ result: { one: "w" } });
  });

  it("is a call like any other: its schema decides, and it is audited", async () => {
    const answer = await run("note", ["a", "three"]);
    expect(answer).toMatchObject({ success: false, code: "invalid_input" });
    expect(await host.audit.query({ call: answer.callId })).toMatchObject([{ tool: "acme_notes__note" }]);
    await expect(run("note", ["a", "1", "b"])).rejects.toMatchObject({ code: "usage" });
    const unknown = await run("acme_notes__plain", ["a"]);
    expect(unknown).toMatchObject({ success: false, code: "not_found" });
    expect(await host.audit.query({ call: unknown.callId })).toMatchObject([
      { decision: "deny", tool: "command acme_notes__plain", outcome: "not_started" },
    ]);
  });

  it("is gone with its plugin", async () => {
    const rest = await send("POST", "/api/commands/note/run", '{"words":["a"]}');
    expect(rest.answer).toMatchObject({ success: true, result: { text: "a" } });
    await host.plugins.unload({ name: "tester" }, "acme/notes");
    expect(await host.commands.list(CALLER)).toEqual([]);
    expect(await run("acme_notes__note", ["a"])).toMatchObject({ code: "not_found" });
    expect((await get("/notes/list?text=a")).status).toBe(404);
  });
});
