import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { createServer as createHttpServer, type Server as HttpServer } from "node:http";
import { createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";

/** Listeners on this machine that no plugin may reach, and one server that stands for the internet. */
export interface Decoys {
  readonly http: number;
  readonly tcp: number;
  readonly udp: number;
  readonly dns: number;
  readonly unix: string;
  readonly abstract: string;
  /** Port of the server that a grant names. */
  readonly granted: number;
  /** What reached the listeners since the last look, in words. Contacts are told; waits for those under way. */
  contacts(): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** Name of the folder of the granted server that the grant admits. */
const OPEN = "/open/";

export async function openDecoys(folder: string, marker: string): Promise<Decoys> {
  const seen: string[] = [];
  const sockets = new Set<Socket>();
  const track = (server: Server | HttpServer, what: string): void => {
    server.on("connection", (socket: Socket) => {
      seen.push(`a connection to ${what}`);
      sockets.add(socket);
      socket.on("error", () => undefined).once("close", () => sockets.delete(socket));
    });
  };

  const http = createHttpServer((_request, response) => void response.end("decoy"));
  const tcp = createServer((socket) => void socket.end("decoy"));
  const unix = createServer((socket) => void socket.end("decoy"));
  const abstract = createServer((socket) => void socket.end("decoy"));
  track(http, "the planted web server");
  track(tcp, "the planted TCP listener");
  track(unix, "the planted socket file");
  track(abstract, "the planted abstract socket");
  const granted = createGrantedServer(marker, (what) => seen.push(what));
  granted.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).once("close", () => sockets.delete(socket));
  });

  const udp = createSocket("udp4").on("message", () => seen.push("a datagram to the planted UDP listener"));
  const dns = createSocket("udp4").on("message", () => seen.push("a question to the planted name server"));
  const path = join(folder, "decoy.sock");
  const name = `sallyport-decoy-${marker.slice(-16)}`;
  await Promise.all([
    listening(http, { port: 0, host: "127.0.0.1" }),
    listening(tcp, { port: 0, host: "127.0.0.1" }),
    listening(granted, { port: 0, host: "127.0.0.1" }),
    listening(unix, { path }),
    // A name of its own in the network namespace, where the kernel has such names.
    listening(abstract, { path: `\0${name}` }).catch(() => undefined),
    bound(udp),
    bound(dns),
  ]);
  return {
    http: portOf(http),
    tcp: portOf(tcp),
    udp: udp.address().port,
    dns: dns.address().port,
    unix: path,
    abstract: name,
    granted: portOf(granted),
    async contacts() {
      // One turn of the loop hands over what the kernel has already taken in.
      await new Promise((resolve) => setImmediate(resolve));
      await new Promise((resolve) => setImmediate(resolve));
      return seen.splice(0);
    },
    async close() {
      udp.close();
      dns.close();
      const servers = [http, tcp, unix, abstract, granted].map(
        (server) => new Promise<void>((resolve) => void server.close(() => resolve())),
      );
      for (const socket of sockets) socket.destroy();
      await Promise.all(servers);
    },
  };
}

/** Echoes what it was sent, redirects as asked, and reports what the grant does not admit. */
function createGrantedServer(marker: string, report: (what: string) => void): HttpServer {
  return createHttpServer((request, response) => {
    const url = request.url ?? "";
    const raw = `${request.method} ${url}\n${request.rawHeaders.join("\n")}`;
    const beyond = !url.startsWith(OPEN) && url !== "/first";
    if (beyond || /stolen(?![^?]*\?to=)/.test(url.split("?")[0] ?? "")) report(`a request beyond the grant: ${url}`);
    if (request.method !== "GET") report(`a request with the method ${request.method}`);
    if (raw.includes(marker)) report("a secret, sent without encryption or where its grant does not say");
    if (/^x-planted$/im.test(raw)) report("a smuggled header");
    const to = new URL(url, "http://granted.test").searchParams.get("to");
    if (url.startsWith(`${OPEN}loop`)) response.writeHead(302, { location: `${OPEN}loop` }).end();
    else if (to !== null && url.startsWith(`${OPEN}redirect`)) response.writeHead(302, { location: to }).end();
    else response.end(raw);
  });
}

async function listening(server: Server | HttpServer, where: object): Promise<void> {
  const failed = once(server, "error").then(([error]) => Promise.reject(error));
  server.listen(where);
  await Promise.race([once(server, "listening"), failed]);
}

async function bound(socket: UdpSocket): Promise<void> {
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
}

function portOf(server: Server | HttpServer): number {
  const address: AddressInfo | string | null = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}
