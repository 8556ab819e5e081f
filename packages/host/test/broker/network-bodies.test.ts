import { createServer as createTcp, type Socket } from "node:net";
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { afterEach, describe, expect, it } from "vitest";
import { type Bench, bench, codeOf, network, portOf, serve, type TestServer } from "./support.ts";

const closers: (() => Promise<void>)[] = [];
const server = async (...args: Parameters<typeof serve>): Promise<TestServer> => {
  const started = await serve(...args);
  closers.push(started.close);
  return started;
};
/** A server that says exactly these bytes. */
const rawServer = async (talk: (socket: Socket) => void): Promise<number> => {
  const sockets = new Set<Socket>();
  const raw = createTcp((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.once("data", () => talk(socket));
  });
  await new Promise<void>((resolve) => raw.listen(0, "127.0.0.1", resolve));
  closers.push(
    () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        raw.close(() => resolve());
      }),
  );
  return portOf(raw.address());
};
afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()));
});

/** The code with which a request or the reading of its answer fails. */
function refuses(tool: Bench, url: string): Promise<string> {
  return codeOf(tool.fetch(url).then((answer) => tool.bodyOf(answer)));
}

describe("network: answers' bodies", () => {
  it("delivers a small complete body with the answer and a large one in pieces of at most 256 KiB", async () => {
    const large = Buffer.alloc(1_500_000, "abcdefghij");
    const api = await server((request, response) => response.end(request.url === "/large" ? large : "small"));
    const { fetch, bodyOf, ask } = bench({ granted: [network(api.port)] });
    expect(await fetch(`${api.origin}/small`)).toMatchObject({
      body: Buffer.from("small").toString("base64"),
      stream: null,
    });
    const answer = await fetch(`${api.origin}/large`);
    expect(answer.body).toBeNull();
    const { data } = await ask<{ data: string }>("body.read", { stream: answer.stream });
    expect(Buffer.from(data, "base64").length).toBeLessThanOrEqual(256 * 1024);
    const rest = await bodyOf(answer);
    expect(Buffer.concat([Buffer.from(data, "base64"), rest]).equals(large)).toBe(true);
  });

  it("keeps two outstanding reads in order", async () => {
    const large = Buffer.from(Array.from({ length: 400_000 }, (_, index) => index % 251));
    const api = await server((_request, response) => response.end(large));
    const { fetch, ask } = bench({ granted: [network(api.port)] });
    const { stream } = await fetch(api.origin);
    const pieces: Buffer[] = [];
    for (let done = false; !done;) {
      const reads = await Promise.all([
        ask<{ data: string; done: boolean }>("body.read", { stream }),
        ask<{ data: string; done: boolean }>("body.read", { stream }).catch(() => ({ data: "", done: true })),
      ]);
      for (const read of reads) pieces.push(Buffer.from(read.data, "base64"));
      done = reads.some((read) => read.done);
    }
    expect(Buffer.concat(pieces).equals(large)).toBe(true);
  });

  it("hands an event stream over at once, and each event as it comes", async () => {
    let send: ((text: string) => void) | undefined;
    const api = await server((_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.flushHeaders();
      send = (text) => response.write(text);
    });
    const { fetch, ask } = bench({ granted: [network(api.port)] });
    const { stream } = await fetch(api.origin);
    for (const text of ["data: 1\n\n", "data: 2\n\n"]) {
      send?.(text);
      expect(Buffer.from((await ask<{ data: string }>("body.read", { stream })).data, "base64").toString()).toBe(text);
    }
    await ask("body.cancel", { stream });
    expect(await codeOf(ask("body.read", { stream }))).toBe("not_found");
  });

  it.each([
    ["gzip", gzipSync],
    ["deflate", deflateSync],
    ["br", brotliCompressSync],
  ])("undoes %s, and drops the length and encoding that no longer hold", async (encoding, compress) => {
    const text = "word ".repeat(50_000);
    const api = await server((_request, response) =>
      response.setHeader("content-encoding", encoding).end(compress(text)),
    );
    const { fetch, bodyOf } = bench({ granted: [network(api.port)] });
    const answer = await fetch(api.origin);
    expect((await bodyOf(answer)).toString()).toBe(text);
    expect(answer.headers.map(([name]) => name)).not.toContain("content-encoding");
    expect(answer.headers.map(([name]) => name)).not.toContain("content-length");
  });

  it("answers HEAD and 204 without a body, whatever encoding they claim", async () => {
    const api = await server((request, response) =>
      response.writeHead(request.url === "/204" ? 204 : 200, { "content-encoding": "gzip" }).end(),
    );
    const { fetch, bodyOf } = bench({ granted: [network(api.port)] });
    expect((await bodyOf(await fetch(api.origin, { method: "HEAD" }))).length).toBe(0);
    expect((await bodyOf(await fetch(`${api.origin}/204`))).length).toBe(0);
  });

  it("stops a compression bomb at the decoded size [S1-13]", async () => {
    const bomb = gzipSync(Buffer.alloc(20_000_000));
    const api = await server((_request, response) => response.setHeader("content-encoding", "gzip").end(bomb));
    const tool = bench({ granted: [network(api.port)], networkLimits: { responseBytes: 1_000_000 } });
    expect(bomb.length).toBeLessThan(1_000_000);
    expect(await refuses(tool, api.origin)).toBe("limit_exceeded");
    expect(tool.actions).toEqual([
      expect.objectContaining({ outcome: "failed", reason: "limit_exceeded", status: 200 }),
    ]);
  });

  it("stops an encoded body that decodes to nothing for ever [S1-13]", async () => {
    const emptyBlocks = Buffer.concat([
      Buffer.from([0x78, 0x9c]),
      ...Array.from({ length: 20_000 }, () => Buffer.from([0, 0, 0, 0xff, 0xff])),
    ]);
    const api = await server((_request, response) =>
      response.setHeader("content-encoding", "deflate").end(emptyBlocks),
    );
    const tool = bench({ granted: [network(api.port)], networkLimits: { responseBytes: 50_000 } });
    expect(await refuses(tool, api.origin)).toBe("limit_exceeded");
  });

  it("does not pass a body that was cut off for one that is complete", async () => {
    let closed: (() => void) | undefined;
    const gone = new Promise<void>((resolve) => (closed = resolve));
    const api = await server((_request, response) => {
      response.on("close", () => closed?.());
      response.write(Buffer.alloc(100_000));
    });
    const tool = bench({ granted: [network(api.port)], networkLimits: { totalMs: 1_000 } });
    const answer = await tool.fetch(api.origin);
    await gone;
    expect(await codeOf(tool.bodyOf(answer))).toBe("network_failed");
  });

  it("refuses an answer encoded many times over, and a broken encoding", async () => {
    const api = await server((request, response) =>
      response.setHeader("content-encoding", request.url === "/many" ? "gzip, gzip, gzip" : "gzip").end("no gzip"),
    );
    const tool = bench({ granted: [network(api.port)] });
    expect(await refuses(tool, `${api.origin}/many`)).toBe("limit_exceeded");
    expect(await refuses(tool, api.origin)).toBe("network_failed");
  });

  it("stops an endless body at its size, and holds the server back while nobody reads [S1-13]", async () => {
    let sent = 0;
    let stalled: (() => void) | undefined;
    const held = new Promise<void>((resolve) => (stalled = resolve));
    const api = await server((_request, response) => {
      const more = (): void => {
        do sent += 65_536;
        while (response.write(Buffer.alloc(65_536)));
        stalled?.();
      };
      response.on("drain", more);
      more();
    });
    const tool = bench({ granted: [network(api.port)], networkLimits: { responseBytes: 16_000_000 } });
    const answer = await tool.fetch(api.origin);
    await held;
    expect(sent).toBeLessThan(16_000_000);
    expect(await codeOf(tool.bodyOf(answer))).toBe("limit_exceeded");
  });

  it("refuses huge headers, and a server that answers no HTTP", async () => {
    const headers = await rawServer((socket) =>
      socket.write(`HTTP/1.1 200 OK\r\n${`x: ${"y".repeat(1000)}\r\n`.repeat(100)}\r\n`),
    );
    const nonsense = await rawServer((socket) => socket.end("SSH-2.0-OpenSSH\r\n"));
    const tool = bench({ granted: [network(headers), network(nonsense)] });
    expect(await refuses(tool, `http://127.0.0.1:${headers}/`)).toBe("network_failed");
    expect(await refuses(tool, `http://127.0.0.1:${nonsense}/`)).toBe("network_failed");
  });

  it("gives up on a server that answers too slowly, in its headers, in its body, or all in all", async () => {
    const silent = await rawServer(() => undefined);
    const stuck = await rawServer((socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"));
    const drip = await rawServer((socket) => {
      socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
      const timer = setInterval(() => socket.write("1\r\na\r\n"), 20);
      socket.once("close", () => clearInterval(timer));
    });
    const granted = [silent, stuck, drip].map((port) => network(port));
    expect(await refuses(bench({ granted, networkLimits: { headersMs: 50 } }), `http://127.0.0.1:${silent}/`)).toBe(
      "network_failed",
    );
    expect(await refuses(bench({ granted, networkLimits: { idleMs: 50 } }), `http://127.0.0.1:${stuck}/`)).toBe(
      "network_failed",
    );
    expect(await refuses(bench({ granted, networkLimits: { totalMs: 150 } }), `http://127.0.0.1:${drip}/`)).toBe(
      "network_failed",
    );
  });

  it("lets go of everything when the call ends", async () => {
    let gone: (() => void) | undefined;
    const closed = new Promise<void>((resolve) => (gone = resolve));
    const api = await server((_request, response) => {
      response.on("close", () => gone?.());
      response.write(Buffer.alloc(100_000));
    });
    const { fetch, session, ask, actions } = bench({ granted: [network(api.port)] });
    const { stream } = await fetch(api.origin);
    session.endCall("call_1");
    await closed;
    expect(await codeOf(ask("body.read", { stream }))).toBe("not_found");
    expect(actions).toHaveLength(1);
  });

  it("fails what is under way when the call is cancelled", async () => {
    const silent = await rawServer(() => undefined);
    const call = new AbortController();
    const waiting = bench({ granted: [network(silent)], signal: call.signal }).fetch(`http://127.0.0.1:${silent}/`);
    call.abort();
    expect(await codeOf(waiting)).toBe("cancelled");
  });

  it("does not read another call's body", async () => {
    const api = await server((_request, response) => response.end(Buffer.alloc(200_000)));
    const { fetch, session, context } = bench({ granted: [network(api.port)] });
    const { stream } = await fetch(api.origin);
    const other = { ...context, callId: "call_2" };
    expect(await codeOf(session.handle("body.read", { call: "call_2", stream }, other, other.signal))).toBe(
      "not_found",
    );
  });
});

describe("network: requests' bodies", () => {
  it("sends a body in pieces, and answers each when there is room", async () => {
    const api = await server((_request, response, body) => response.end(String(body.length)));
    const { fetch, ask, bodyOf } = bench({ granted: [network(api.port)] });
    const answer = fetch(api.origin, { method: "POST", upload: "u1" });
    const piece = Buffer.alloc(200_000, "x").toString("base64");
    for (let index = 0; index < 10; index++) await ask("body.write", { upload: "u1", data: piece, done: index === 9 });
    expect((await bodyOf(await answer)).toString()).toBe("2000000");
  });

  it("reads an answer that comes while the body is still being sent", async () => {
    const port = await rawServer((socket) => {
      socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
      let seen = "";
      socket.on("data", (chunk) => {
        seen += chunk.toString("latin1");
        if (seen.includes("last")) socket.end("4\r\ndone\r\n0\r\n\r\n");
      });
    });
    const { fetch, ask, bodyOf } = bench({ granted: [network(port)] });
    const pending = fetch(`http://127.0.0.1:${port}/`, { method: "POST", upload: "u1" });
    await ask("body.write", { upload: "u1", data: Buffer.from("first").toString("base64"), done: false });
    const answer = await pending;
    await ask("body.write", { upload: "u1", data: Buffer.from("last").toString("base64"), done: true });
    expect((await bodyOf(answer)).toString()).toBe("done");
  });

  it("accepts pieces before the intent is durable and sends none of them", async () => {
    const api = await server((_request, response, body) => response.end(body));
    let write: (() => void) | undefined;
    const { fetch, ask, bodyOf } = bench({
      granted: [network(api.port)],
      intent: new Promise((resolve) => (write = resolve)),
    });
    const answer = fetch(api.origin, { method: "POST", upload: "u1" });
    const written = ask("body.write", { upload: "u1", data: Buffer.from("early").toString("base64"), done: true });
    expect(api.requests).toEqual([]);
    write?.();
    await written;
    expect((await bodyOf(await answer)).toString()).toBe("early");
  });

  it("stops a request whose body is over its size", async () => {
    const api = await server((_request, response) => response.end("x"));
    const { fetch, ask } = bench({ granted: [network(api.port)], networkLimits: { requestBytes: 100_000 } });
    const answer = codeOf(fetch(api.origin, { method: "POST", upload: "u1" }));
    expect(
      await codeOf(ask("body.write", { upload: "u1", data: Buffer.alloc(200_000).toString("base64"), done: false })),
    ).toBe("limit_exceeded");
    expect(await answer).toBe("limit_exceeded");
    expect(api.requests).toEqual([]);
  });

  it("refuses data that is no base64, two bodies, and a body on GET", async () => {
    const { fetch } = bench({ granted: [network(1)] });
    expect(await codeOf(fetch("http://127.0.0.1:1/", { method: "POST", body: "a" }))).toBe("usage");
    expect(await codeOf(fetch("http://127.0.0.1:1/", { method: "POST", body: "YQ==", upload: "u1" }))).toBe("usage");
    const onGet = { body: "YQ==" };
    expect(await codeOf(fetch("http://127.0.0.1:1/", onGet))).toBe("usage");
  });

  it("ends an upload with its call", async () => {
    const silent = await rawServer(() => undefined);
    const { fetch, ask, session } = bench({ granted: [network(silent)] });
    const answer = codeOf(fetch(`http://127.0.0.1:${silent}/`, { method: "POST", upload: "u1" }));
    await ask("body.write", { upload: "u1", data: "YQ==", done: false });
    session.endCall("call_1");
    expect(await answer).toBe("cancelled");
    expect(await codeOf(ask("body.write", { upload: "u1", data: "YQ==", done: false }))).toBe("not_found");
  });
});

describe("network: how much", () => {
  it("refuses a flood of requests of any kind, and says so once [S1-13]", async () => {
    const { ask, actions } = bench({ clock: { now: () => 0, monotonic: () => 0 } });
    const codes = await Promise.all(Array.from({ length: 4_500 }, () => codeOf(ask("kv.get", { key: "a" }))));
    expect(codes.filter((code) => code === "limit_exceeded")).toHaveLength(500);
    expect(actions.filter(({ reason }) => reason === "limit_exceeded")).toHaveLength(1);
  });

  it("refuses more requests than the rate allows [S1-13]", async () => {
    const api = await server((_request, response) => response.end("x"));
    const { fetch } = bench({ granted: [network(api.port)], networkLimits: { perSecond: 0, burst: 3 } });
    for (let index = 0; index < 3; index++) expect(await codeOf(fetch(api.origin))).toBe("no error");
    expect(await codeOf(fetch(api.origin))).toBe("limit_exceeded");
  });

  it("lets requests over the concurrent number wait until a place is free", async () => {
    const open: (() => void)[] = [];
    let arrived: (() => void) | undefined;
    const api = await server((_request, response) => {
      open.push(() => response.end("x"));
      arrived?.();
    });
    const next = (): Promise<void> => new Promise((resolve) => (arrived = resolve));
    const { fetch } = bench({ granted: [network(api.port)], networkLimits: { concurrent: 1 } });
    const first = next();
    const answers = [fetch(`${api.origin}/1`), fetch(`${api.origin}/2`)];
    await first;
    expect(api.requests.map(({ url }) => url)).toEqual(["/1"]);
    const second = next();
    open[0]?.();
    await second;
    open[1]?.();
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200]);
  });
});
