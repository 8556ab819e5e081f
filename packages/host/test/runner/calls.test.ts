import { afterEach, describe, expect, it } from "vitest";
import { type Client, startRunner } from "./client.ts";

let client: Client;
afterEach(() => client.close());

const OK = {
  status: 200,
  status_text: "OK",
  headers: [],
  url: "https://a.example/",
  redirected: false,
  body: "",
  stream: null,
};

describe("which call a request belongs to", () => {
  it("keeps two agents' calls apart through awaits, timers, streams and a shared queue", async () => {
    client = await startRunner(`
      const later = (ms) => new Promise((d) => setTimeout(d, ms));
      export default { tools: { async go({ tag }, ctx) {
        await Promise.resolve();
        await fetch("https://a.example/" + tag + "/await");
        await later(3);
        await fetch("https://a.example/" + tag + "/timer");
        await new Promise((d) => queueMicrotask(() => fetch("https://a.example/" + tag + "/microtask").then(d)));
        const stream = new ReadableStream({ async pull(c) { await fetch("https://a.example/" + tag + "/stream"); c.close(); } }, { highWaterMark: 0 });
        await stream.getReader().read();
        console.log(tag);
        return ctx.call.agent;
      } } }`);
    await client.bind(["go"]);
    client.answers.fetch = () => OK;
    const tags = ["one", "two", "three"];
    const answers = await Promise.all(
      tags.map((tag) => client.call("go", { tag }, { call_id: `call_${tag}`, agent: `agent-${tag}` })),
    );
    expect(answers.map((answer) => answer.result.output)).toEqual(tags.map((tag) => `agent-${tag}`));
    const fetches = client.lines
      .filter((line) => line.method === "fetch")
      .map(({ params }) => [params.call, params.url.split("/")[3]]);
    expect(fetches).toHaveLength(12);
    for (const [call, tag] of fetches) expect(call).toBe(`call_${tag}`);
    for (const { params } of client.lines.filter((line) => line.method === "log"))
      expect(params.call).toBe(`call_${params.message}`);
  });

  it("does not lend a call to what an earlier call left behind", async () => {
    client = await startRunner(`let release; export default { tools: {
      leave() { new Promise((d) => release = d).then(() => fetch("https://a.example/late")).catch((e) => console.log("late: " + e.code)); },
      async stay() { release(); await fetch("https://a.example/own"); } } }`);
    await client.bind(["leave", "stay"]);
    client.answers.fetch = () => OK;
    await client.call("leave", {}, { call_id: "call_old" });
    await client.call("stay", {}, { call_id: "call_new" });
    const calls = client.lines
      .filter((line) => line.method === "fetch")
      .map(({ params }) => [params.url.split("/").pop(), params.call]);
    expect(Object.fromEntries(calls)).toEqual({ late: "call_old", own: "call_new" });
  });

  it("belongs to the only call in flight when the code has no call of its own, and to none when there are two or no", async () => {
    client = await startRunner(`
      const waiting = []; let wake; (async () => { for (;;) { await new Promise((d) => wake = d); while (waiting.length) { const w = waiting.shift(); w(await fetch("https://a.example/").then(() => "fine", (e) => e.code + ": " + e.message)); } } })();
      const ask = () => new Promise((d) => { waiting.push(d); wake(); });
      let open; const gate = new Promise((d) => open = d);
      export default { tools: { ask, hold: () => gate, open: () => open() } }`);
    await client.bind(["ask", "hold", "open"]);
    client.answers.fetch = () => OK;
    expect((await client.call("ask", {}, { call_id: "call_only" })).result.output).toBe("fine");
    expect(client.lines.find((line) => line.method === "fetch")?.params.call).toBe("call_only");
    const held = client.call("hold");
    expect((await client.call("ask")).result.output).toMatch(/^permission_denied: .*2 calls in flight/);
    await client.call("open");
    await held;
  });

  it("asks as nobody in initialize without an id", async () => {
    client = await startRunner(
      `export default { async initialize() { await fetch("https://a.example/"); return true; }, tools: { a() {} } }`,
    );
    await client.bind(["a"]);
    client.answers.fetch = () => OK;
    expect((await client.request("initialize", {})).result).toEqual({ ok: true });
    expect(client.lines.find((line) => line.method === "fetch")?.params.call).toBeNull();
  });

  it("asks as the id that initialize was given", async () => {
    client = await startRunner(`
      export default { async initialize(_, ctx) { await fetch("https://a.example/init"); await ctx.kv.get("k"); return true; }, tools: { a() {} } }`);
    await client.bind(["a"]);
    client.answers.fetch = () => OK;
    client.answers["kv.get"] = () => ({ value: null, found: false });
    await client.request("initialize", { call_id: "call_init" });
    expect(client.lines.filter((line) => line.params?.call).map((line) => line.params.call)).toEqual([
      "call_init",
      "call_init",
    ]);
  });
});

describe("ctx", () => {
  it("reads, writes, lists, stats, removes and makes files by the host", async () => {
    client = await startRunner(`export default { tools: { async go(_, ctx) {
      const { files } = ctx;
      const text = await files.readText(ctx.data + "/a.txt");
      const part = await files.read("/b", { offset: 2, length: 3 });
      const written = [await files.write("/c", "x".repeat(1_500_000)), await files.write("/d", new Uint8Array(2), { offset: 9 }), await files.write("/e", "")];
      await files.mkdir("/m"); await files.remove("/r");
      return [text, [...part], written, await files.list("/l"), await files.stat("/s"), await files.stat("/none") === undefined];
    } } }`);
    await client.bind(["go"]);
    const big = Buffer.alloc(2_500_000, "é");
    const writes: unknown[] = [];
    client.answers = {
      "files.read": ({ path, offset, length }) => {
        const data = (path === "/b" ? Buffer.from([0, 1, 2, 3, 4, 5]) : big).subarray(offset, offset + length);
        return { data: data.toString("base64"), size: big.length, done: offset + data.length >= big.length };
      },
      "files.write": ({ path, data, offset }) => {
        const { length } = Buffer.from(data, "base64");
        writes.push([path, length, offset]);
        return { bytes: length };
      },
      "files.list": () => ({ entries: [{ name: "x", kind: "file", size: 3, modified_ms: 5 }] }),
      "files.stat": ({ path }) => (path === "/s" ? { kind: "directory", size: 0, modified_ms: 7 } : null),
      "files.mkdir": () => ({}),
      "files.remove": () => ({}),
    };
    const answer = await client.call("go");
    const [text, ...rest] = answer.result.output;
    expect(text).toBe(big.toString());
    expect(rest).toEqual([
      [2, 3, 4],
      [1_500_000, 2, 0],
      [{ name: "x", kind: "file", size: 3, modified: 5 }],
      { kind: "directory", size: 0, modified: 7 },
      true,
    ]);
    expect(writes).toEqual([
      ["/c", 1_048_576, null],
      ["/c", 451_424, 1_048_576],
      ["/d", 2, 9],
      ["/e", 0, null],
    ]);
    expect(client.lines.find((line) => line.method === "files.read")?.params.path).toBe("${data}/a.txt");
  });

  it("keeps values, reports progress, and hands out placeholders of granted secrets only", async () => {
    client = await startRunner(`export default { tools: { async go(_, { kv, progress, secrets, log }) {
      await kv.set("k", { a: [1] }); progress(1, 4, "quarter"); progress(NaN); log.warn("low", { at: 3 });
      const missing = (() => { try { secrets.get("OTHER") } catch (e) { return [e.name, e.code] } })();
      let proto; try { secrets.get("__proto__") } catch (e) { proto = e.code }
      return [await kv.get("k"), await kv.get("none") === undefined, await kv.delete("k"), await kv.list("p"), secrets.get("KEY"), missing, proto];
    } } }`);
    await client.bind(["go"], { secrets: { KEY: "sallyport-secret-KEY-1" } });
    client.answers = {
      "kv.set": () => ({}),
      "kv.get": ({ key }) => ({ value: key === "k" ? { a: [1] } : null, found: key === "k" }),
      "kv.delete": () => ({ deleted: true }),
      "kv.list": ({ prefix }) => ({ keys: [`${prefix}1`] }),
    };
    const { result } = await client.call("go", {}, { call_id: "call_p" });
    expect(result.output).toEqual([
      { a: [1] },
      true,
      true,
      ["p1"],
      "sallyport-secret-KEY-1",
      ["SallyportError", "permission_denied"],
      "permission_denied",
    ]);
    const notes = client.lines.filter((line) => line.id === undefined).map(({ method, params }) => [method, params]);
    expect(notes).toEqual([
      ["progress", { call: "call_p", progress: 1, total: 4, message: "quarter" }],
      ["log", { call: "call_p", level: "warn", message: "low", fields: { at: 3 } }],
    ]);
  });

  it("refuses by itself what is over the cap of a line, and goes on", async () => {
    client = await startRunner(`export default { tools: { async go(_, ctx) {
      const code = await ctx.kv.set("k", "x".repeat(5_000_000)).catch((e) => e.code); await ctx.kv.set("k", 1); return code } } }`);
    await client.bind(["go"]);
    client.answers["kv.set"] = () => ({});
    expect((await client.call("go")).result.output).toBe("limit_exceeded");
  });

  it("rejects with the host's error when the host refuses", async () => {
    client = await startRunner(`export default { tools: { async go(_, ctx) {
      try { await ctx.files.read("/etc/passwd") } catch (e) { return [e.name, e.code, e.message] } } } }`);
    await client.bind(["go"]);
    expect((await client.call("go")).result.output).toEqual([
      "SallyportError",
      "permission_denied",
      "no grant for files.read",
    ]);
  });
});
