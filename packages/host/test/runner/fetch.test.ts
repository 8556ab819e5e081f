import { deferred } from "../../../sdk/src/runtime/index.ts";
import { afterEach, describe, expect, it } from "vitest";
import { type Client, type Message, startRunner } from "./client.ts";

let client: Client;
afterEach(() => client.close());

const b64 = (text: string | Uint8Array): string => Buffer.from(text).toString("base64");
const OK = {
  status: 200,
  status_text: "OK",
  headers: [["content-type", "text/plain"]],
  url: "https://a.example/",
  redirected: false,
  body: b64("hi"),
  stream: null,
};

/** Starts a plugin whose tools are these function bodies, with `input` and `ctx`. */
async function start(tools: Record<string, string>): Promise<Client> {
  const body = Object.entries(tools).map(([name, code]) => `async ${name}(input, ctx) { ${code} }`);
  client = await startRunner(`export default { tools: { ${body.join(", ")} } }`);
  expect((await client.bind(Object.keys(tools))).error).toBeUndefined();
  return client;
}

const output = async (tool = "go", input: unknown = {}): Promise<unknown> => {
  const answer = await client.call(tool, input);
  return answer.error ?? answer.result.output;
};

const fetches = (): Message[] => client.lines.filter((line) => line.method === "fetch").map((line) => line.params);

describe("what a fetch asks", () => {
  it("names method, headers, redirect mode, secrets and the call", async () => {
    await start({
      go: `await fetch("https://a.example/x?q=1", { method: "PATCH", headers: { "X-One": "1" }, redirect: "manual", secrets: ["KEY"], body: "text" }); return 1`,
    });
    client.answers.fetch = () => OK;
    await client.call("go", {}, { call_id: "call_7" });
    expect(fetches()).toEqual([
      {
        call: "call_7",
        url: "https://a.example/x?q=1",
        method: "PATCH",
        headers: [
          ["content-type", "text/plain;charset=UTF-8"],
          ["x-one", "1"],
        ],
        body: b64("text"),
        upload: null,
        redirect: "manual",
        secrets: ["KEY"],
      },
    ]);
  });

  it("takes every kind of standard body", async () => {
    await start({
      go: `const send = async (body) => { await fetch("https://a.example/", { method: "POST", body }); };
        await send(new URLSearchParams({ a: "1 2" }));
        await send(new Uint8Array([1, 2, 3]));
        await send(new Blob(["blob"], { type: "image/png" }));
        const form = new FormData(); form.set("field", "value"); form.set("file", new File(["data"], "a.txt")); await send(form);
        await fetch(new Request("https://a.example/r", { method: "PUT", body: "request", headers: { "x-r": "1" } }));
        await fetch(new URL("https://a.example/u"));`,
    });
    client.answers.fetch = () => OK;
    client.answers["body.write"] = () => ({});
    await output();
    const [params, bytes, blob, form, request, url] = fetches();
    expect([params?.body, bytes?.body, blob?.body]).toEqual([
      b64("a=1+2"),
      b64(new Uint8Array([1, 2, 3])),
      b64("blob"),
    ]);
    expect(Object.fromEntries(blob?.headers)["content-type"]).toBe("image/png");
    expect(Object.fromEntries(form?.headers)["content-type"]).toMatch(/^multipart\/form-data; boundary=/);
    expect(Buffer.from(form?.body, "base64").toString()).toContain('filename="a.txt"');
    expect([request?.method, request?.url, Object.fromEntries(request?.headers)["x-r"]]).toEqual([
      "PUT",
      "https://a.example/r",
      "1",
    ]);
    expect([url?.method, url?.url, url?.body]).toEqual(["GET", "https://a.example/u", null]);
  });

  it("sends a stream that is ready and small whole, so that the host can name its length", async () => {
    await start({
      go: `let n = 0; const body = new ReadableStream({ pull(c) { n < 3 ? c.enqueue(new Uint8Array([n++])) : c.close(); } });
        return (await fetch("https://a.example/", { method: "POST", body, duplex: "half" })).status`,
    });
    client.answers.fetch = () => OK;
    expect(await output()).toBe(200);
    expect([fetches()[0]?.body, fetches()[0]?.upload]).toEqual([b64(new Uint8Array([0, 1, 2])), null]);
  });

  it("streams a body that has to be waited for, chunk by chunk, each when there is room", async () => {
    await start({
      go: `let n = 0; const opened = new Promise((d) => globalThis.open = d);
        const body = new ReadableStream({ async pull(c) { await opened; n < 3 ? c.enqueue(new Uint8Array(300_000).fill(n++)) : c.close(); } });
        return (await fetch("https://a.example/", { method: "POST", body, duplex: "half" })).status`,
      open: `globalThis.open()`,
    });
    const writes: Message[] = [];
    const answer = deferred<unknown>();
    client.answers.fetch = () => answer.promise;
    client.answers["body.write"] = (params) => {
      writes.push(params);
      if (params.done) answer.resolve(OK);
      return {};
    };
    const call = client.call("go");
    await client.line((line) => line.method === "fetch");
    expect(writes).toEqual([]);
    await client.call("open");
    expect((await call).result.output).toBe(200);
    const [{ upload, body }] = fetches() as [Message];
    expect(body).toBeNull();
    expect(writes.every((write) => write.upload === upload && write.call === fetches()[0]?.call)).toBe(true);
    const chunks = writes.map((write) => Buffer.from(write.data, "base64"));
    expect(Buffer.concat(chunks).length).toBe(900_000);
    expect(Math.max(...chunks.map((chunk) => chunk.length))).toBeLessThanOrEqual(256 * 1024);
    expect(writes.map((write) => write.done)).toEqual([...Array(writes.length - 1).fill(false), true]);
  });

  it("sends five megabytes of a known body in pieces, never over the cap of a line", async () => {
    await start({
      go: `await fetch("https://a.example/", { method: "POST", body: new Uint8Array(5_000_000) }); return 1`,
    });
    let bytes = 0;
    const answer = deferred<unknown>();
    client.answers.fetch = () => answer.promise;
    client.answers["body.write"] = ({ data, done }) => {
      bytes += Buffer.from(data, "base64").length;
      if (done) answer.resolve(OK);
      return {};
    };
    expect(await output()).toBe(1);
    expect(bytes).toBe(5_000_000);
  });

  it("does not pretend that a body that broke is complete", async () => {
    await start({
      go: `const snapped = new Promise((_, no) => globalThis.snap = no); let n = 0;
        const body = new ReadableStream({ pull: (c) => n++ === 0 ? c.enqueue(new Uint8Array(3)) : snapped });
        return (await fetch("https://a.example/", { method: "POST", body, duplex: "half" })).status`,
      snap: `globalThis.snap(new Error("disk"))`,
    });
    const done: unknown[] = [];
    const answer = deferred<unknown>();
    client.answers["body.write"] = (params) => (done.push(params.done), {});
    client.answers.fetch = () => answer.promise;
    const call = client.call("go");
    await client.line((line) => line.method === "body.write");
    await client.call("snap");
    answer.resolve(OK);
    expect((await call).result.output).toBe(200);
    expect(done).toEqual([false]);
  });
});

describe("what a fetch gives", () => {
  it("is a standard Response with url, redirected, headers and body", async () => {
    await start({
      go: `const r = await fetch("https://a.example/"); const copy = r.clone();
        return [r.ok, r.status, r.statusText, r.url, r.redirected, r.type, r.headers.get("X-A"), r.headers.getSetCookie(), await r.json(), copy.url, await copy.text(), r instanceof Response]`,
    });
    client.answers.fetch = () => ({
      ...OK,
      status: 201,
      status_text: "Created",
      headers: [
        ["x-a", "1"],
        ["set-cookie", "a=1"],
        ["set-cookie", "b=2"],
      ],
      url: "https://b.example/",
      redirected: true,
      body: b64('{"a":1}'),
    });
    expect(await output()).toEqual([
      true,
      201,
      "Created",
      "https://b.example/",
      true,
      "basic",
      "1",
      ["a=1", "b=2"],
      { a: 1 },
      "https://b.example/",
      '{"a":1}',
      true,
    ]);
  });

  it("gives 204 and 304 without a body, and 302 under manual", async () => {
    await start({
      go: `return (await Promise.all([204, 304, 302].map((s) => fetch("https://a.example/" + s)))).map((r) => [r.status, r.body === null])`,
    });
    client.answers.fetch = ({ url }) => ({ ...OK, status: Number(url.slice(-3)), body: null });
    expect(await output()).toEqual([
      [204, true],
      [304, true],
      [302, true],
    ]);
  });

  it("pulls a streamed body as it is read, at most two chunks ahead", async () => {
    await start({
      go: `const r = await fetch("https://a.example/"); const reader = r.body.getReader(); const first = (await reader.read()).value;
        console.log("read one"); await new Promise((d) => globalThis.next = d); let n = first.length;
        for (;;) { const { value, done } = await reader.read(); if (done) return n; n += value.length; }`,
      next: `globalThis.next()`,
    });
    let reads = 0;
    client.answers.fetch = () => ({ ...OK, body: null, stream: "s1" });
    client.answers["body.read"] = ({ stream, call }) => {
      expect([stream, call]).toEqual(["s1", "call_a"]);
      return { data: b64(new Uint8Array(1000)), done: ++reads === 50 };
    };
    const call = client.call("go", {}, { call_id: "call_a" });
    await client.line((line) => line.params?.message === "read one");
    await client.request("ping", {});
    await client.request("ping", {});
    expect(reads).toBeLessThanOrEqual(4);
    await client.call("next");
    expect((await call).result.output).toBe(50_000);
  });

  it("reads ten megabytes intact", async () => {
    await start({
      go: `const b = new Uint8Array(await (await fetch("https://a.example/")).arrayBuffer()); let s = 0; for (const x of b) s += x; return [b.length, s]`,
    });
    const chunk = new Uint8Array(256 * 1024).map((_, index) => index % 7);
    let reads = 0;
    client.answers.fetch = () => ({ ...OK, body: null, stream: "s" });
    client.answers["body.read"] = () => ({ data: b64(chunk), done: ++reads === 40 });
    expect(await output()).toEqual([chunk.length * 40, chunk.reduce((a, b) => a + b) * 40]);
  });

  it("cancels the host's stream when the plugin cancels the body", async () => {
    await start({ go: `const r = await fetch("https://a.example/"); await r.body.cancel(); return 1` });
    client.answers.fetch = () => ({ ...OK, body: null, stream: "s9" });
    client.answers["body.read"] = () => ({ data: b64("x"), done: false });
    client.answers["body.cancel"] = () => ({});
    expect(await output()).toBe(1);
    expect((await client.line((line) => line.method === "body.cancel")).params.stream).toBe("s9");
  });

  it("rejects with a TypeError that carries the host's code and fix", async () => {
    await start({
      go: `try { await fetch("https://a.example/"); } catch (e) { return [e instanceof TypeError, e.message, e.code, e.fix, e.cause.name] }`,
    });
    client.answers.fetch = () => {
      throw { code: "permission_denied", message: "The plugin has no grant for a.example.", fix: "Ask for it." };
    };
    expect(await output()).toEqual([
      true,
      "The plugin has no grant for a.example.",
      "permission_denied",
      "Ask for it.",
      "SallyportError",
    ]);
  });

  it("errors the body when the host fails in its middle", async () => {
    await start({
      go: `const r = await fetch("https://a.example/"); try { await r.text(); } catch (e) { return e.code }`,
    });
    let reads = 0;
    client.answers.fetch = () => ({ ...OK, body: null, stream: "s" });
    client.answers["body.read"] = () => {
      if (reads++ === 1) throw { code: "network_failed", message: "reset" };
      return { data: b64("x"), done: false };
    };
    expect(await output()).toBe("network_failed");
  });

  it("rejects an answer with a status that there is not, and a bad use, as fetch does", async () => {
    await start({
      go: `const out = []; for (const run of [() => fetch("https://a.example/"), () => fetch("/relative"), () => fetch("https://a.example", { body: "x" }), () => fetch("https://a.example", { secrets: "KEY" })])
        out.push(await run().then(() => "fine", (e) => e instanceof RangeError || e instanceof TypeError)); return out`,
    });
    client.answers.fetch = () => ({ ...OK, status: 99 });
    expect(await output()).toEqual([true, true, true, true]);
  });
});

describe("abort", () => {
  it("rejects at once with the signal's reason, and releases the stream of a late answer", async () => {
    await start({
      go: `const c = new AbortController(); const p = fetch("https://a.example/", { signal: c.signal }); setTimeout(() => c.abort(new Error("mine")), 0);
        try { await p } catch (e) { console.log("caught " + e.message); } return await new Promise((d) => globalThis.end = d)`,
      end: `globalThis.end(1)`,
    });
    const answer = deferred<unknown>();
    client.answers.fetch = () => answer.promise;
    client.answers["body.cancel"] = () => ({});
    const call = client.call("go");
    await client.line((line) => line.params?.message === "caught mine");
    answer.resolve({ ...OK, body: null, stream: "late" });
    expect((await client.line((line) => line.method === "body.cancel")).params.stream).toBe("late");
    await client.call("end");
    await call;
  });

  it("asks nothing when the signal is aborted before, and ends a body when it aborts in its middle", async () => {
    await start({
      before: `try { await fetch("https://a.example/", { signal: AbortSignal.abort() }) } catch (e) { return e.name }`,
      middle: `const c = new AbortController(); const r = await fetch("https://a.example/", { signal: c.signal }); const reader = r.body.getReader(); await reader.read();
        c.abort(); try { for (;;) await reader.read() } catch (e) { return e.name }`,
    });
    client.answers.fetch = () => ({ ...OK, body: null, stream: "s" });
    client.answers["body.read"] = () => ({ data: b64("x"), done: false });
    client.answers["body.cancel"] = () => ({});
    expect(await output("before")).toBe("AbortError");
    expect(fetches()).toEqual([]);
    expect(await output("middle")).toBe("AbortError");
    await client.line((line) => line.method === "body.cancel");
  });

  it("gives ctx.signal to fetch, so that cancelling the call cancels its requests", async () => {
    await start({
      go: `try { await ctx.fetch("https://a.example/", { signal: ctx.signal }) } catch (e) { return e.name }`,
    });
    client.answers.fetch = () => new Promise(() => undefined);
    const call = client.call("go", {}, { call_id: "call_c" });
    await client.line((line) => line.method === "fetch");
    client.notify("cancel", { call_id: "call_c", reason: "deadline_exceeded" });
    expect((await call).result.output).toBe("TimeoutError");
  });
});
