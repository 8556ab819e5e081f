import { Client } from "@modelcontextprotocol/client";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Host } from "../../src/host-api.ts";
import { makeHome, OPERATOR, repositoryPlugin, type TestHome } from "../support/home.ts";
import { clientTransport, type Connection, deferred, openSession } from "./support.ts";
import { needsNamespace } from "../support/namespace.ts";

needsNamespace();

const REVISIONS = [
  ["2025-11-25", "legacy"],
  ["2026-07-28", { pin: "2026-07-28" }],
] as const;

let home: TestHome;
let host: Host;
let session: Connection;

beforeEach(async () => {
  home = await makeHome();
  host = await home.open();
  session = await openSession(host, "research");
});
afterEach(async () => {
  await session.close();
  await home.remove();
});

async function installEcho() {
  await host.plugins.install(OPERATOR, { source: repositoryPlugin("echo") });
  await host.plugins.approve(OPERATOR, "echo", {});
}

describe.each(REVISIONS)("an MCP client of revision %s and a real host", (_name, mode) => {
  const connect = async (onChanged?: () => void) => {
    const client = new Client(
      { name: "test", version: "1" },
      {
        versionNegotiation: { mode },
        ...(onChanged && { listChanged: { tools: { onChanged, autoRefresh: false, debounceMs: 0 } } }),
      },
    );
    await client.connect(clientTransport(session.client) as never);
    return client;
  };
  it("sees a plugin's tools exactly while it is loaded, and is told [S1-45] [S1-46] [S1-47]", async () => {
    let announced = deferred();
    const nextChange = () => (announced = deferred()).done;
    const client = await connect(() => announced.resolve());
    const names = async () => (await client.listTools()).tools.map(({ name }) => name);
    await installEcho();
    expect(await names()).toEqual([]);

    const loaded = nextChange();
    await host.plugins.load(OPERATOR, "echo");
    await loaded;
    expect(await names()).toEqual(["echo__echo", "echo__note"]);
    expect(await client.callTool({ name: "echo__echo", arguments: { text: "hi" } })).toMatchObject({
      structuredContent: { text: "hi" },
    });

    const unloaded = nextChange();
    await host.plugins.unload(OPERATOR, "echo");
    await unloaded;
    expect(await names()).toEqual([]);
    await expect(client.callTool({ name: "echo__echo", arguments: { text: "hi" } })).rejects.toMatchObject({
      code: -32_602,
    });
  });

  it("gets a call through once an operator said yes, and cannot say yes itself [S2-34]", async () => {
    await installEcho();
    await host.plugins.load(OPERATOR, "echo");
    const client = await connect();
    const note = () => client.callTool({ name: "echo__note", arguments: { text: "remember" } });

    const waiting = await note();
    const id = String(waiting._meta?.["sallyport/approval"]);
    expect(waiting).toMatchObject({
      isError: true,
      content: [{ text: expect.stringContaining(`sallyport approval approve ${id}`) }],
    });
    expect(await note()).toMatchObject({ isError: true, _meta: { "sallyport/approval": id } });

    await host.approvals.approve(OPERATOR, id);
    expect(await note()).toMatchObject({ structuredContent: { text: "remember", kept: 1 } });
    expect(await note()).toMatchObject({ isError: true });
    expect((await client.listTools()).tools.some(({ name }) => /approv|grant|secret|install/.test(name))).toBe(false);
  });

  it("gets an input that does not match refused, with the problem [S2-32] [S4-32]", async () => {
    await installEcho();
    await host.plugins.load(OPERATOR, "echo");
    const client = await connect();
    const refused = await client.callTool({ name: "echo__echo", arguments: { text: 7 } });
    expect(refused).toMatchObject({ isError: true, _meta: { "sallyport/code": "invalid_input" } });
  });

  it("gets commands as prompts, while their tool is there [S2-3]", async () => {
    await installEcho();
    const client = await connect();
    expect((await client.listPrompts()).prompts).toEqual([]);
    await host.plugins.load(OPERATOR, "echo");
    expect((await client.listPrompts()).prompts).toMatchObject([{ name: "echo__echo", description: "/echo TEXT" }]);
  });

  it("is audited as the session's agent", async () => {
    await installEcho();
    await host.plugins.load(OPERATOR, "echo");
    const client = await connect();
    await client.callTool({
      name: "echo__echo",
      arguments: { text: "hi" },
      _meta: { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" },
    });
    const events = await host.audit.query({ type: "plugin_tool.invoked" });
    expect(events.map(({ agent, trace }) => [agent, trace])).toContainEqual([
      "research",
      "0af7651916cd43dd8448eb211c80319c",
    ]);
  });
});
