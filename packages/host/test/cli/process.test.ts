import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, cp, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ownerStatus, stopOwner } from "../../src/cli/index.ts";
import { starterConfig } from "../../src/config/index.ts";
import { createHome } from "../../src/home/index.ts";
import { type Answered, MAIN, openProcessWorld, type ProcessWorld } from "../support/process.ts";

const ECHO = fileURLToPath(new URL("../../../../plugins/echo", import.meta.url));
const CONFIG = starterConfig({ pluginsEnabled: true });

let world: ProcessWorld;
const status = () => ownerStatus(world.home, world.env);

describe("the built command on a real home", () => {
  let made: Answered;
  // One home and one owner for all: each test leaves no plugin behind.
  beforeAll(async () => {
    world = await openProcessWorld();
    made = await world.sallyport(["init", "--enable-plugins", "--no-passphrase"]);
  });
  afterAll(() => world.close());

  it("goes the whole way: init, install, approve, load, call, audit, unload, uninstall", async () => {
    expect(made).toMatchObject({
      code: 0,
      answer: {
        success: true,
        created: true,
        plugins_enabled: true,
        passphrase_set: false,
        warnings: [expect.stringMatching(/advisory/)],
      },
    });
    expect((await stat(world.home)).mode & 0o777).toBe(0o700);
    const { level } = (await world.sallyport(["doctor"])).answer;
    const installed = await world.sallyport(["plugin", "install", ECHO]);
    expect(installed).toMatchObject({
      code: 0,
      answer: {
        success: true,
        plugin: { id: "echo", version: "1.0.0", state: "pending_approval", digest: expect.stringMatching(/^sha256:/) },
        loaded: false,
        approval: { id: expect.any(String) },
      },
    });
    expect(await world.sallyport(["plugin", "load", "echo"])).toMatchObject({
      code: 3,
      answer: { code: "not_allow_listed", fix: expect.stringContaining("plugin approve") },
    });
    expect((await world.sallyport(["tool", "list"])).answer).toEqual([]);
    expect((await world.sallyport(["plugin", "approve", "echo", "--yes"])).code).toBe(0);

    if (level === "namespace") {
      expect(await world.sallyport(["plugin", "load", "echo"])).toMatchObject({
        code: 0,
        answer: { success: true, plugin: { id: "echo", state: "running", isolation: "namespace" } },
      });
      expect((await world.sallyport(["tool", "list"])).answer).toMatchObject([
        { name: "echo__echo", effect: "read", decision: "allow" },
        { name: "echo__note", effect: "write", decision: "require_approval" },
      ]);
      const call = await world.sallyport(["tool", "call", "echo__echo", "--input", '{"text":"hello"}']);
      expect(call).toMatchObject({
        code: 0,
        answer: {
          success: true,
          call_id: expect.any(String),
          result: { text: "hello" },
          duration_ms: expect.any(Number),
        },
      });
      const asked = await world.sallyport(["tool", "call", "echo__note", "--input", '{"text":"hello"}']);
      expect(asked).toMatchObject({
        code: 4,
        answer: { success: false, code: "approval_required", approval: { id: expect.any(String) } },
      });
      expect((await world.sallyport(["tool", "call", "echo__echo", "--input", '{"text":5}'])).answer).toMatchObject({
        success: false,
        code: "invalid_input",
      });
      expect((await world.sallyport(["plugin", "unload", "echo"])).answer).toMatchObject({
        plugin: { state: "stopped" },
      });
    }

    const events = (await world.sallyport(["audit", "list", "--plugin", "echo"])).answer;
    expect(events[0]).toMatchObject({ type: expect.any(String), seq: expect.any(Number) });
    const file = join(world.folder, "audit.ndjson");
    await world.sallyport(["audit", "export", "--out", file]);
    const verified = await world.sallyport(["audit", "verify"]);
    expect(verified).toMatchObject({ code: 0, answer: { ok: true, problems: [] } });
    await verifyOffline(file, verified.answer["head"]);

    expect((await world.sallyport(["plugin", "uninstall", "echo", "--purge"])).answer).toMatchObject({ success: true });
    expect((await world.sallyport(["plugin", "list"])).answer).toEqual([]);
  });

  it("refuses a plugin's folder that others can write, leaves nothing, and says how to mend it [S2-42, S4-42]", async () => {
    const copy = join(world.folder, "loose");
    await cp(ECHO, copy, { recursive: true });
    const manifest = join(copy, "plugin.yml");
    await writeFile(manifest, (await readFile(manifest, "utf8")).replace("id: echo", "id: loose"));
    await chmod(copy, 0o777);
    const refused = await world.sallyport(["plugin", "install", copy]);
    expect(refused).toMatchObject({
      code: 5,
      answer: { success: false, code: "source_unsafe", fix: expect.any(String) },
    });
    const { err, out, code } = await world.text(["plugin", "install", copy]);
    expect([code, out, err]).toEqual([5, "", expect.stringMatching(/why: .*\n.*fix: /s)]);
    expect(err).not.toContain("\u001b[");
    expect(await world.sallyport(["plugin", "info", "loose"])).toMatchObject({ answer: { code: "not_found" } });
  });

  it("keeps an operator's config.yml and the owner that serves, when init is run again", async () => {
    const config = join(world.home, "config.yml");
    await writeFile(config, `${await readFile(config, "utf8")}# mine\n`);
    await world.sallyport(["plugin", "list"]);
    const before = await status();
    const again = await world.sallyport(["init", "--no-passphrase"]);
    expect(again.answer).toMatchObject({ success: true, created: false });
    expect(await readFile(config, "utf8")).toMatch(/# mine\n$/);
    expect((await status())?.pid).toBe(before?.pid);
  });
});

describe("the passphrase of a home", () => {
  beforeEach(async () => {
    world = await openProcessWorld();
  });
  afterEach(() => world.close());

  it("is asked for after init set it, and kept out of every file", async () => {
    const phrase = "a passphrase of the test";
    const given = { env: { SALLYPORT_PASSPHRASE: phrase } };
    const made = await world.sallyport(["init", "--enable-plugins"], given);
    expect(made).toMatchObject({ code: 0, answer: { passphrase_set: true } });
    expect(await status()).toBeUndefined();
    await world.sallyport(["plugin", "install", ECHO]);
    expect(await world.sallyport(["plugin", "approve", "echo", "--yes"])).toMatchObject({
      code: 3,
      answer: { code: "passphrase_required", fix: expect.any(String) },
    });
    expect((await world.sallyport(["plugin", "approve", "echo", "--yes"], given)).code).toBe(0);
    for (const file of ["state.db", "state.db-wal", "owner.log", "config.yml"]) {
      const path = join(world.home, file);
      if (existsSync(path)) expect((await readFile(path)).includes(phrase)).toBe(false);
    }
  });

  it("must be chosen or refused, or no home is made", async () => {
    const refused = await world.sallyport(["init", "--enable-plugins"]);
    expect(refused).toMatchObject({
      code: 2,
      answer: { code: "usage", fix: expect.stringContaining("--no-passphrase") },
    });
    expect(existsSync(world.home)).toBe(false);
  });
});

describe("the owner of a home as a process", () => {
  beforeAll(async () => {
    world = await openProcessWorld();
    await createHome(world.home, CONFIG);
  });
  // Each test finds the home as it was made, and nobody who serves it.
  beforeEach(async () => {
    await stopOwner(world.home, world.env);
    await writeFile(join(world.home, "config.yml"), CONFIG);
  });
  afterAll(() => world.close());

  it("is one, however many commands start it at the same time", async () => {
    const ran = await Promise.all(Array.from({ length: 3 }, () => world.sallyport(["plugin", "list"])));
    for (const { code, answer } of ran) expect([code, answer]).toEqual([0, []]);
    const first = await status();
    expect(first).toMatchObject({ background: true });
    await world.sallyport(["plugin", "list"]);
    expect((await status())?.pid).toBe(first?.pid);
  });

  it("is started again after it was killed, over the socket that it left", async () => {
    await world.sallyport(["plugin", "list"]);
    const before = await status();
    process.kill(before!.pid, "SIGKILL");
    expect((await world.sallyport(["audit", "verify"])).answer).toMatchObject({ ok: true });
    expect((await status())?.pid).not.toBe(before?.pid);
  });

  it("tells the command why it does not start", async () => {
    await writeFile(join(world.home, "config.yml"), "plugins:\n  enabeld: true\n");
    expect(await world.sallyport(["plugin", "list"])).toMatchObject({
      code: 2,
      answer: { success: false, code: "config_invalid", error: expect.stringContaining("plugins") },
    });
  });

  it("serves in the foreground instead of the background, alone, drains at SIGTERM and leaves no socket", async () => {
    await world.sallyport(["plugin", "list"]);
    const background = await status();
    const child = await start();
    const foreground = await status();
    expect(foreground).toMatchObject({ pid: child.pid, background: false });
    expect(foreground?.pid).not.toBe(background?.pid);
    expect(await world.sallyport(["start"])).toMatchObject({ code: 1, answer: { code: "home_locked" } });
    expect((await world.sallyport(["plugin", "list"])).code).toBe(0);
    expect(await end(child)).toBe(0);
    expect([existsSync(join(world.home, "s")), existsSync(join(world.home, "owner.json"))]).toEqual([false, false]);
  });

  const started: ChildProcess[] = [];
  afterEach(() => {
    for (const child of started.splice(0)) child.kill("SIGKILL");
  });

  async function start(): Promise<ChildProcess> {
    const child = spawn(process.execPath, [MAIN, "start", "--json", "--home", world.home], {
      env: world.env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    started.push(child);
    let said = "";
    for await (const line of createInterface({ input: child.stdout })) {
      said += line;
      if (line === "}") break;
    }
    expect(JSON.parse(said)).toMatchObject({ success: true, socket: expect.any(String), mcp: { mcpServers: {} } });
    return child;
  }
});

async function verifyOffline(file: string, head: unknown) {
  expect(head).toMatchObject({ seq: expect.any(Number), hash: expect.any(String) });
  const exported = await world.sallyport(["audit", "verify", file]);
  expect(exported).toMatchObject({ code: 0, answer: { ok: true } });
  const lines = (await readFile(file, "utf8")).trimEnd().split("\n");
  const middle = JSON.parse(lines[2] ?? "");
  const kept = `${middle.seq}:${middle.hash}`;
  expect((await world.sallyport(["audit", "verify", file, "--head", kept])).code).toBe(0);
  const other = `${middle.seq}:${"0".repeat(64)}`;
  expect(await world.sallyport(["audit", "verify", file, "--head", other])).toMatchObject({
    code: 5,
    answer: { ok: false },
  });
  await writeFile(file, `${lines.with(2, (lines[2] ?? "").replace('"actor":"', '"actor":"x')).join("\n")}\n`);
  expect(await world.sallyport(["audit", "verify", file])).toMatchObject({ code: 5, answer: { ok: false } });
}

async function end(child: ChildProcess): Promise<unknown> {
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  return (await exited)[0];
}
