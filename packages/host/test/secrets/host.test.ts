import { cp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { starterConfig } from "../../src/config/index.ts";
import type { Host, InvokeAnswer } from "../../src/host-api.ts";
import { AGENT, installed, makeHome, OPERATOR, type TestHome } from "../support/home.ts";
import { needsNamespace } from "../support/namespace.ts";
import { APPROVED, keyPlugin, receiver } from "./support.ts";

needsNamespace();

const FIRST = "first-value-4711";
const SECOND = "second-value-0815";

let home: TestHome;
let host: Host;
let server: Awaited<ReturnType<typeof receiver>>;
beforeAll(async () => {
  server = await receiver();
  home = await makeHome();
  host = await home.open();
  await host.secrets.set(OPERATOR, "KEY", FIRST, [server.origin]);
  await installed(host, await keyPlugin(home, "user", server.port, "use"), APPROVED(server.port));
  await installed(host, await keyPlugin(home, "holder", server.port, "expose"), APPROVED(server.port));
});
afterAll(async () => {
  await home.remove();
  await server.close();
});

const call = (tool: string, input: unknown = {}): Promise<InvokeAnswer> => host.invoke(AGENT, { tool, input });
const lastKey = (): unknown => server.received.at(-1)?.headers["x-key"];
const doctorSays = async (): Promise<{ ok: boolean; detail: string } | undefined> =>
  (await host.doctor()).checks.find(({ name }) => name === "vault");

describe("a secret in use", () => {
  it("reaches its origin and nobody else, and the audit names secret, origin and call [S1-18]", async () => {
    const answer = await call("user__ask", { url: `${server.origin}/data` });
    expect(lastKey()).toBe(FIRST);
    expect(answer).toMatchObject({ success: true, result: { status: 200, echo: "[secret KEY]" } });
    expect(JSON.stringify(answer)).not.toContain(FIRST);
    expect(JSON.stringify(await call("user__show"))).toMatch(/sallyport-secret-KEY-/);
    await host.audit.flush();
    expect(await host.audit.query({ type: "broker.action", call: answer.callId })).toMatchObject([
      { capability: "network", target: `${server.origin}/data`, tool: "ask", data: { secrets: ["KEY"] } },
    ]);
  });

  it("is refused in any other place, and that is in the audit too", async () => {
    const before = server.received.length;
    const answer = await call("user__put", { url: `${server.origin}/`, header: "x-other" });
    expect(answer).toMatchObject({ success: false, code: "tool_failed" });
    expect(server.received).toHaveLength(before);
    await host.audit.flush();
    expect(await host.audit.query({ type: "broker.action", call: answer.callId })).toMatchObject([
      { decision: "deny", reason: "secret_misuse" },
    ]);
  });

  it("is told to a plugin under an exposing grant only, which info and audit say loudly", async () => {
    const { permissions } = await host.plugins.info("holder");
    expect(permissions.find(({ key }) => key.startsWith("secrets:KEY"))?.sentence).toMatch(/RECEIVES THE VALUE/);
    // What it answers is redacted like any other plugin's; that it knows the value shows where it may send it.
    expect(await call("holder__show")).toMatchObject({ result: { key: "[secret KEY]" } });
    await call("holder__put", { url: `${server.origin}/told`, header: "x-key" });
    expect(lastKey()).toBe(FIRST);
    await host.audit.flush();
    const told = await host.audit.query({ type: "broker.action", plugin: "holder", order: "asc" });
    expect(told[0]).toMatchObject({
      capability: "secrets",
      method: "expose",
      target: "KEY",
      data: { secrets: ["KEY"] },
    });
  });

  it("has its new value at once, in requests and in a plugin that was told the old one; the old one stays hidden", async () => {
    await host.secrets.set(OPERATOR, "KEY", SECOND, [server.origin]);
    await call("user__ask", { url: `${server.origin}/data` });
    expect(lastKey()).toBe(SECOND);
    await call("holder__put", { url: `${server.origin}/told`, header: "x-key" });
    expect(lastKey()).toBe(SECOND);
    expect(await call("user__ask", { url: `${server.origin}/?was=${FIRST}` })).toMatchObject({
      result: { body: expect.stringContaining("/?was=[secret KEY]") },
    });
    expect(await host.secrets.list()).toMatchObject([{ name: "KEY", version: 2 }]);
  });

  it("is no part of a digest in the audit, from which it could be guessed", async () => {
    const { callId: plain } = await call("user__ask", { url: `${server.origin}/data` });
    const { callId: holding } = await call("user__ask", { url: `${server.origin}/?was=${FIRST}` });
    await host.audit.flush();
    const [ordinary] = await host.audit.query({ type: "plugin_tool.invoked", call: plain });
    expect(ordinary?.input_digest).toMatch(/^sha256:/);
    const events = await host.audit.query({ type: "plugin_tool.invoked", call: holding });
    expect(events).not.toHaveLength(0);
    for (const event of events) expect(event.input_digest).toBeUndefined();
    expect(JSON.stringify(events)).toContain("/?was=[secret KEY]");
  });

  it("goes on under a new key of the vault, which doctor and audit name", async () => {
    const { key } = await host.secrets.rotateKey(OPERATOR);
    await call("user__ask", { url: `${server.origin}/data` });
    expect(lastKey()).toBe(SECOND);
    expect(await doctorSays()).toMatchObject({ ok: true, detail: expect.stringContaining(key) });
    const [event] = await host.audit.query({ type: "vault.rekeyed" });
    expect(event).toMatchObject({ actor: "operator:tester", data: { source: "file", to: key } });
  });
});

describe("a vault that is not as it was", () => {
  const vault = (): string => join(home.path, "vault");

  it("shows when an older copy was put back", async () => {
    await cp(vault(), `${vault()}.old`);
    await host.secrets.set(OPERATOR, "OTHER", "other-value-99", [server.origin]);
    await host.close();
    await cp(`${vault()}.old`, vault());
    await rm(`${vault()}.old`);
    host = await home.open();
    expect(await doctorSays()).toMatchObject({ ok: false, detail: expect.stringContaining("an older copy") });
    const [event] = await host.audit.query({ type: "vault.rolled_back" });
    expect(event?.data).toEqual({ found: 3, seen: 4 });
    await host.close();
    host = await home.open();
    expect(await doctorSays()).toMatchObject({ ok: true });
  });

  it("does not keep the host from starting when it does not open: what needs a secret is denied with the reason", async () => {
    await host.close();
    const key = join(home.path, "keys", "vault.key");
    const text = await readFile(key, "utf8");
    await writeFile(key, `${"0".repeat(64)}\n`);
    host = await home.open();
    expect(await doctorSays()).toMatchObject({
      ok: false,
      detail: expect.stringContaining("It was sealed with the key"),
    });
    const before = server.received.length;
    expect(await call("user__ask", { url: `${server.origin}/data` })).toMatchObject({
      success: false,
      error: expect.stringContaining("The vault does not open with this key"),
    });
    expect(server.received).toHaveLength(before);
    expect(await call("holder__show")).toMatchObject({ success: false, code: "vault_unavailable" });
    for (const verb of [
      () => host.secrets.list(),
      () => host.secrets.set(OPERATOR, "KEY", SECOND, [server.origin]),
      () => host.secrets.rotateKey(OPERATOR),
    ])
      await expect(verb()).rejects.toMatchObject({ code: "vault_unavailable" });
    await writeFile(key, text);
    expect(await doctorSays()).toMatchObject({ ok: true });
    await call("user__ask", { url: `${server.origin}/data` });
    expect(lastKey()).toBe(SECOND);
  });

  it("shows that it is an older copy also when it is opened while the host runs", async () => {
    await cp(vault(), `${vault()}.old`);
    await host.secrets.set(OPERATOR, "OTHER", "other-value-11", [server.origin]);
    await host.close();
    await writeFile(vault(), "damaged", { mode: 0o600 });
    host = await home.open();
    expect(await doctorSays()).toMatchObject({ ok: false, detail: expect.stringContaining("cannot be opened") });
    const before = (await host.audit.query({ type: "vault.rolled_back" })).length;
    await cp(`${vault()}.old`, vault());
    await rm(`${vault()}.old`);
    expect(await doctorSays()).toMatchObject({ ok: false, detail: expect.stringContaining("an older copy") });
    expect(await host.audit.query({ type: "vault.rolled_back" })).toHaveLength(before + 1);
  });

  it("is begun anew only once when two ask for it, so that its key is the one that is kept", async () => {
    await host.close();
    await writeFile(vault(), "damaged", { mode: 0o600 });
    host = await home.open();
    await rm(vault());
    await rm(join(home.path, "keys", "vault.key"));
    await Promise.all([doctorSays(), doctorSays()]);
    await host.secrets.set(OPERATOR, "KEY", SECOND, [server.origin]);
    await host.close();
    host = await home.open();
    expect(await host.secrets.list()).toMatchObject([{ name: "KEY" }]);
  });
});

describe("a vault whose key is to be in the system's keyring", () => {
  it("has it there and in no file, and without a keyring nothing takes its place", async () => {
    const other = await makeHome(starterConfig({ pluginsEnabled: true, vaultKey: "keyring" }));
    try {
      const none = await other.open({ overrides: { keyring: () => Promise.reject(new Error("no D-Bus")) } });
      await expect(none.secrets.set(OPERATOR, "KEY", FIRST, [server.origin])).rejects.toMatchObject({
        code: "vault_unavailable",
        message: "The system's keyring cannot be used.",
      });
      await none.close();
      const entries = new Map<string, string>();
      const keyring = {
        get: (account: string) => Promise.resolve(entries.get(account) ?? null),
        set: (account: string, password: string) => Promise.resolve(void entries.set(account, password)),
        remove: (account: string) => Promise.resolve(void entries.delete(account)),
      };
      const there = await other.open({ overrides: { keyring: () => Promise.resolve(keyring) } });
      await there.secrets.set(OPERATOR, "KEY", FIRST, [server.origin]);
      expect([...entries.keys()]).toEqual([expect.stringMatching(/^vault [0-9a-f]{16}$/)]);
      expect(await readdir(join(other.path, "keys"))).not.toContain("vault.key");
    } finally {
      await other.remove();
    }
  });
});
