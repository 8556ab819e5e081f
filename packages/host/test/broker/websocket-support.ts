import { createHash } from "node:crypto";
import { createServer as createHttp, type IncomingMessage, type Server } from "node:http";
import { createServer as createTcp, type Server as TcpServer, type Socket } from "node:net";
import { afterEach } from "vitest";
import { type WebSocket, WebSocketServer } from "ws";
import type { NetworkScope } from "../../src/capability/index.ts";
import { type Bench, network, portOf } from "./support.ts";

export interface Received {
  readonly messages: readonly { readonly binary: boolean; readonly data: string }[];
  readonly close: { readonly code: number; readonly reason: string; readonly clean: boolean } | null;
}

export const wsScope = (port: number, extra: Partial<NetworkScope> = {}): NetworkScope =>
  network(port, { scheme: "ws", ...extra });

export const opening = (url: string, extra: object = {}) => ({ url, protocols: [], secrets: [], ...extra });

/** Opens a socket as the plugin does, and gives its id. */
export async function open({ ask }: Pick<Bench, "ask">, url: string, extra: object = {}): Promise<string> {
  return (await ask<{ socket: string }>("ws.open", opening(url, extra))).socket;
}

export const textOf = ({ messages }: Received): string[] =>
  messages.map(({ data }) => Buffer.from(data, "base64").toString());

/** Everything that comes until the end, or the error that ends it. */
export async function all({ ask }: Pick<Bench, "ask">, socket: string): Promise<Received> {
  const messages: Received["messages"][number][] = [];
  for (;;) {
    const answer = await ask<Received>("ws.receive", { socket });
    messages.push(...answer.messages);
    if (answer.close !== null) return { messages, close: answer.close };
  }
}

export const sending = (socket: string, text: string | Buffer, binary = typeof text !== "string") => ({
  socket,
  binary,
  data: Buffer.from(text).toString("base64"),
});

export interface TestSockets {
  readonly port: number;
  readonly url: string;
  readonly handshakes: IncomingMessage[];
  /** Resolves with the next connection's end as the server saw it. */
  readonly ended: Promise<{ readonly code: number; readonly reason: string }>;
}

type Closer = () => Promise<void>;

/** Servers on loopback that end with the test. */
export function socketServers() {
  const closers: Closer[] = [];
  afterEach(async () => {
    await Promise.all(closers.splice(0).map((close) => close()));
  });

  const listen = async (server: Server | TcpServer): Promise<number> => {
    const sockets = new Set<Socket>();
    server.on("connection", (socket: Socket) => {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.once("close", () => sockets.delete(socket));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    closers.push(
      () =>
        new Promise((resolve) => {
          for (const socket of sockets) socket.destroy();
          server.close(() => resolve());
        }),
    );
    return portOf(server.address());
  };

  /** A proper WebSocket server. */
  const proper = async (
    onSocket: (socket: WebSocket, request: IncomingMessage) => void,
    server: Server = createHttp(),
  ): Promise<TestSockets> => {
    const handshakes: IncomingMessage[] = [];
    const sockets = new WebSocketServer({
      server,
      handleProtocols: (offered) => offered.values().next().value ?? false,
    });
    const ended = new Promise<{ code: number; reason: string }>((resolve) => {
      sockets.on("connection", (socket, request) => {
        handshakes.push(request);
        socket.on("error", () => undefined);
        socket.once("close", (code, reason) => resolve({ code, reason: reason.toString() }));
        onSocket(socket, request);
      });
    });
    const port = await listen(server);
    return { port, url: `ws://127.0.0.1:${port}`, handshakes, ended };
  };

  /** One that answers the handshake and then writes what it likes. */
  const raw = async (onOpen: (socket: Socket) => void, answer = accepting): Promise<{ port: number; url: string }> => {
    const port = await listen(
      createTcp((socket) => {
        let head = "";
        const onData = (chunk: Buffer): void => {
          head += chunk.toString("latin1");
          if (!head.includes("\r\n\r\n")) return;
          socket.off("data", onData);
          socket.resume();
          const text = answer(head);
          if (text !== "") socket.write(text);
          onOpen(socket);
        };
        socket.on("data", onData);
      }),
    );
    return { port, url: `ws://127.0.0.1:${port}` };
  };

  return { proper, raw };
}

/** The answer that opens a WebSocket. */
export function accepting(head: string): string {
  const key = /sec-websocket-key: (\S+)/i.exec(head)?.[1] ?? "";
  const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`;
}

/** One frame of a server. Opcodes: 0 continuation, 1 text, 2 binary, 8 close, 9 ping. */
export function frame(opcode: number, payload: Buffer, fin = true): Buffer {
  const first = (fin ? 0x80 : 0) | opcode;
  if (payload.length < 126) return Buffer.concat([Buffer.from([first, payload.length]), payload]);
  const head = Buffer.alloc(4);
  head[0] = first;
  head[1] = 126;
  head.writeUInt16BE(payload.length, 2);
  return Buffer.concat([head, payload]);
}

/** The head of a frame that claims more than it will ever bring. */
export function claim(opcode: number, length: bigint): Buffer {
  const head = Buffer.alloc(10);
  head[0] = 0x80 | opcode;
  head[1] = 127;
  head.writeBigUInt64BE(length, 2);
  return head;
}
