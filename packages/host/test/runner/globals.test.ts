import { afterEach, describe, expect, it } from "vitest";
import { type Client, type Message, startRunner } from "./client.ts";

let client: Client;
afterEach(() => client.close());

/** What the expression gives inside a tool. */
async function evaluate(body: string): Promise<Message[string]> {
  client = await startRunner(`export default { tools: { async go(input, ctx) { ${body} } } }`);
  await client.bind(["go"]);
  const answer = await client.call("go", {}, { call_id: "call_g" });
  return answer.error ?? answer.result.output;
}

describe("console", () => {
  it("turns every method into log lines of the call, and keeps stdout clean", async () => {
    await evaluate(`console.log("a", 1, { b: [2] }); console.debug("d"); console.info("%s is %d%%", "x", 5, "rest"); console.warn("w"); console.error(new Error("e").message);
      console.assert(1 === 2, "math"); console.count(); console.count(); console.table([1]); console.dir({}); console.group("g"); console.groupEnd(); console.time("t"); console.clear(); console.trace("t");`);
    expect(client.logs()).toEqual([
      "info: a 1 { b: [ 2 ] }",
      "debug: d",
      "info: x is 5% rest",
      "warn: w",
      "error: e",
      "error: Assertion failed: math",
      "info: default: 1",
      "info: default: 2",
      "info: [ 1 ]",
      "info: {}",
      "info: g",
      "debug: t",
    ]);
    expect(client.lines.filter((line) => line.method === "log").every((line) => line.params.call === "call_g")).toBe(
      true,
    );
  });

  it("survives what is hostile to show, and caps what is long", async () => {
    await evaluate(`const proxy = new Proxy({}, { get() { throw 1 }, ownKeys() { throw 2 } }); const loop = {}; loop.loop = loop;
      const deep = {}; let at = deep; for (let i = 0; i < 1000; i++) at = at.x = {};
      console.log(proxy); console.log(loop); console.log(deep); console.log({ get x() { throw new Error("no") } }); console.log(Object.create(null)); console.log(Symbol("s"), 1n, undefined, null);
      console.log({ [Symbol.for("Deno.customInspect")]() { throw new Error("custom") } });
      console.log("x".repeat(1e6)); console.log(new Uint8Array(1e6)); console.log(Array.from({ length: 1e5 }, () => "y".repeat(100))); console.log({ ["__proto__"]: 1 });
      ctx.log.info("m".repeat(1e6), { big: "z".repeat(1e6) }); ctx.log.info("c", (() => { const o = {}; o.o = o; return o })()); ctx.log.info("t", 5);`);
    const logs = client.logs();
    expect(logs).toHaveLength(14);
    expect(Math.max(...logs.map((line) => line.length))).toBeLessThanOrEqual(8 * 1024 + 10);
    expect(client.lines.filter((line) => line.params?.fields).map((line) => Object.keys(line.params.fields))).toEqual([
      ["note"],
      ["note"],
      ["value"],
    ]);
  });
});

describe("what a plugin finds", () => {
  it("has a harmless process", async () => {
    expect(
      await evaluate(`return [typeof process, process.env.HOME === undefined, Object.keys(process.env), process.platform, process.versions.node === undefined, process.cwd(),
        await new Promise((d) => process.nextTick(d, "tick")), process.argv, process.on("exit", () => {}) === process, process.hrtime().length, typeof process.hrtime.bigint(), global === globalThis,
        (() => { try { process.exit(0) } catch (e) { return e.message } })(), (process.env.A = "1", process.env.A)]`),
    ).toEqual([
      "object",
      true,
      [],
      "linux",
      true,
      "/",
      "tick",
      [],
      true,
      2,
      "bigint",
      true,
      "process.exit() is not available to a plugin.",
      "1",
    ]);
  });

  it("refuses Worker in words, and has nothing that reads stdin, writes stdout or keeps data", async () => {
    expect(
      await evaluate(`const why = (run) => { try { run() } catch (e) { return e.message } };
        return [why(() => new Worker("data:,")), why(() => new BroadcastChannel("x")), typeof alert, typeof prompt, typeof confirm, typeof close, typeof localStorage, typeof sessionStorage, typeof caches]`),
    ).toEqual([
      "Worker is not available to a plugin. A plugin has one thread.",
      "BroadcastChannel is not available to a plugin. A plugin has one thread.",
      ...Array(7).fill("undefined"),
    ]);
  });

  it("cannot corrupt the wire by accident through the engine's standard streams", async () => {
    expect(
      await evaluate(`await Deno.stdout.write(new TextEncoder().encode("out\\n")); Deno.stderr.writeSync(new TextEncoder().encode("err")); process.stdout.write("p\\n");
        return await Deno.stdin.read(new Uint8Array(9))`),
    ).toBeNull();
    expect(client.logs()).toEqual(["info: out", "error: err", "info: p"]);
  });

  it("has the parts of the web platform that libraries use", async () => {
    expect(
      await evaluate(
        `return [typeof crypto.subtle, typeof structuredClone, typeof TextDecoder, typeof AbortSignal.timeout, typeof ReadableStream, typeof CompressionStream, typeof URLPattern, typeof setTimeout, typeof Buffer, Buffer.from("hi").toString("base64")]`,
      ),
    ).toEqual(["object", ...Array(7).fill("function"), "function", "aGk="]);
  });
});

describe("what a plugin breaks", () => {
  it("logs rejections and errors that nobody awaits, and keeps running", async () => {
    client = await startRunner(`export default { tools: {
      bad() { Promise.reject(new Error("stray")); setTimeout(() => { throw new Error("timer") }, 0); return 1 }, ok() { return 2 } } }`);
    await client.bind(["bad", "ok"]);
    expect((await client.call("bad")).result.output).toBe(1);
    await client.line((line) => line.params?.message?.includes("Error: stray"));
    await client.line((line) => line.params?.message?.includes("Error: timer"));
    expect((await client.call("ok")).result.output).toBe(2);
  });

  it.each([
    ["JSON", "JSON.parse = JSON.stringify = () => { throw new Error('broken') }"],
    ["promises", "Promise.prototype.then = function () { throw new Error('broken') }"],
    [
      "arrays",
      "Array.prototype.push = Array.prototype.map = Array.prototype[Symbol.iterator] = () => { throw new Error('broken') }",
    ],
    ["maps", "Map.prototype.get = Map.prototype.set = () => undefined"],
    ["text", "TextEncoder.prototype.encode = TextDecoder.prototype.decode = () => { throw new Error('broken') }"],
    ["the microtask queue", "globalThis.queueMicrotask = () => {}"],
    [
      "Object.prototype",
      "Object.prototype.toJSON = () => 'mine'; Object.prototype.id = 7; Object.prototype.error = {}; Object.prototype.method = 'x'",
    ],
  ])("that changes %s breaks at most itself: whatever it writes is whole lines of JSON", async (_, hostile) => {
    client = await startRunner(`${hostile}; export default { tools: { ok() { return "fine" } } }`);
    client.checked = false;
    await client.bind(["ok"]);
    await client.call("ok");
    expect(client.lines.length).toBeGreaterThan(1);
    expect(client.lines.every((line) => line.jsonrpc === "2.0")).toBe(true);
  });

  it("never sees the launch token", async () => {
    client =
      await startRunner(`const seen = []; const { parse } = JSON; JSON.parse = (t, ...r) => { seen.push(t); return parse(t, ...r) };
      const { decode } = TextDecoder.prototype; TextDecoder.prototype.decode = function (...a) { const t = decode.apply(this, a); seen.push(t); return t };
      export default { tools: { go() { return [seen.join(""), Object.values(globalThis).filter((v) => typeof v === "string").join("")] } } }`);
    const token = "ab".repeat(32);
    await client.request("hello", { protocols: [1], token, nonce: "cd".repeat(16) });
    expect((await client.bind(["go"])).error).toBeUndefined();
    expect(JSON.stringify((await client.call("go")).result.output)).not.toContain(token);
  });
});
