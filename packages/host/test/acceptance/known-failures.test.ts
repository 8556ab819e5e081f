import { existsSync, readdirSync, readFileSync } from "node:fs";
import { chmod, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { starterConfig } from "../../src/config/index.ts";
import type { Host } from "../../src/host-api.ts";
import { storeRoot } from "../../src/isolation/index.ts";
import { AGENT, makeHome, manifestOf, OPERATOR, type TestHome, toolLine } from "../support/home.ts";
import { call, failed, type Internet, openInternet, refusal, result, run } from "./support.ts";
import { needsNamespace } from "../support/namespace.ts";

/*
 * What the four originals get wrong (design.md §12), each tried on the real host. A failed handshake and forged tokens are tried
 * in test/supervisor, where a runner can be replaced; signatures and locks come with their own issue.
 */

needsNamespace();

let home: TestHome;
let host: Host;
let internet: Internet;
beforeAll(async () => {
  internet = openInternet();
  home = await makeHome();
  host = await home.open({ overrides: { network: internet.network } });
});
afterEach(async () => {
  for (const { id } of await host.plugins.list()) await host.plugins.uninstall(OPERATOR, id, { purge: true });
});
afterAll(async () => {
  await home.remove();
  internet.close();
});

let n = 0;
const HELLO = 'export default { tools: { hello: () => ({ hello: "world" }) } };';
const plugin = (id: string, more?: string, code = HELLO, tools: readonly string[] = [toolLine("hello")], files = {}) =>
  home.plugin(`${id.replaceAll(/\W/g, "_")}-${++n}`, {
    "plugin.yml": manifestOf(id, tools, more),
    "plugin.js": code,
    ...files,
  });

describe("permissions and code", () => {
  it("does not repeat: permissions declared and not enforced", async () => {
    const asks =
      'export default { tools: { hello: async (_, ctx) => ({ text: await ctx.files.readText("/etc/hostname") }) } };';
    await run(host, await plugin("declares", "permissions: { filesystem: [{ path: /srv/data, mode: r }] }", asks));
    expect((await call(host, "declares__hello")).success).toBe(false);
  });

  it("does not repeat: code run at import before validation", async () => {
    const trace = join(dirname(home.path), "ran");
    const code = `try { process.getBuiltinModule("fs").writeFileSync(${JSON.stringify(trace)}, "x"); } catch {} ${HELLO}`;
    await refusal(
      host.plugins.install(OPERATOR, { source: await plugin("eager", "permissions: { telepathy: [] }", code) }),
    );
    expect(existsSync(trace)).toBe(false);
    expect(await host.plugins.list()).toEqual([]);
  });

  it("does not repeat: import checks by substring ('o'+'s')", async () => {
    const code = `export default { tools: { async hello() {
      const name = ["node:child_", "process"].join("");
      try { return { pid: (await import(name)).spawn("/bin/sh").pid ?? null }; } catch (error) { return { pid: null }; }
    } } };`;
    const { warnings } = await host.plugins.install(OPERATOR, { source: await plugin("pieces", undefined, code) });
    expect(warnings.join("\n")).toMatch(/plugin\.js:3.*computed/);
    await host.plugins.approve(OPERATOR, "pieces", {});
    await host.plugins.load(OPERATOR, "pieces");
    expect(result(await call(host, "pieces__hello"))).toEqual({ pid: null });
    const plain = `import { spawn } from "node:child_process"; export default { tools: { hello: () => spawn } };`;
    expect(
      (await refusal(host.plugins.install(OPERATOR, { source: await plugin("plain", undefined, plain) }))).code,
    ).toBe("bundle_failed");
  });

  it("does not repeat: zero requested capabilities approved without review", async () => {
    expect((await host.plugins.install(OPERATOR, { source: await plugin("nothing") })).plugin.state).toBe(
      "pending_approval",
    );
    expect((await refusal(host.plugins.load(OPERATOR, "nothing"))).denial).toBe(true);
  });

  it("does not repeat: one of two required capabilities is enough", async () => {
    const more = "permissions: { network: [{ host: api.example.com }], filesystem: [{ path: /srv/data, mode: r }] }";
    await host.plugins.install(OPERATOR, { source: await plugin("both", more) });
    for (const only of [
      ["tools", "network"],
      ["tools", "filesystem"],
    ])
      expect(await refusal(host.plugins.approve(OPERATOR, "both", { only }))).toMatchObject({
        code: "permission_required",
      });
    expect((await host.plugins.info("both")).granted).toEqual([]);
  });

  it("does not repeat: host:port loses its port", async () => {
    const seen = await internet.serve(80, (_request, response) => response.end("wrong port"));
    const code = `export default { tools: { hello: async () => ({ status: (await fetch("http://api.example.com/")).status }) } };`;
    await run(
      host,
      await plugin("ported", "permissions: { network: [{ host: 'api.example.com:8080', scheme: http }] }", code),
      {
        scopes: ["network+loopback=http://api.example.com:8080"],
        allowTools: ["hello"],
      },
    );
    expect((await call(host, "ported__hello")).success).toBe(false);
    expect(seen).toEqual([]);
  });

  it("does not repeat: undeclared tools answered", async () => {
    const code = "export default { tools: { hello: () => ({}), secret_door: () => ({}) } };";
    expect((await refusal(run(host, await plugin("doors", undefined, code)))).code).toBe("undeclared_tool");
    for (const tool of ["doors__secret_door", "doors__hello"])
      expect(failed(await call(host, tool)).code).toBe("unknown_tool");
  });

  it("does not repeat: side-effect flag is the plugin's word", async () => {
    await run(host, await plugin("meek", "permissions: { network: [{ host: api.example.com, methods: [GET] }] }"));
    expect(await host.tools.list(AGENT)).toMatchObject([{ effect: "external", decision: "require_approval" }]);
  });
});

describe("names, versions and bytes", () => {
  const numbered = (version: string, text = "") =>
    home.plugin(`numbered-${++n}`, {
      "plugin.yml": manifestOf("numbered", [toolLine("hello")]).replace("version: 1.0.0", `version: ${version}`),
      "plugin.js": `export default { tools: { hello: () => ({ version: "${version}" }) } };`,
      "notes.txt": text,
    });

  it("does not repeat: version compared as text (1.9 > 1.10), uninstalled version still loads", async () => {
    const own = await makeHome(
      starterConfig({ pluginsEnabled: true }).replace(
        "allowed_plugins: []",
        'allowed_plugins: [{ id: numbered, version: ">=1.10.0" }]',
      ),
    );
    try {
      const picky = await own.open();
      for (const version of ["1.9.0", "1.10.0"]) {
        await picky.plugins.install(OPERATOR, { source: await numbered(version) });
        await picky.plugins.approve(OPERATOR, "numbered", { grantOnly: true });
      }
      expect((await refusal(picky.plugins.load(OPERATOR, "numbered", { version: "1.9.0" }))).code).toBe(
        "not_allow_listed",
      );
      expect(await picky.plugins.load(OPERATOR, "numbered", { version: "1.10.0" })).toMatchObject({ state: "running" });
      await picky.plugins.uninstall(OPERATOR, "numbered", { version: "1.10.0" });
      expect((await refusal(picky.plugins.load(OPERATOR, "numbered", { version: "1.10.0" }))).code).toBe("not_found");
      expect(failed(await call(picky, "numbered__hello")).code).toBe("unknown_tool");
    } finally {
      await own.remove();
    }
  });

  it.each(["../x", "a/../../x", "/x", "x\u0000", "..", "a/b/c"])(
    "does not repeat: plugin name `../x` writes outside (%j)",
    async (id) => {
      const before = readdirSync(dirname(home.path)).toSorted();
      const source = await home.plugin(`named-${++n}`, {
        "plugin.json": JSON.stringify({
          id,
          name: "x",
          version: "1.0.0",
          description: "x",
          entry: "plugin.js",
          contributes: { tools: [] },
          permissions: {},
          config_schema: {},
        }),
        "plugin.js": HELLO,
      });
      expect((await refusal(host.plugins.install(OPERATOR, { source }))).code).toBe("manifest_invalid");
      expect(
        readdirSync(dirname(home.path))
          .filter((name) => name !== "plugins")
          .toSorted(),
      ).toEqual(before.filter((name) => name !== "plugins"));
    },
  );

  it("does not repeat: a second plugin of the same name silently replaces the first", async () => {
    await run(host, await numbered("1.0.0"));
    const before = await host.plugins.info("numbered");
    expect((await refusal(host.plugins.install(OPERATOR, { source: await numbered("1.0.0", "other") }))).code).toBe(
      "conflict",
    );
    const { plugin: newer } = await host.plugins.install(OPERATOR, { source: await numbered("2.0.0") });
    expect(newer.state).toBe("pending_approval");
    expect(await host.plugins.info("numbered")).toMatchObject({
      digest: before.digest,
      state: "running",
      version: "1.0.0",
    });
    expect(result(await call(host, "numbered__hello"))).toEqual({ version: "1.0.0" });
  });

  it("does not repeat: manifest hash ignores nested fields", async () => {
    const asks = (path: string) =>
      plugin("nested", `permissions: { network: [{ host: api.example.com, paths: ["${path}"] }] }`);
    await run(host, await asks("/v1/*"));
    const { digest } = await host.plugins.info("nested");
    const refused = await refusal(host.plugins.install(OPERATOR, { source: await asks("/v2/*") }));
    expect(refused.code).toBe("conflict");
    await host.plugins.uninstall(OPERATOR, "nested");
    const { plugin: changed } = await host.plugins.install(OPERATOR, { source: await asks("/v2/*") });
    expect(changed.digest).not.toBe(digest);
    expect(changed.state).toBe("pending_approval");
  });

  it.each(["plugin.js", "notes.txt", ".sallyport/bundle.mjs", "plugin.yml"])(
    "does not repeat: artifact hash verified without reading the file, lock covers only manifest and entry (%s)",
    async (name) => {
      await run(host, await numbered("1.0.0", "notes"));
      await host.plugins.unload(OPERATOR, "numbered");
      const { digest } = await host.plugins.info("numbered");
      const root = storeRoot(home.path, { hostIsRoot: process.getuid?.() === 0 });
      const file = join(root, digest.slice("sha256:".length), "files", name);
      await chmod(file, 0o644);
      await writeFile(file, `${readFileSync(file, "utf8")} `);
      expect((await refusal(host.plugins.load(OPERATOR, "numbered"))).code).toBe("digest_mismatch");
      expect((await host.plugins.info("numbered")).state).toBe("validated");
    },
  );

  it("does not repeat: revocation lost at restart or evaded by a new id", async () => {
    const own = await makeHome();
    try {
      const code = 'export default { tools: { hello: () => ({ from: "the revoked" }) } };';
      const first = await own.open();
      await run(first, await plugin("wolf", undefined, code));
      await first.plugins.revoke(OPERATOR, "wolf");
      await first.close();
      const second = await own.open();
      expect((await second.plugins.info("wolf")).state).toBe("revoked");
      for (const id of ["wolf", "sheep"])
        expect(
          (
            await refusal(
              second.plugins.install(OPERATOR, { source: await plugin(id, "permissions: {}\ndependencies: {}", code) }),
            )
          ).code,
        ).toBe("revoked");
    } finally {
      await own.remove();
    }
  });
});
