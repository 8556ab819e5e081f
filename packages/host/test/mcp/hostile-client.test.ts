import { readFile } from "node:fs/promises";
import { afterEach, describe, expect, it } from "vitest";
import { LIMITS } from "../../src/kernel/index.ts";
import { MAX_IN_FLIGHT } from "../../src/mcp/transport.ts";
import { type FakeHost, fakeHost, success, tool } from "./fake-host.ts";
import { type Connection, openSession, rawClient } from "./support.ts";

const open: Connection[] = [];

afterEach(async () => {
  for (const connection of open.splice(0)) await connection.close();
});

async function start(fake: FakeHost = fakeHost([tool("demo__echo")])) {
  const connection = await openSession(fake.host);
  open.push(connection);
  const client = rawClient(connection.client);
  return { fake, connection, client };
}

const line = (message: unknown) => `${JSON.stringify(message)}\n`;
const initialize = line({
  jsonrpc: "2.0",
  id: "init",
  method: "initialize",
  params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "x", version: "1" } },
});
const call = (id: number, text = "x") =>
  line({ jsonrpc: "2.0", id, method: "tools/call", params: { name: "demo__echo", arguments: { text } } });

async function initialized() {
  const started = await start();
  started.client.write(initialize);
  expect(await started.client.next()).toMatchObject({ id: "init", result: { serverInfo: { name: "sallyport" } } });
  return started;
}

describe("a client that sends nonsense", () => {
  const nonsense: Record<string, string | Buffer> = {
    "no JSON": "hello\n",
    "half a message": '{"jsonrpc":"2.0",\n',
    "a batch": line([{ jsonrpc: "2.0", id: 1, method: "tools/list" }]),
    "a number": "7\n",
    "another JSON-RPC": line({ jsonrpc: "1.0", id: 1, method: "tools/list" }),
    "no method": line({ jsonrpc: "2.0", id: 1 }),
    "positional parameters": line({ jsonrpc: "2.0", id: 1, method: "tools/list", params: [1] }),
    "a fraction as id": line({ jsonrpc: "2.0", id: 1.5, method: "tools/list" }),
    "an object as id": line({ jsonrpc: "2.0", id: {}, method: "tools/list" }),
    "a long id": line({ jsonrpc: "2.0", id: "x".repeat(1000), method: "tools/list" }),
    "deep nesting": `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"x":${"[".repeat(100_000)}${"]".repeat(100_000)}}}\n`,
    "a prototype key": '{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"__proto__":{"polluted":true}}}\n',
    "a prototype key in disguise":
      '{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"\\u005f_proto__":{"polluted":true}}}\n',
    "invalid UTF-8": Buffer.from([0x22, 0xff, 0x22, 0x0a]),
  };

  it.each(Object.entries(nonsense))("is answered with an error, and served on: %s [S1-13]", async (_what, bytes) => {
    const { client } = await initialized();
    client.write(bytes);
    expect((await client.next())?.error?.code).toBeLessThan(0);
    client.write(call(7));
    expect(await client.next()).toMatchObject({ id: 7, result: { content: [{ text: '{"text":"x"}' }] } });
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it("is refused what an agent's surface does not have", async () => {
    const { client } = await initialized();
    for (const [index, method] of [
      "resources/list",
      "completion/complete",
      "logging/setLevel",
      "tasks/list",
      "plugins/approve",
    ].entries()) {
      client.write(line({ jsonrpc: "2.0", id: index, method, params: {} }));
      expect(await client.next()).toMatchObject({ id: index, error: { code: -32_601 } });
    }
  });

  it("is refused a cursor that the host did not give", async () => {
    const { client } = await initialized();
    for (const [index, cursor] of ["!", "", "x".repeat(10_000), "/etc/passwd"].entries()) {
      client.write(line({ jsonrpc: "2.0", id: index, method: "tools/list", params: { cursor } }));
      expect(await client.next()).toMatchObject({ id: index, error: { code: -32_602 } });
    }
  });

  it("is refused the id of a request that is still being answered", async () => {
    const { client, fake } = await initialized();
    fake.answer = () => new Promise(() => {});
    client.write(call(1) + call(1));
    expect(await client.next()).toMatchObject({ id: null, error: { code: -32_600 } });
    expect(fake.invocations.length).toBeLessThanOrEqual(1);
  });
});

describe("a client that sends too much", () => {
  it("loses its session over a line that never ends", async () => {
    const { client, connection } = await initialized();
    connection.client.on("error", () => {});
    client.write(Buffer.alloc(LIMITS.lineBytes + 1, 0x78));
    expect(await client.next()).toMatchObject({ id: null, error: { code: -32_600 } });
    await connection.session.closed;
  });

  it("may send a line of exactly the cap, in small pieces", async () => {
    const { client, fake } = await initialized();
    fake.answer = async ({ input }) => success(JSON.stringify(input).length);
    const text = "x".repeat(LIMITS.lineBytes - call(1, "").length + 1);
    const bytes = Buffer.from(call(1, text));
    for (let from = 0; from < bytes.length; from += 65_536) client.write(bytes.subarray(from, from + 65_536));
    expect(await client.next()).toMatchObject({ id: 1, result: { content: [{ text: String(text.length + 11) }] } });
  });

  it(`has at most ${MAX_IN_FLIGHT} calls in flight`, async () => {
    const { client, fake } = await initialized();
    fake.answer = () => new Promise(() => {});
    client.write(Array.from({ length: MAX_IN_FLIGHT + 3 }, (_, index) => call(index + 1)).join(""));
    for (const id of [1, 2, 3])
      expect(await client.next()).toMatchObject({ id: MAX_IN_FLIGHT + id, error: { code: -32_000 } });
    client.write(line({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 1 } }));
    fake.answer = async () => success("room again");
    client.write(call(9999));
    expect(await client.next()).toMatchObject({ id: 9999, result: {} });
    expect(fake.invocations).toHaveLength(MAX_IN_FLIGHT + 1);
  });

  it("loses its session when it never reads what it asked for", async () => {
    const { connection, client, fake } = await initialized();
    connection.client.pause();
    connection.client.on("error", () => {});
    fake.answer = async () => success("x".repeat(LIMITS.outputBytes));
    client.write(Array.from({ length: 200 }, (_, index) => call(index + 1)).join(""));
    await connection.session.closed;
    expect(fake.listeners.size).toBe(0);
  });
});

it("gets all progress of a call before its answer", async () => {
  const { client, fake } = await initialized();
  fake.answer = async ({ onProgress }) => {
    onProgress?.({ progress: 1 });
    onProgress?.({ progress: 2 });
    return success("done");
  };
  client.write(
    line({
      jsonrpc: "2.0",
      id: 1,
      method: "tools/call",
      params: { name: "demo__echo", arguments: {}, _meta: { progressToken: "t" } },
    }),
  );
  expect(await client.next()).toMatchObject({
    method: "notifications/progress",
    params: { progressToken: "t", progress: 1 },
  });
  expect(await client.next()).toMatchObject({ params: { progress: 2 } });
  expect(await client.next()).toMatchObject({ id: 1 });
});

describe("the end of a session", () => {
  it("comes when the client ends its input, and cancels what is in flight", async () => {
    const { client, connection, fake } = await initialized();
    const aborted = new Promise<void>((resolve) => {
      fake.answer = ({ signal }) => {
        signal?.addEventListener("abort", () => resolve());
        connection.client.end();
        return new Promise(() => {});
      };
    });
    client.write(call(1));
    await Promise.all([aborted, connection.session.closed]);
    expect(await client.next()).toBeUndefined();
  });

  it("comes at once for a client that says nothing", async () => {
    const { connection } = await start();
    connection.client.end();
    await connection.session.closed;
  });
});

it("names the version of the package", async () => {
  const { client } = await start();
  client.write(initialize);
  const { version } = JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  expect((await client.next())?.result?.serverInfo.version).toBe(version);
});
