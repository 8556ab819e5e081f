import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Host } from "../../src/host-api.ts";
import { AGENT, makeHome, OPERATOR, type TestHome } from "../support/home.ts";
import { bundleServer, serverManifest, WORDS_SERVER, WORDS_TOOLS } from "../programs/mcp-server.ts";
import { lacking } from "../programs/support.ts";

/** Its servers have a network, which only a namespace of their own can bound. */
const note = lacking("namespace", "node");

describe("two MCP servers", () => {
  let home: TestHome;
  let host: Host;
  beforeAll(async () => {
    if (note !== "") return;
    home = await makeHome("plugins: { enabled: true }\npolicy: { defaults: { read: allow, external: allow } }\n");
    host = await home.open();
    const code = await bundleServer(WORDS_SERVER);
    for (const id of ["first", "second"]) {
      const network = [{ host: `${id}.example.com` }, { host: "shared.example.com", optional: true }];
      const manifest = serverManifest(id, WORDS_TOOLS, { permissions: { network } });
      const source = await home.plugin(id, { "plugin.json": manifest, "server.mjs": `${code}// ${id}\n` });
      await host.plugins.install(OPERATOR, { source });
    }
  });
  afterAll(() => home?.remove());

  const shout = (id: string) => host.invoke(AGENT, { tool: `${id}__shout`, input: { text: "hi" } });
  const granted = async (id: string) =>
    (await host.plugins.info(id)).granted.flatMap((scope) => ("host" in scope ? [scope.host] : []));

  it.skipIf(note !== "")(`are paired, scoped and revoked each by itself [S4-36] ${note}`, async () => {
    await host.plugins.approve(OPERATOR, "first", { only: ["network:first.example.com:443", "tools"] });
    await host.plugins.load(OPERATOR, "first");
    await expect(host.plugins.load(OPERATOR, "second")).rejects.toMatchObject({ code: "not_allow_listed" });
    expect([await shout("first"), await shout("second")]).toMatchObject([{ success: true }, { code: "unknown_tool" }]);

    await host.plugins.approve(OPERATOR, "second", {});
    await host.plugins.load(OPERATOR, "second");
    expect(await granted("first")).toEqual(["first.example.com"]);
    expect(await granted("second")).toEqual(["second.example.com", "shared.example.com"]);

    await host.agents.set(OPERATOR, "local", { deny: ["second__*"] });
    expect([await shout("first"), await shout("second")]).toMatchObject([{ success: true }, { code: "unknown_tool" }]);
    await host.agents.remove(OPERATOR, "local");
    expect(await shout("second")).toMatchObject({ success: true });

    await host.plugins.revoke(OPERATOR, "first", "not needed any more");
    expect([await shout("first"), await shout("second")]).toMatchObject([{ code: "unknown_tool" }, { success: true }]);
    await expect(host.plugins.load(OPERATOR, "first")).rejects.toMatchObject({ code: "revoked" });
    expect(await granted("second")).toEqual(["second.example.com", "shared.example.com"]);
  });
});
