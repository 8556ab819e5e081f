import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { createInterface } from "node:readline";
import type { Duplex } from "node:stream";
import { type McpSession, serveMcpSession } from "../../src/mcp/index.ts";
import type { Host } from "../../src/host-api.ts";

export interface Connection {
  readonly client: Socket;
  readonly session: McpSession;
  readonly server: Duplex;
  close(): Promise<void>;
}

/** A real socket pair on loopback, the session serving one end. */
export async function openSession(host: Host, agent = "tester"): Promise<Connection> {
  const listener = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
  await once(listener, "listening");
  const client = connect({ port: (listener.address() as AddressInfo).port, host: "127.0.0.1", allowHalfOpen: true });
  const [server] = (await once(listener, "connection")) as [Socket];
  listener.close();
  return {
    client,
    server,
    session: serveMcpSession(host, { kind: "agent", agent }, server),
    async close() {
      client.destroy();
      server.destroy();
    },
  };
}

/** The transport of any MCP client over a socket: what the SDKs' stdio transports do. */
export function clientTransport(socket: Socket) {
  const transport = {
    onmessage: undefined as ((message: never) => void) | undefined,
    onclose: undefined as (() => void) | undefined,
    onerror: undefined as ((error: Error) => void) | undefined,
    async start() {
      createInterface({ input: socket }).on("line", (line) => transport.onmessage?.(JSON.parse(line) as never));
      socket.on("close", () => transport.onclose?.());
      socket.on("error", (error) => transport.onerror?.(error));
    },
    async send(message: unknown) {
      socket.write(`${JSON.stringify(message)}\n`);
    },
    async close() {
      socket.destroy();
    },
  };
  return transport;
}

/** Any answer or notification, as a test looks at it. */
interface Answer {
  readonly id?: number | string | null;
  readonly method?: string;
  readonly error?: { readonly code: number };
  readonly result?: { readonly serverInfo: { readonly version: string } };
}

/** A promise, and the way to resolve it. */
export function deferred(): { readonly done: Promise<void>; resolve(): void } {
  const resolvers: (() => void)[] = [];
  return {
    done: new Promise((resolve) => resolvers.push(resolve)),
    resolve: () => {
      for (const resolve of resolvers) resolve();
    },
  };
}

/** Writes lines as they stand and reads answers one by one. */
export function rawClient(socket: Socket) {
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  return {
    write: (text: string | Buffer) => socket.write(text),
    async next(): Promise<Answer | undefined> {
      const { value, done } = await lines.next();
      return done ? undefined : JSON.parse(value);
    },
  };
}
