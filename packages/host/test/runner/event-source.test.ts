import { afterEach, expect, it } from "vitest";
import { type Client, startRunner } from "./client.ts";

let client: Client;
afterEach(() => client.close());

const STREAM = {
  status: 200,
  status_text: "OK",
  headers: [["content-type", "text/event-stream; charset=utf-8"]],
  url: "https://a.example/",
  redirected: false,
  body: null,
};

it("reads events, reconnects with the last id after a broken connection, and closes when refused", async () => {
  client = await startRunner(`export default { tools: { go: () => new Promise((done) => {
    const seen = []; const source = new EventSource("https://a.example/events");
    source.onopen = () => seen.push("open"); source.onmessage = (e) => seen.push(e.data + "#" + e.lastEventId);
    source.addEventListener("tick", (e) => seen.push("tick " + e.data));
    source.onerror = () => { seen.push("error " + source.readyState); if (source.readyState === EventSource.CLOSED) done(seen); };
  }) } }`);
  await client.bind(["go"]);
  const connections: string[][][] = [];
  const bodies = ["retry: 0\nid: 1\ndata: one\n\nevent: tick\ndata: t\n\n", "data: two\n\n"];
  client.answers.fetch = ({ headers }) => {
    connections.push(headers);
    if (connections.length > 2) throw { code: "permission_denied", message: "no longer" };
    return { ...STREAM, stream: `s${connections.length}` };
  };
  client.answers["body.read"] = ({ stream }) => ({
    data: Buffer.from(bodies[Number(stream.slice(1)) - 1] ?? "").toString("base64"),
    done: true,
  });
  expect((await client.call("go")).result.output).toEqual([
    "open",
    "one#1",
    "tick t",
    "error 0",
    "open",
    "two#1",
    "error 0",
    "error 2",
  ]);
  expect(connections.map((headers) => Object.fromEntries(headers)["last-event-id"])).toEqual([undefined, "1", "1"]);
});

it("closes on an answer that is no event stream, and asks nothing more after close()", async () => {
  client = await startRunner(`export default { tools: {
    wrong: () => new Promise((done) => { const s = new EventSource("https://a.example/"); s.onerror = () => done(s.readyState); }),
    close: () => new Promise((done) => { const s = new EventSource("https://a.example/"); s.onopen = () => { s.close(); done(s.readyState); }; }),
    bad: () => { try { new EventSource("nonsense") } catch (e) { return e.name } },
  } }`);
  await client.bind(["wrong", "close", "bad"]);
  client.answers["body.cancel"] = () => ({});
  client.answers["body.read"] = () => new Promise(() => undefined);
  client.answers.fetch = () => ({ ...STREAM, headers: [["content-type", "text/html"]], stream: "s" });
  expect((await client.call("wrong")).result.output).toBe(2);
  client.answers.fetch = () => ({ ...STREAM, stream: "s" });
  expect((await client.call("close")).result.output).toBe(2);
  expect((await client.call("bad")).result.output).toBe("TypeError");
  expect(client.lines.filter((line) => line.method === "fetch")).toHaveLength(2);
});

it("sends the last id as UTF-8, and waits no longer and no shorter for an absurd retry", async () => {
  client = await startRunner(`export default { tools: { go: () => new Promise((done) => {
    const waits = []; const real = globalThis.setTimeout; globalThis.setTimeout = (run, ms) => { waits.push(ms); return real(run, 0); };
    const source = new EventSource("https://a.example/events");
    source.onerror = () => { if (source.readyState === EventSource.CLOSED) done(waits); };
  }) } }`);
  await client.bind(["go"]);
  const ids: unknown[] = [];
  client.answers.fetch = ({ headers }) => {
    ids.push(Object.fromEntries(headers)["last-event-id"]);
    if (ids.length > 1) throw { code: "cancelled", message: "the call is over" };
    return { ...STREAM, stream: "s" };
  };
  client.answers["body.read"] = () => ({
    data: Buffer.from("retry: 99999999999\nid: grüezi\ndata: x\n\n").toString("base64"),
    done: true,
  });
  expect((await client.call("go")).result.output).toEqual([600_000]);
  expect(ids).toEqual([undefined, Buffer.from("grüezi").toString("latin1")]);
});
