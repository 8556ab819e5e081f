import { Buffer } from "node:buffer";
import { cp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { restoreHome, resumeRestore } from "../../src/host.ts";
import type { Host, RestoreRequest } from "../../src/host-api.ts";
import { systemClock } from "../../src/kernel/index.ts";
import { AGENT, makeHome, OPERATOR, type TestHome } from "../support/home.ts";
import { needsNamespace } from "../support/namespace.ts";
import { ACME, MALLORY } from "../trust/support.ts";
import { archive, folder } from "./archive.ts";

needsNamespace();

const LAX = `plugins: { enabled: true }
trust: { signatures: { medium: preferred, high: preferred, critical: preferred } }
policy: { defaults: { read: allow, write: allow, external: allow, destructive: deny } }
`;
const PASSPHRASE = "four words make one";

let home: TestHome;
let host: Host;
let file: string;
beforeEach(async () => {
  home = await makeHome(LAX);
  host = await home.open();
  file = join(home.path, "..", "home.backup");
});
afterEach(() => home?.remove());

async function run(source: string): Promise<void> {
  const { plugin } = await host.plugins.install(OPERATOR, { source });
  await host.plugins.approve(OPERATOR, plugin.id, { allowTools: ["keep", "show"] });
  await host.plugins.load(OPERATOR, plugin.id);
}

const call = (tool: string, input: object) => host.invoke(AGENT, { tool: `notes__${tool}`, input });
const restore = (more: Partial<RestoreRequest> = {}) => restoreHome({ file, home: home.path, ...more }, systemClock);

async function restored(more: Partial<RestoreRequest> = {}): Promise<void> {
  await host.close();
  await restore(more);
  host = await home.open();
}

/** Everything of the home that counts, but for what opening a database changes. */
async function contents(): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of await readdir(home.path, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && !/state\.db/.test(path)) found[path] = (await readFile(path)).toString("base64");
  }
  return found;
}

describe("a backup", () => {
  it("brings plugins, grants, data, files and configuration back, and the audit goes on", async () => {
    await run(await folder(home, { folder: "one" }));
    await call("keep", { text: "before" });
    await host.plugins.setConfig(OPERATOR, "notes", { color: "red" });
    const made = await host.backup(OPERATOR, { file });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    await call("keep", { text: "after" });
    await host.plugins.setConfig(OPERATOR, "notes", { color: "blue" });
    await restored();
    expect(await call("show", {})).toMatchObject({ result: { kv: "before", file: "before" } });
    expect(await host.plugins.config("notes")).toEqual({ color: "red" });
    expect(await host.audit.verify({ seq: made.head.seq, hash: made.head.hash })).toMatchObject({ ok: true });
    const [event] = await host.audit.query({ type: "home.restored" });
    expect(event?.data).toMatchObject({ kept: "home" });
    expect(await readdir(home.path)).not.toContain(expect.stringContaining(".restore"));
  });

  it("does not trust a key again that was untrusted since, and keeps what it was narrowed to", async () => {
    await host.keys.trust(OPERATOR, { name: "acme", key: ACME.id, scopes: ["*"] });
    await host.keys.trust(OPERATOR, { name: "mallory", key: MALLORY.id, scopes: ["*"] });
    await host.backup(OPERATOR, { file });
    await host.keys.untrust(OPERATOR, "mallory");
    await host.keys.trust(OPERATOR, { name: "acme", key: ACME.id, scopes: ["weather"] });
    await restored();
    expect(await host.keys.list()).toMatchObject([{ name: "acme", scopes: ["weather"] }]);
    await host.close();
    // Another home, which knows nothing of it.
    await rm(home.path, { recursive: true });
    await restore();
    host = await home.open();
    expect((await host.keys.list()).map(({ name }) => name).toSorted()).toEqual(["acme", "mallory"]);
  });

  it("brings no token back that was revoked since, no wider profile of an agent, and no tool that was disabled", async () => {
    await run(await folder(home, { folder: "one" }));
    const make = (name: string) => host.tokens.create(OPERATOR, { kind: "agent", name });
    const [revoked, kept] = [await make("gone"), await make("kept")];
    await host.agents.set(OPERATOR, "bot", { deny: [] });
    await host.backup(OPERATOR, { file });
    await host.tokens.revoke(OPERATOR, revoked.view.id);
    const later = await make("later");
    await host.agents.set(OPERATOR, "bot", { deny: ["notes__keep"] });
    await host.agents.enableTool(OPERATOR, "notes__keep", false);
    await restored();
    expect(() => host.tokens.authenticate(revoked.token)).toThrow(
      expect.objectContaining({ code: "unauthenticated" }) as Error,
    );
    for (const { token, view } of [kept, later])
      expect(host.tokens.authenticate(token)).toMatchObject({ id: view.id, state: "valid" });
    expect((await host.agents.list()).find(({ name }) => name === "bot")?.profile.deny).toEqual(["notes__keep"]);
    expect(await host.agents.enabledTools()).not.toContain("notes__keep");
  });

  it("brings no rule for a time back that was removed since, and keeps one that was added", async () => {
    const endsAt = Date.now() + 3_600_000;
    const add = (agent: string) => host.policy.addOverride(OPERATOR, { rule: { agent, decision: "deny" }, endsAt });
    const removed = await add("before");
    await host.backup(OPERATOR, { file });
    await host.policy.removeOverride(OPERATOR, removed.id);
    const added = await add("since");
    await restored();
    expect((await host.policy.listOverrides()).map(({ id }) => id)).toEqual([added.id]);
  });

  it("holds no secret and no key unless it is encrypted, and opens with its passphrase only", async () => {
    await host.secrets.set(OPERATOR, "API_KEY", "hunter2-hunter2", ["https://api.example.com"]);
    await expect(host.backup(OPERATOR, { file, secrets: true })).rejects.toMatchObject({ code: "usage" });
    await expect(host.backup(OPERATOR, { file, passphrase: "short" })).rejects.toMatchObject({ code: "usage" });
    await host.backup(OPERATOR, { file });
    const key = (await readFile(join(home.path, "keys", "vault.key"))).toString("utf8").trim();
    expect((await readFile(file)).includes(Buffer.from(key))).toBe(false);
    await expect(host.backup(OPERATOR, { file })).rejects.toMatchObject({ code: "conflict" });

    await rm(file);
    await host.backup(OPERATOR, { file, secrets: true, passphrase: PASSPHRASE });
    const bytes = await readFile(file);
    for (const text of [key, "state.db", "SQLite format", "plugins:"]) {
      expect(bytes.includes(Buffer.from(text))).toBe(false);
    }
    await host.secrets.remove(OPERATOR, "API_KEY");
    await host.close();
    await expect(restore()).rejects.toMatchObject({ code: "passphrase_required" });
    await expect(restore({ passphrase: "another passphrase" })).rejects.toMatchObject({ code: "passphrase_required" });
    await restore({ passphrase: PASSPHRASE });
    host = await home.open();
    expect(await host.secrets.list()).toMatchObject([{ name: "API_KEY" }]);
  });

  it("with everything in it makes a home elsewhere that runs the same plugins", async () => {
    await run(await folder(home, { folder: "one" }));
    await call("keep", { text: "mine" });
    await host.backup(OPERATOR, { file, secrets: true, store: true, passphrase: PASSPHRASE });
    await host.close();
    const other = await makeHome(LAX);
    try {
      await rm(other.path, { recursive: true });
      await restore({ home: other.path, passphrase: PASSPHRASE });
      const second = await other.open();
      expect(await second.invoke(AGENT, { tool: "notes__show", input: {} })).toMatchObject({
        result: { kv: "mine", file: "mine" },
      });
      expect(await second.audit.verify()).toMatchObject({ ok: true, problems: [] });
    } finally {
      await other.remove();
    }
  });

  it("never brings back what was revoked, a withdrawn grant, or an approval that was used or denied", async () => {
    await run(await folder(home, { folder: "one" }));
    const { approval } = await host.plugins.install(OPERATOR, {
      source: await archive(home, {
        id: "other",
        folder: "two",
        code: "export default { tools: { keep() {}, show() {} } };",
      }),
    });
    await host.backup(OPERATOR, { file });
    await host.plugins.revoke(OPERATOR, "notes", "it lied");
    await host.plugins.revokeMark(OPERATOR, { kind: "id", value: "later" });
    await host.approvals.deny(OPERATOR, approval?.id ?? "");
    await restored();
    expect((await host.plugins.info("notes")).state).toBe("revoked");
    expect(await call("show", {})).toMatchObject({ code: "unknown_tool" });
    await expect(host.plugins.load(OPERATOR, "notes")).rejects.toMatchObject({ code: "revoked" });
    expect(await host.plugins.revocations()).toHaveLength(4);
    expect((await host.approvals.list()).map(({ state }) => state)).not.toContain("pending");
    expect((await host.plugins.info("notes")).grant).toBeNull();
  });

  it("of a home that went another way since keeps the home's audit, and says where they parted", async () => {
    await host.backup(OPERATOR, { file });
    const first = join(home.path, "..", "first.backup");
    await cp(file, first);
    await host.plugins.revokeMark(OPERATOR, { kind: "id", value: "one" });
    await host.backup(OPERATOR, { file: `${file}.2` });
    await host.close();
    // The machine's disk comes back from a snapshot, behind the backup's back.
    const forked = await makeHome(LAX);
    try {
      await rm(forked.path, { recursive: true });
      await cp(home.path, forked.path, { recursive: true });
      await restoreHome({ file: first, home: home.path }, systemClock);
      host = await home.open();
      await host.plugins.revokeMark(OPERATOR, { kind: "id", value: "two" });
      const ahead = await host.audit.verify();
      await host.close();
      const second = await forked.open();
      await second.plugins.revokeMark(OPERATOR, { kind: "id", value: "three" });
      await second.backup(OPERATOR, { file: `${file}.3` });
      await second.close();
      const answer = await restoreHome({ file: `${file}.3`, home: home.path }, systemClock);
      expect(answer).toMatchObject({ keptAudit: "home", forkedAfter: expect.any(Number) });
      host = await home.open();
      expect(await host.audit.verify(ahead.head ?? undefined)).toMatchObject({ ok: true });
      const events = await host.audit.query({ type: "home.restored", order: "desc", limit: 1 });
      expect(events[0]?.data).toMatchObject({ fork: { after: answer.forkedAfter } });
      expect((await host.plugins.revocations()).map(({ value }) => value).toSorted()).toEqual(["one", "three", "two"]);
    } finally {
      await forked.remove();
    }
  });

  it("is refused after any change of a byte, when it is cut, and when something is added; the home stays", async () => {
    for (const passphrase of [undefined, PASSPHRASE]) {
      await rm(file, { force: true });
      await host.backup(OPERATOR, { file, ...(passphrase !== undefined && { passphrase }) });
      await host.close();
      const whole = await readFile(file);
      const before = await contents();
      const places = [5, 30, 150, whole.length >> 1, whole.length - 1];
      const changed = [
        ...places.map((at) => {
          const copy = Buffer.from(whole);
          copy[at] = (copy[at] ?? 0) ^ 1;
          return copy;
        }),
        whole.subarray(0, whole.length - 1),
        Buffer.alloc(0),
        Buffer.concat([whole, Buffer.from("x")]),
      ];
      for (const bytes of changed) {
        await writeFile(file, bytes);
        const given = passphrase === undefined ? {} : { passphrase };
        await expect(restore(given)).rejects.toMatchObject({
          code: expect.stringMatching(/^(backup_invalid|passphrase_required)$/),
        });
      }
      expect(await contents()).toEqual(before);
      host = await home.open();
    }
  });

  it("is refused for another home, for a running one, and without the operator's passphrase", async () => {
    await host.backup(OPERATOR, { file });
    await expect(restore()).rejects.toMatchObject({ code: "home_locked" });
    await host.operators.setPassphrase(undefined, PASSPHRASE);
    await host.close();
    await expect(restore()).rejects.toMatchObject({ code: "passphrase_required" });
    await restore({ operatorPassphrase: PASSPHRASE });
    // The passphrase that the backup did not know of is still the one.
    host = await home.open();
    expect(host.operators.passphraseSet).toBe(true);
    const other = await makeHome(LAX);
    try {
      await (await other.open()).close();
      await expect(restore({ home: other.path })).rejects.toMatchObject({ code: "forbidden" });
    } finally {
      await other.remove();
    }
  });

  it("cut short while it is put in place is finished before anything starts", async () => {
    await run(await folder(home, { folder: "one" }));
    await call("keep", { text: "before" });
    await host.backup(OPERATOR, { file });
    for (const step of ["vault", "config.yml", "data", "state.db", "done"]) {
      await call("keep", { text: `after ${step}` });
      await host.close();
      const stop = (at: string): void => {
        if (at === step) throw new Error("power cut");
      };
      await expect(restore({ onStep: stop })).rejects.toThrow("power cut");
      await expect(home.open()).rejects.toMatchObject({ code: "restore_unfinished" });
      await expect(restore()).rejects.toMatchObject({ code: "restore_unfinished" });
      await resumeRestore(home.path);
      host = await home.open();
      expect(await call("show", {})).toMatchObject({ result: { kv: "before", file: "before" } });
    }
    await expect(resumeRestore(home.path)).rejects.toMatchObject({ code: "not_found" });
  });
});
