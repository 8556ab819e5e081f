import { afterEach, describe, expect, it } from "vitest";
import { type Client, type Message, startRunner } from "./client.ts";

let client: Client;
afterEach(() => client.close());

const b64 = (text: string): string => Buffer.from(text).toString("base64");
const textOf = ({ data }: Message): string => Buffer.from(data, "base64").toString();

/** Runs the body of a tool against a host that echoes, and ends the socket when it is asked to. */
async function run(body: string): Promise<Message[string]> {
  client = await startRunner(`export default { tools: { async go(input, ctx) { ${body} } } }`);
  const queue: Message[] = [];
  let wake: (() => void) | undefined;
  const push = (message: Message): void => {
    queue.push(message);
    wake?.();
  };
  client.answers["ws.open"] = ({ protocols }) => ({ socket: "w1", protocol: protocols[0] ?? "" });
  client.answers["ws.receive"] = async () => {
    while (queue.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    const messages = queue.filter((each) => each.code === undefined);
    const close = queue.find((each) => each.code !== undefined) ?? null;
    queue.length = 0;
    return { messages, close };
  };
  client.answers["ws.send"] = ({ binary, data }) => (push({ binary, data }), {});
  client.answers["ws.close"] = ({ code, reason }) => (push({ code: code ?? 1005, reason, clean: true }), {});
  await client.bind(["go"]);
  const answer = await client.call("go", {}, { call_id: "call_w" });
  return answer.error ?? answer.result.output;
}

const asked = (method: string): Message[] =>
  client.lines.filter((line) => line.method === method).map((line) => line.params);

describe("the global WebSocket", () => {
  it("behaves as the standard says, and is asked of the host as part of the call [S1-17]", async () => {
    const seen = await run(`return new Promise((done) => {
      const seen = []; const ws = new WebSocket("wss://a.example/feed?x=1", ["v2", "v1"]);
      seen.push([ws.url, ws.readyState, ws.protocol, ws.binaryType, WebSocket.OPEN, ws.CLOSED, ws.extensions]);
      try { ws.send("early") } catch (e) { seen.push(e.name) }
      ws.binaryType = "arraybuffer";
      ws.onopen = () => { seen.push(["open", ws.readyState, ws.protocol]); ws.send("grüezi"); const b = new Uint8Array([1, 2]); ws.send(b); b[0] = 9; ws.send(new Blob(["blob"])); seen.push(ws.bufferedAmount); };
      ws.addEventListener("message", (e) => { seen.push([typeof e.data === "string" ? e.data : [...new Uint8Array(e.data)], e.origin]);
        if (seen.filter(Array.isArray).length === 5) { seen.push(ws.bufferedAmount); ws.close(3000, "bye"); seen.push(ws.readyState); ws.send("late"); } });
      ws.onclose = (e) => { seen.push(["close", e.code, e.reason, e.wasClean, ws.readyState, e instanceof CloseEvent]); done(seen); };
    })`);
    expect(seen).toEqual([
      ["wss://a.example/feed?x=1", 0, "", "blob", 1, 3, ""],
      "InvalidStateError",
      ["open", 1, "v2"],
      13,
      ["grüezi", "wss://a.example"],
      [[1, 2], "wss://a.example"],
      [[...Buffer.from("blob")], "wss://a.example"],
      0,
      2,
      ["close", 3000, "bye", true, 3, true],
    ]);
    expect(asked("ws.open")).toEqual([
      { call: "call_w", url: "wss://a.example/feed?x=1", protocols: ["v2", "v1"], secrets: [] },
    ]);
    expect(asked("ws.send").map(textOf)).toEqual(["grüezi", "\u0001\u0002", "blob"]);
    expect(asked("ws.close")).toEqual([{ call: "call_w", socket: "w1", code: 3000, reason: "bye" }]);
  });

  it("sends names of secrets, reads http as ws, and refuses what the standard refuses", async () => {
    const seen = await run(`
      const names = []; const attempt = (make) => { try { make(); names.push("no error") } catch (e) { names.push(e.name) } };
      for (const url of ["nonsense", "ftp://a.example/", "wss://a.example/#part"]) attempt(() => new WebSocket(url));
      for (const protocols of ["a b", ["a", "a"], ""]) attempt(() => new WebSocket("wss://a.example/", protocols));
      const ws = new WebSocket(new URL("https://a.example/x"), { protocols: "p", secrets: ["KEY"] });
      await new Promise((resolve) => (ws.onopen = resolve));
      attempt(() => ws.close(1001)); attempt(() => ws.close(1000, "x".repeat(124)));
      ws.close(); await new Promise((resolve) => (ws.onclose = resolve));
      return [names, ws.url];
    `);
    expect(seen).toEqual([
      [...Array.from({ length: 6 }, () => "SyntaxError"), "InvalidAccessError", "SyntaxError"],
      "wss://a.example/x",
    ]);
    expect(asked("ws.open")).toEqual([
      { call: "call_w", url: "wss://a.example/x", protocols: ["p"], secrets: ["KEY"] },
    ]);
    expect(asked("ws.close")).toEqual([{ call: "call_w", socket: "w1", code: null, reason: "" }]);
  });

  it("tells a refusal as an error with its reason, then as a close, once", async () => {
    client = await startRunner(`export default { tools: { go: () => new Promise((done) => {
      const seen = []; const ws = new WebSocket("wss://a.example/");
      ws.onopen = () => seen.push("open"); ws.onerror = (e) => seen.push([e.message, e.error.code]);
      ws.onclose = (e) => { seen.push([e.code, e.wasClean, ws.readyState]); ws.close(); setTimeout(() => done(seen)); };
    }) } }`);
    await client.bind(["go"]);
    client.answers["ws.open"] = () => {
      throw { code: "permission_denied", message: "no grant" };
    };
    expect((await client.call("go")).result.output).toEqual([
      ["no grant", "permission_denied"],
      [1006, false, 3],
    ]);
    client.answers["ws.open"] = () => ({ socket: "w1", protocol: "" });
    client.answers["ws.receive"] = () => {
      throw { code: "limit_exceeded", message: "too much" };
    };
    expect((await client.call("go")).result.output).toEqual(["open", ["too much", "limit_exceeded"], [1006, false, 3]]);
  });

  it("waits for room before it sends the next, and delivers nothing once it closes", async () => {
    client = await startRunner(`export default { tools: { go: () => new Promise((done) => {
      const seen = []; const ws = new WebSocket("wss://a.example/"); ws.onmessage = (e) => seen.push(e.data);
      ws.onopen = () => { ws.send("one"); ws.send("two"); ws.close(); }; ws.onclose = () => done(seen);
    }) } }`);
    await client.bind(["go"]);
    const order: string[] = [];
    let closed: (() => void) | undefined;
    const closing = new Promise<void>((resolve) => (closed = resolve));
    client.answers["ws.open"] = () => ({ socket: "w1", protocol: "" });
    client.answers["ws.send"] = async (message) => {
      order.push(`asked ${textOf(message)}`);
      await new Promise((resolve) => setImmediate(resolve));
      order.push(`answered ${textOf(message)}`);
      return {};
    };
    client.answers["ws.close"] = () => (order.push("close"), closed?.(), {});
    client.answers["ws.receive"] = async () => {
      await closing;
      return { messages: [{ binary: false, data: b64("late") }], close: { code: 1000, reason: "", clean: true } };
    };
    expect((await client.call("go")).result.output).toEqual([]);
    expect(order).toEqual(["asked one", "answered one", "asked two", "answered two", "close"]);
  });

  it("belongs to the call that opened it, also with others in flight, and to none outside a call", async () => {
    client = await startRunner(`
      const first = new WebSocket("wss://a.example/early"); const early = []; first.onerror = (e) => early.push(e.error.code);
      export default { tools: {
        hold: () => new Promise((resolve) => { globalThis.release = resolve }),
        go: () => new Promise((done) => { const ws = new WebSocket("wss://a.example/"); ws.onopen = () => { ws.send("x"); ws.close() }; ws.onclose = () => { release?.(); done(early) } }),
      } }`);
    await client.bind(["hold", "go"]);
    let closed: (() => void) | undefined;
    const closing = new Promise<void>((resolve) => (closed = resolve));
    client.answers["ws.open"] = () => ({ socket: "w1", protocol: "" });
    client.answers["ws.send"] = () => ({});
    client.answers["ws.close"] = () => (closed?.(), {});
    client.answers["ws.receive"] = async () => {
      await closing;
      return { messages: [], close: { code: 1000, reason: "", clean: true } };
    };
    const held = client.call("hold", {}, { call_id: "call_held" });
    expect((await client.call("go", {}, { call_id: "call_mine" })).result.output).toEqual(["permission_denied"]);
    await held;
    const calls = client.lines.filter((line) => String(line.method).startsWith("ws.")).map((line) => line.params.call);
    expect(new Set(calls)).toEqual(new Set(["call_mine"]));
  });
});
