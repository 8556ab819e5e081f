import { afterEach, describe, expect, it } from "vitest";
import { openWebSocket } from "../src/index.ts";
import { type FakeWebSocket, type RunningPlugin, runPlugin } from "../src/testing/index.ts";

let running: RunningPlugin | undefined;
afterEach(async () => {
  await running?.close();
  running = undefined;
});

const plugin = {
  tools: {
    talk: ({ url, texts }: { url: string; texts: string[] }) =>
      new Promise((done) => {
        const got: unknown[] = [];
        const socket = new WebSocket(url, "chat");
        socket.addEventListener("open", () => texts.forEach((text) => socket.send(text)));
        socket.addEventListener("message", ({ data }) => {
          got.push(data);
          if (got.length === texts.length) socket.close();
        });
        socket.addEventListener("error", (event) => got.push("message" in event ? event.message : ""));
        socket.addEventListener("close", ({ code }) => done({ got, code, protocol: socket.protocol }));
      }),
  },
};
const echo: FakeWebSocket = (socket, { url }) =>
  url.startsWith("wss://a.example/") ? (data) => socket.send(`echo ${String(data)}`) : undefined;
const talk = (url: string) => running?.call("talk", { url, texts: ["a", "b"] });

describe("a fake WebSocket", () => {
  it("answers as the test says, and refuses what has no fake", async () => {
    running = await runPlugin(plugin, { webSocket: echo });
    expect(await talk("wss://a.example/feed")).toEqual({ got: ["echo a", "echo b"], code: 1005, protocol: "chat" });
    expect(await talk("wss://b.example/")).toEqual({
      got: ["This plugin has no grant for a WebSocket to wss://b.example/."],
      code: 1006,
      protocol: "",
    });
    expect(running.requests.map(({ method }) => method).filter((method) => method !== "ws.receive")).toEqual([
      "ws.open",
      "ws.send",
      "ws.send",
      "ws.close",
      "ws.open",
    ]);
  });

  it("is opened with a secret of the vault by its name", async () => {
    running = await runPlugin(
      { tools: { open: () => (openWebSocket("wss://a.example/", { secrets: ["KEY"] }), 1) } },
      { webSocket: echo },
    );
    await running.call("open");
    expect(running.requests).toEqual([
      { method: "ws.open", params: { call: "call_1", url: "wss://a.example/", protocols: [], secrets: ["KEY"] } },
    ]);
  });

  it("may speak first, in bytes, and close; and the global is given back", async () => {
    const before = globalThis.WebSocket;
    const server: FakeWebSocket = (socket) => {
      socket.send(new Uint8Array([1, 2]));
      socket.close(4001, "enough");
      return () => undefined;
    };
    running = await runPlugin(
      {
        tools: {
          listen: () =>
            new Promise((done) => {
              const socket = new WebSocket("wss://a.example/");
              socket.binaryType = "arraybuffer";
              let got: number[] = [];
              socket.addEventListener("message", ({ data }) => (got = [...new Uint8Array(data)]));
              socket.addEventListener("close", ({ code, reason, wasClean }) => done({ got, code, reason, wasClean }));
            }),
        },
      },
      { webSocket: server },
    );
    expect(await running.call("listen")).toEqual({ got: [1, 2], code: 4001, reason: "enough", wasClean: true });
    await running.close();
    running = undefined;
    expect(globalThis.WebSocket).toBe(before);
  });
});
