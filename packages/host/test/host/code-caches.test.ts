import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Host } from "../../src/host-api.ts";
import { storeRoot } from "../../src/isolation/index.ts";
import { AGENT, makeHome, OPERATOR, type TestHome } from "../support/home.ts";
import { hostIsRoot, namespaceAvailable, namespaceNote, until } from "../supervisor/support.ts";

const MANIFEST = `
manifest_version: 1
id: large
name: Large
version: 1.0.0
description: Has much code.
license: MIT
entry: plugin.js
categories: [monitoring]
contributes:
  tools:
    - name: echo
      description: Gives back what it is given.
      effect: read
      input_schema: { type: object, additionalProperties: false }
permissions: {}
config_schema: { type: object, additionalProperties: false }
`;
const CODE = `${Array.from({ length: 2500 }, (_, at) => `globalThis.made${at} = (a, b) => a + b * ${at} + "made ${at}";`).join("\n")}
export default { tools: { echo: () => ({ made: made1(1, 2) }) } };`;

describe.skipIf(!namespaceAvailable)(`the caches of compiled code of a home${namespaceNote}`, () => {
  let home: TestHome;
  let host: Host;
  let cache: string;
  beforeEach(async () => {
    home = await makeHome();
    cache = join(storeRoot(home.path, { hostIsRoot }), "cache");
    host = await home.open();
    const source = await home.plugin("large", { "plugin.yml": MANIFEST, "plugin.js": CODE });
    await host.plugins.install(OPERATOR, { source });
    expect(existsSync(cache)).toBe(false);
    await host.plugins.approve(OPERATOR, "large", {});
    expect(existsSync(cache)).toBe(false);
    await host.plugins.load(OPERATOR, "large");
  });
  afterEach(() => home.remove());

  const inodes = (): number[] =>
    readdirSync(cache, { recursive: true, encoding: "utf8" }).map((name) => statSync(join(cache, name)).ino);

  it("are filled by the first load after approval, serve the next host, and go with the plugin", async () => {
    const made = inodes();
    expect(made).toHaveLength(8);
    await host.close();
    host = await home.open();
    await host.plugins.load(OPERATOR, "large");
    expect(await host.invoke(AGENT, { tool: "large__echo", input: {} })).toMatchObject({ success: true });
    expect(inodes()).toEqual(made);
    await host.plugins.uninstall(OPERATOR, "large");
    expect(readdirSync(cache)).toEqual([]);
  });

  it("go with a revocation", async () => {
    await host.plugins.revoke(OPERATOR, "large", "It lied.");
    await until(() => readdirSync(cache).length === 0, "the cache was removed");
  });
});
