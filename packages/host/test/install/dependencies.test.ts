import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Host } from "../../src/host-api.ts";
import { AGENT, makeHome, manifestOf, OPERATOR, type TestHome, toolLine } from "../support/home.ts";
import { needsNamespace } from "../support/namespace.ts";

needsNamespace();

let home: TestHome;
let host: Host;
beforeEach(async () => {
  home = await makeHome();
  host = await home.open();
});
afterEach(() => home.remove());

function written(id: string, version: string, needs: Readonly<Record<string, string>> = {}): Promise<string> {
  return home.plugin(`${id}-${version}`, {
    "plugin.yml": `${manifestOf(id, [toolLine("look")]).replace("1.0.0", version)}dependencies: ${JSON.stringify(needs)}\n`,
    "plugin.js": "export default { tools: { look: () => ({}) } };",
  });
}

async function approved(id: string, version: string, needs: Readonly<Record<string, string>> = {}): Promise<void> {
  await host.plugins.install(OPERATOR, { source: await written(id, version, needs) });
  await host.plugins.approve(OPERATOR, id, { version });
}

const stateOf = async (id: string) => (await host.plugins.info(id)).state;

describe("plugins that depend on plugins", () => {
  it("are loaded after what they need, and that after what it needs", async () => {
    await approved("geo", "2.0.0");
    await approved("maps", "1.0.0", { geo: "^2.0.0" });
    await approved("trip", "1.0.0", { maps: "^1.0.0" });
    await host.plugins.load(OPERATOR, "trip");
    expect([await stateOf("geo"), await stateOf("maps"), await stateOf("trip")]).toEqual([
      "running",
      "running",
      "running",
    ]);
    const order = (await host.audit.query({ type: "plugin.lifecycle", order: "asc" }))
      .filter(({ to }) => to === "running")
      .map(({ plugin }) => plugin?.id);
    expect(order).toEqual(["geo", "maps", "trip"]);
    // To need a plugin is no way to it.
    expect(await host.invoke(AGENT, { tool: "geo__look", input: {} })).toMatchObject({ success: true });
  });

  it("keep what they need from going, until it is said what becomes of them", async () => {
    await approved("geo", "2.0.0");
    await approved("maps", "1.0.0", { geo: "^2.0.0" });
    await approved("trip", "1.0.0", { maps: "^1.0.0" });
    await host.plugins.load(OPERATOR, "trip");
    for (const verb of ["unload", "disable", "uninstall"] as const) {
      await expect(host.plugins[verb](OPERATOR, "geo")).rejects.toMatchObject({
        code: "dependency_conflict",
        detail: "maps 1.0.0 wants geo ^2.0.0.",
        data: { dependants: ["maps"] },
      });
    }
    expect(await stateOf("geo")).toBe("running");
    await host.plugins.unload(OPERATOR, "geo", { withDependants: true });
    expect([await stateOf("geo"), await stateOf("maps"), await stateOf("trip")]).toEqual([
      "stopped",
      "stopped",
      "stopped",
    ]);
    await host.plugins.load(OPERATOR, "trip");
    await host.plugins.disable(OPERATOR, "geo", { force: true });
    expect([await stateOf("geo"), await stateOf("maps")]).toEqual(["disabled", "running"]);
  });

  it("in a circle are refused, with the way around it", async () => {
    await approved("geo", "1.0.0", { maps: "^1.0.0" });
    await expect(
      host.plugins.install(OPERATOR, { source: await written("maps", "1.0.0", { geo: "^1.0.0" }) }),
    ).rejects.toMatchObject({ code: "dependency_conflict", detail: "maps needs geo needs maps" });
    await expect(host.plugins.info("maps")).rejects.toMatchObject({ code: "not_found" });
  });

  it("that want versions which exclude each other are refused, saying who wants what", async () => {
    await approved("geo", "2.0.0");
    await approved("maps", "1.0.0", { geo: "^2.0.0" });
    await expect(
      host.plugins.install(OPERATOR, { source: await written("trip", "1.0.0", { geo: "^1.0.0" }) }),
    ).rejects.toMatchObject({
      code: "dependency_conflict",
      detail: "maps 1.0.0 wants geo ^2.0.0. trip 1.0.0 wants geo ^1.0.0.",
    });
    await host.plugins.install(OPERATOR, { source: await written("geo", "1.0.0") });
    await expect(
      host.plugins.upgrade(OPERATOR, "geo", { source: await written("geo", "3.0.0") }),
    ).rejects.toMatchObject({ code: "dependency_conflict", data: { version: "3.0.0" } });
    expect((await host.plugins.info("geo")).version).toBe("2.0.0");
  });
});
