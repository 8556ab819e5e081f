import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Owner, type OwnerOptions, serveOwner, stopOwner } from "../../src/cli/index.ts";
import { createHome } from "../../src/home/index.ts";
import { findOwner } from "../../src/cli/owner-client.ts";
import { createFakeHost, type FakeHost } from "../support/fake-host.ts";

let root: string;
let home: string;
let host: FakeHost;
let owner: Owner | undefined;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "sallyport-owner-"));
  home = (await createHome(join(root, "home"), "")).path;
  host = await createFakeHost();
});
afterEach(async () => {
  await owner?.stop();
  owner = undefined;
  await rm(root, { recursive: true });
});

async function serve(options: Partial<OwnerOptions> = {}): Promise<Owner> {
  owner = await serveOwner(host, {
    home,
    env: {},
    version: "0",
    background: false,
    idleMs: 60_000,
    onDefect: () => undefined,
    ...options,
  });
  return owner;
}

const client = async (env: NodeJS.ProcessEnv = {}) => {
  const found = await findOwner(home, env);
  if (!found) throw new Error("no owner");
  return found;
};

describe.skipIf(process.platform !== "linux")("waiting for the end of an owner", () => {
  it("ends with its process, though the first process of this machine does not bury it", async () => {
    // A child that ended, of a parent that never asks about it.
    const parent = spawn("sh", ["-c", "sleep 600 & echo $!; exec sleep 600"], { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = await once(parent.stdout, "data");
    const result = { version: "0", pid: Number(String(line)), background: true, passphrase_set: false };
    await expect.poll(() => readFileSync(`/proc/${parent.pid}/comm`, "utf8")).toBe("sleep\n");
    process.kill(result.pid, "SIGKILL");
    const server = createHttpServer((_request, response) => response.end(JSON.stringify({ success: true, result })));
    try {
      await new Promise<void>((resolve) => server.listen(join(home, "s"), resolve));
      await stopOwner(home, {});
      expect(existsSync(`/proc/${result.pid}`)).toBe(true);
    } finally {
      parent.kill();
      await new Promise((resolve) => server.close(resolve));
    }
  });
});

describe("the owner of a home", () => {
  it("listens on a socket that only this user can open", async () => {
    const { socket } = await serve();
    expect(socket).toBe(join(home, "s"));
    expect((await stat(socket)).mode & 0o777).toBe(0o600);
    expect((await stat(join(home, "owner.json"))).mode & 0o777).toBe(0o600);
  });

  it("is found by a client whose XDG_RUNTIME_DIR differs", async () => {
    const runtime = await mkdtemp(join(root, "run-"));
    const { socket } = await serve({ env: { XDG_RUNTIME_DIR: runtime } });
    expect(socket.startsWith(runtime)).toBe(true);
    expect((await client()).socket).toBe(socket);
    expect((await client({ XDG_RUNTIME_DIR: runtime })).socket).toBe(socket);
  });

  it("takes the place of a socket whose owner is gone, and of nothing else", async () => {
    const dead = createServer();
    await new Promise<void>((resolve) => dead.listen(join(home, "s"), resolve));
    // What a killed owner leaves: the file, and nobody who listens.
    await rename(join(home, "s"), join(home, "kept"));
    await new Promise((resolve) => dead.close(resolve));
    await rename(join(home, "kept"), join(home, "s"));
    expect(await findOwner(home, {})).toBeUndefined();
    await serve();
    expect((await (await client()).request("GET", "/healthz")).status).toBe(200);
    await owner?.stop();
    await writeFile(join(home, "s"), "mine");
    await expect(serve()).rejects.toMatchObject({ code: "home_unsafe" });
    expect(await readFile(join(home, "s"), "utf8")).toBe("mine");
  });

  it("answers as the operator, and as an agent only with less", async () => {
    await serve();
    const { json } = await (await client()).request("GET", "/api/status");
    expect(json).toMatchObject({
      success: true,
      result: { pid: process.pid, background: false, passphrase_set: false },
    });
    const agent = { headers: { "x-sallyport-agent": "bot" } };
    for (const [method, path] of [
      ["GET", "/api/status"],
      ["POST", "/api/owner/stop"],
      ["GET", "/api/plugins"],
    ] as const) {
      expect((await (await client()).request(method, path, agent)).status).toBe(403);
    }
    const bad = { headers: { "x-sallyport-agent": "a b" } };
    expect((await (await client()).request("GET", "/api/tools", bad)).status).toBe(400);
  });

  it("opens nothing but an agent's MCP session for a raw connection", async () => {
    await serve();
    const open = await client();
    await expect(open.upgrade("/mcp-session?agent=a%20b", "sallyport-mcp")).rejects.toMatchObject({ code: "usage" });
    await expect(open.upgrade("/mcp-session", "sallyport-mcp")).rejects.toMatchObject({ code: "usage" });
    await expect(open.upgrade("/api/plugins", "sallyport-mcp")).rejects.toMatchObject({ code: "not_found" });
    await expect(open.upgrade("/mcp-session?agent=bot", "websocket")).rejects.toMatchObject({ code: "not_found" });
    const session = await open.upgrade("/mcp-session?agent=bot", "sallyport-mcp");
    session.destroy();
  });

  it("ends after it was idle, when a client started it", async () => {
    const { stopped, socket } = await serve({ background: true, idleMs: 1 });
    await stopped;
    expect([existsSync(socket), existsSync(join(home, "owner.json"))]).toEqual([false, false]);
  });

  it("does not end while a client is connected", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      const { stopped, socket } = await serve({ background: true, idleMs: 1000 });
      const session = await (await client()).upgrade("/mcp-session?agent=bot", "sallyport-mcp");
      vi.advanceTimersByTime(3_600_000);
      expect((await client()).socket).toBe(socket);
      session.destroy();
      await vi.waitFor(() => expect(vi.getTimerCount()).toBeGreaterThan(0));
      vi.advanceTimersByTime(1000);
      await stopped;
    } finally {
      vi.useRealTimers();
    }
  });

  it("leaves no timer behind that would keep its process, when a client told it to stop", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      const { stopped } = await serve({ background: true, idleMs: 3_600_000 });
      await (await client()).request("POST", "/api/owner/stop", { body: {} });
      await stopped;
      await new Promise((resolve) => setImmediate(resolve));
      // The HTTP server's own short timers end by themselves.
      vi.advanceTimersByTime(60_000);
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  it("lets a call in flight finish when it stops, ends sessions and tails, and takes no more", async () => {
    let finish: (() => void) | undefined;
    const waiting = new Promise<void>((resolve) => (finish = resolve));
    let started: (() => void) | undefined;
    const inFlight = new Promise<void>((resolve) => (started = resolve));
    const invoke = host.invoke.bind(host);
    Object.assign(host, {
      invoke: async (...args: Parameters<FakeHost["invoke"]>) => {
        started?.();
        await waiting;
        return invoke(...args);
      },
    });
    await serve();
    const connection = await client();
    const session = await connection.upgrade("/mcp-session?agent=bot", "sallyport-mcp");
    const sessionEnded = new Promise((resolve) => session.once("end", resolve).resume());
    const tail = connection.lines("GET", "/api/audit/tail")[Symbol.asyncIterator]().next();
    const call = connection.request("POST", "/api/tools/weather__forecast/call", { body: { input: {} } });
    await inFlight;
    const stop = owner?.stop();
    await sessionEnded;
    expect(await tail).toMatchObject({ done: true });
    expect(await findOwner(home, {})).toBeUndefined();
    finish?.();
    expect((await call).json).toMatchObject({ success: true });
    session.destroy();
    await stop;
  });
});
