import { describe, expect, it } from "vitest";
import { createIncoming } from "../../src/broker/websocket-incoming.ts";
import type { CallContext } from "../../src/supervisor/index.ts";
import { bench, codeOf } from "./support.ts";
import {
  accepting,
  all,
  claim,
  frame,
  open,
  opening,
  type Received,
  sending,
  socketServers,
  textOf,
  wsScope,
} from "./websocket-support.ts";

const { proper, raw } = socketServers();
const echo = () => proper((socket) => socket.on("message", (data, binary) => socket.send(data, { binary })));
type Limits = NonNullable<Parameters<typeof bench>[0]["webSocketLimits"]>;

/** Opens a socket to a server that writes this after its handshake, and says how reading it ends. */
async function afterOpening(bytes: readonly Buffer[], webSocketLimits: Limits = {}) {
  const server = await raw((socket) => bytes.forEach((each) => socket.write(each)));
  const probe = bench({ granted: [wsScope(server.port)], webSocketLimits });
  const socket = await open(probe, server.url);
  return { code: await codeOf(all(probe, socket)), probe, socket };
}

describe("WebSocket: hostile servers", () => {
  it.each([301, 302, 307, 308])("follows no redirect (%i)", async (status) => {
    const other = await echo();
    const server = await raw(
      () => undefined,
      () => `HTTP/1.1 ${status} Go\r\nLocation: ${other.url}/\r\nContent-Length: 0\r\n\r\n`,
    );
    const probe = bench({ granted: [wsScope(server.port), wsScope(other.port)] });
    await expect(probe.ask("ws.open", opening(server.url))).rejects.toMatchObject({
      code: "network_failed",
      detail: "It redirects; a WebSocket follows no redirect.",
    });
    expect(other.handshakes).toEqual([]);
    expect(probe.actions).toEqual([expect.objectContaining({ method: "ws.open", outcome: "failed" })]);
  });

  it.each([
    ["a plain answer", () => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"],
    ["a wrong accept key", (head: string) => accepting(head).replace(/Accept: \S+/, "Accept: AAAA")],
    [
      "a subprotocol that nobody asked for",
      (head: string) => accepting(head).replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: evil\r\n\r\n"),
    ],
    [
      "an extension that nobody offered",
      (head: string) => accepting(head).replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
    ],
    ["headers without end", (head: string) => accepting(head).replace("\r\n\r\n", `\r\nX: ${"x".repeat(40_000)}`)],
  ])("takes no handshake with %s", async (_what, answer) => {
    const server = await raw(() => undefined, answer);
    const probe = bench({ granted: [wsScope(server.port)] });
    expect(await codeOf(probe.ask("ws.open", opening(server.url)))).toBe("network_failed");
    expect(probe.actions).toHaveLength(1);
  });

  it("gives up a handshake that is never answered", async () => {
    const server = await raw(
      () => undefined,
      () => "",
    );
    const probe = bench({ granted: [wsScope(server.port)], webSocketLimits: { handshakeMs: 20 } });
    expect(await codeOf(probe.ask("ws.open", opening(server.url)))).toBe("network_failed");
  });

  it.each<[string, readonly Buffer[], string, Limits]>([
    ["claims a message of 1 GB", [claim(2, 1n << 30n)], "limit_exceeded", {}],
    ["claims a message of 2^62 bytes", [claim(2, 1n << 62n)], "limit_exceeded", {}],
    [
      "sends a message without end, piece by piece",
      [
        frame(2, Buffer.alloc(60_000), false),
        ...Array.from({ length: 3 }, () => frame(0, Buffer.alloc(60_000), false)),
      ],
      "limit_exceeded",
      { messageBytes: 200_000 },
    ],
    [
      "sends a message in tiny pieces",
      [frame(2, Buffer.alloc(1), false), ...Array.from({ length: 200 }, () => frame(0, Buffer.alloc(1), false))],
      "limit_exceeded",
      { fragments: 100 },
    ],
    [
      "floods with pings",
      Array.from({ length: 200 }, () => frame(9, Buffer.from("ping"))),
      "limit_exceeded",
      { pingsPerSecond: 0.001, pingBurst: 50 },
    ],
    [
      "floods with empty messages",
      Array.from({ length: 300 }, () => frame(1, Buffer.alloc(0))),
      "limit_exceeded",
      { totalBytes: 64 * 200 },
    ],
    ["sets the bit of compression", [Buffer.from([0xc1, 1, 0x61])], "network_failed", {}],
    ["masks its frames", [Buffer.from([0x81, 0x81, 1, 2, 3, 4, 0x60])], "network_failed", {}],
    ["sends text that is not UTF-8", [frame(1, Buffer.from([0xff, 0xfe]))], "network_failed", {}],
    ["uses an opcode that does not exist", [frame(3, Buffer.alloc(1))], "network_failed", {}],
    ["sends nothing at all", [], "network_failed", { idleMs: 20 }],
  ])("ends the connection of a server that %s", async (_what, bytes, code, limits) => {
    const { code: found, probe, socket } = await afterOpening(bytes, limits);
    expect(found).toBe(code);
    expect(probe.actions.at(-1)).toMatchObject({ method: "ws.close", outcome: "failed", reason: code });
    expect(await codeOf(probe.ask("ws.receive", { socket }))).toBe("not_found");
  });

  it("does not wait for a server that never answers a close", async () => {
    const server = await raw(() => undefined);
    const probe = bench({ granted: [wsScope(server.port)], webSocketLimits: { closeMs: 20 } });
    const socket = await open(probe, server.url);
    await probe.ask("ws.close", { socket, code: 1000, reason: "" });
    expect((await all(probe, socket)).close).toMatchObject({ code: 1006, clean: false });
  });

  it("gives what came before the end, then the end", async () => {
    const server = await raw((socket) => {
      socket.write(Buffer.concat([frame(1, Buffer.from("last words")), claim(2, 1n << 40n)]));
    });
    const probe = bench({ granted: [wsScope(server.port)] });
    const socket = await open(probe, server.url);
    expect(textOf(await probe.ask<Received>("ws.receive", { socket }))).toEqual(["last words"]);
    expect(await codeOf(probe.ask("ws.receive", { socket }))).toBe("limit_exceeded");
  });
});

describe("WebSocket: hostile plugins", () => {
  it("gives a socket to the call that opened it, and to no other", async () => {
    const server = await echo();
    const probe = bench({ granted: [wsScope(server.port)] });
    const socket = await open(probe, server.url);
    const other: CallContext = { ...probe.context, callId: "call_2" };
    const asOther = (method: string, params: object) =>
      codeOf(probe.session.handle(method, { call: "call_2", ...params }, other, new AbortController().signal));
    expect(await asOther("ws.receive", { socket })).toBe("not_found");
    expect(await asOther("ws.send", sending(socket, "x"))).toBe("not_found");
    expect(await asOther("ws.close", { socket, code: null, reason: "" })).toBe("not_found");
    await probe.ask("ws.send", sending(socket, "still mine"));
    expect(textOf(await probe.ask<Received>("ws.receive", { socket }))).toEqual(["still mine"]);
  });

  it.each([
    ["the call ends", (probe: ReturnType<typeof bench>) => probe.session.endCall("call_1")],
    ["the plugin is unloaded", (probe: ReturnType<typeof bench>) => probe.session.close()],
  ])("closes when %s, and serves nothing of it afterwards", async (_when, stop) => {
    const server = await echo();
    const probe = bench({ granted: [wsScope(server.port)] });
    const socket = await open(probe, server.url);
    const waiting = codeOf(probe.ask("ws.receive", { socket }));
    // The request waits for its intent and then for a message; nothing but promises is between.
    await new Promise((resolve) => setImmediate(resolve));
    stop(probe);
    expect(await waiting).toBe("cancelled");
    expect((await server.ended).code).toBe(1001);
    expect(probe.actions.at(-1)).toMatchObject({ method: "ws.close", status: 1001, outcome: "succeeded" });
    for (const method of ["ws.receive", "ws.send"])
      expect(await codeOf(probe.ask(method, method === "ws.send" ? sending(socket, "x") : { socket }))).not.toBe(
        "no error",
      );
  });

  it("leaves nothing open when the call ends during the handshake", async () => {
    let reached: (() => void) | undefined;
    let gone: (() => void) | undefined;
    const asked = new Promise<void>((resolve) => (reached = resolve));
    const closed = new Promise<void>((resolve) => (gone = resolve));
    const server = await raw(
      (socket) => {
        reached?.();
        socket.once("close", () => gone?.());
      },
      () => "",
    );
    const controller = new AbortController();
    const probe = bench({ granted: [wsScope(server.port)], signal: controller.signal });
    const opened = codeOf(probe.ask("ws.open", opening(server.url)));
    await asked;
    controller.abort();
    expect(await opened).toBe("cancelled");
    await closed;
  });

  it("opens so many in a call, and so many of one plugin, and no more", async () => {
    const server = await echo();
    const probe = bench({
      granted: [wsScope(server.port)],
      webSocketLimits: { openPerCall: 2, openPerPlugin: 3 },
    });
    const first = await open(probe, server.url);
    await open(probe, server.url);
    expect(await codeOf(probe.ask("ws.open", opening(server.url)))).toBe("limit_exceeded");
    const inCall = (callId: string) =>
      codeOf(
        probe.session.handle(
          "ws.open",
          { call: callId, ...opening(server.url) },
          { ...probe.context, callId },
          new AbortController().signal,
        ),
      );
    expect(await inCall("call_2")).toBe("no error");
    expect(await inCall("call_3")).toBe("limit_exceeded");
    await probe.ask("ws.close", { socket: first, code: null, reason: "" });
    await all(probe, first);
    expect(await inCall("call_3")).toBe("no error");
  });

  it("refuses messages that are too large, too many, no UTF-8, or no base64", async () => {
    const server = await echo();
    const limits = { messageBytes: 1_000, totalBytes: 3_000 };
    const make = async () => {
      const probe = bench({ granted: [wsScope(server.port)], webSocketLimits: limits });
      return { probe, socket: await open(probe, server.url) };
    };
    const large = await make();
    expect(await codeOf(large.probe.ask("ws.send", sending(large.socket, "x".repeat(1_001))))).toBe("limit_exceeded");
    expect(await codeOf(large.probe.ask("ws.send", sending(large.socket, "x")))).toBe("network_failed");
    const many = await make();
    for (let count = 0; count < 3; count++) await many.probe.ask("ws.send", sending(many.socket, "x".repeat(900)));
    expect(await codeOf(many.probe.ask("ws.send", sending(many.socket, "x".repeat(900))))).toBe("limit_exceeded");
    const text = await make();
    expect(await codeOf(text.probe.ask("ws.send", sending(text.socket, Buffer.from([0xff]), false)))).toBe("usage");
    const broken = await make();
    expect(
      await codeOf(broken.probe.ask("ws.send", { socket: broken.socket, binary: true, data: "not base64!" })),
    ).toBe("usage");
  });

  it.each([1001, 1005, 1006, 1015, 2999, 5000, 1000.5])("closes with no code that is the host's (%d)", async (code) => {
    const server = await echo();
    const probe = bench({ granted: [wsScope(server.port)] });
    const socket = await open(probe, server.url);
    expect(await codeOf(probe.ask("ws.close", { socket, code, reason: "" }))).toBe("usage");
    expect(await codeOf(probe.ask("ws.close", { socket, code: 1000, reason: "x".repeat(124) }))).toBe("usage");
  });

  it("makes one that sends too fast wait, and keeps the order", async () => {
    const server = await echo();
    const probe = bench({ granted: [wsScope(server.port)], webSocketLimits: { perSecond: 200, burst: 5 } });
    const socket = await open(probe, server.url);
    const texts = Array.from({ length: 12 }, (_, index) => String(index));
    await Promise.all(texts.map((text) => probe.ask("ws.send", sending(socket, text))));
    const got: string[] = [];
    while (got.length < texts.length) got.push(...textOf(await probe.ask<Received>("ws.receive", { socket })));
    expect(got).toEqual(texts);
  });

  it("holds a message back for as long as there were too many, and no longer than its call", async () => {
    const server = await echo();
    const probe = bench({
      granted: [wsScope(server.port)],
      webSocketLimits: { burst: 2 },
      clock: { now: () => 0, monotonic: () => 0 },
    });
    const socket = await open(probe, server.url);
    await probe.ask("ws.send", sending(socket, "1"));
    await probe.ask("ws.send", sending(socket, "2"));
    const call = new AbortController();
    const third = codeOf(
      probe.session.handle("ws.send", { call: "call_1", ...sending(socket, "3") }, probe.context, call.signal),
    );
    const got: string[] = [];
    while (got.length < 2) got.push(...textOf(await probe.ask<Received>("ws.receive", { socket })));
    call.abort();
    expect([await third, got]).toEqual(["cancelled", ["1", "2"]]);
  });

  it("refuses one that is too large before it waits behind others", async () => {
    const server = await echo();
    const probe = bench({
      granted: [wsScope(server.port)],
      webSocketLimits: { burst: 1, messageBytes: 100 },
      clock: { now: () => 0, monotonic: () => 0 },
    });
    const socket = await open(probe, server.url);
    await probe.ask("ws.send", sending(socket, "1"));
    // This one has to wait for as long as the clock stands still.
    const call = new AbortController();
    const second = codeOf(
      probe.session.handle("ws.send", { call: "call_1", ...sending(socket, "2") }, probe.context, call.signal),
    );
    expect(await codeOf(probe.ask("ws.send", sending(socket, "x".repeat(101))))).toBe("limit_exceeded");
    call.abort();
    expect(await second).toBe("cancelled");
  });

  it("is not served outside a call", async () => {
    const { session } = bench({ granted: [wsScope(1)] });
    const signal = new AbortController().signal;
    for (const method of ["ws.open", "ws.receive", "ws.send", "ws.close"])
      expect(await codeOf(session.handle(method, { call: null }, null, signal))).toBe("permission_denied");
  });
});

describe("WebSocket: credit", () => {
  it("reads from the server only while there is room, and again once the plugin has taken half", async () => {
    const calls: string[] = [];
    const incoming = createIncoming<never>({
      queueBytes: 1_000,
      answerBytes: 400,
      pause: () => calls.push("pause"),
      resume: () => calls.push("resume"),
    });
    const signal = new AbortController().signal;
    const message = { binary: true, data: Buffer.alloc(300) };
    for (let count = 0; count < 3; count++) incoming.push(message, 300);
    expect(calls).toEqual(["pause"]);
    expect((await incoming.take(signal)).messages).toHaveLength(1);
    expect(calls).toEqual(["pause"]);
    await incoming.take(signal);
    expect(calls).toEqual(["pause", "resume"]);
  });

  it("passes a stream larger than any buffer, whole and in order", async () => {
    const server = await proper((socket) => {
      for (let index = 0; index < 60; index++) socket.send(Buffer.alloc(100_000, index));
      socket.close(1000);
    });
    const probe = bench({ granted: [wsScope(server.port)] });
    const { messages, close } = await all(probe, await open(probe, server.url));
    expect(messages.map(({ data }) => Buffer.from(data, "base64")[0])).toEqual(Array.from({ length: 60 }, (_, i) => i));
    expect(close).toEqual({ code: 1000, reason: "", clean: true });
    expect(probe.actions.at(-1)).toMatchObject({ bytes: 6_000_000 });
  });

  it("lets one read at a time wait", async () => {
    const server = await echo();
    const probe = bench({ granted: [wsScope(server.port)] });
    const socket = await open(probe, server.url);
    const first = probe.ask<Received>("ws.receive", { socket });
    expect(await codeOf(probe.ask("ws.receive", { socket }))).toBe("usage");
    await probe.ask("ws.send", sending(socket, "x"));
    expect(textOf(await first)).toEqual(["x"]);
  });
});
