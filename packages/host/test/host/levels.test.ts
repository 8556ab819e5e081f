import { afterEach, describe, expect, it } from "vitest";
import { starterConfig } from "../../src/config/index.ts";
import { AGENT, installed, makeHome, manifestOf, OPERATOR, type TestHome, toolLine } from "../support/home.ts";

/** A machine without a kernel level, whatever this one has. */
const WITHOUT = { overrides: { levels: ["runtime"] } } as const;
const LOWERED = starterConfig({ pluginsEnabled: true }).replace("minimum: kernel", "minimum: runtime");

let home: TestHome;
afterEach(() => home.remove());

function hello(id: string, more?: string): Promise<string> {
  return home.plugin(id, {
    "plugin.yml": manifestOf(id, [toolLine("hello")], more),
    "plugin.js": "export default { tools: { hello: () => ({ hello: 'world' }) } };",
  });
}

describe("on a machine without a kernel level", () => {
  it("a plugin does not start, and the refusal says how to get one", async () => {
    home = await makeHome();
    const host = await home.open(WITHOUT);
    const { plugin } = await host.plugins.install(OPERATOR, { source: await hello("loud") });
    expect(plugin.isolation).toBeNull();
    await host.plugins.approve(OPERATOR, plugin.id, {});
    await expect(host.plugins.load(OPERATOR, plugin.id)).rejects.toMatchObject({
      name: "PolicyViolationError",
      code: "isolation_unavailable",
      fix: expect.stringContaining("bubblewrap"),
    });
    expect(await host.tools.list(AGENT)).toEqual([]);
  });

  it("it runs at runtime level once the operator lowered the floor, and status and audit say so", async () => {
    home = await makeHome(LOWERED);
    const host = await home.open(WITHOUT);
    const id = await installed(host, await hello("loud"));
    expect((await host.plugins.info(id)).isolation).toBe("runtime");
    const { callId, success } = await host.invoke(AGENT, { tool: "loud__hello", input: {} });
    expect(success).toBe(true);
    expect(await host.audit.query({ call: callId })).toMatchObject([{ isolation: "runtime" }]);
  });

  it("one that itself requires a kernel level does not, whatever the operator allows", async () => {
    home = await makeHome(LOWERED);
    const host = await home.open(WITHOUT);
    const source = await hello("strict", "permissions: {}\nisolation: { minimum: kernel }");
    await host.plugins.install(OPERATOR, { source });
    await host.plugins.approve(OPERATOR, "strict", {});
    await expect(host.plugins.load(OPERATOR, "strict")).rejects.toMatchObject({ code: "isolation_unavailable" });
  });
});
