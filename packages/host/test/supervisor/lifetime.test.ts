import { spawn } from "node:child_process";
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isAlive, processTree } from "../../src/isolation/process-tree.ts";
import { engine } from "../isolation/support.ts";
import { createLab, hostIsRoot, type Lab, LEVELS, processesMentioning, toolCall, until } from "./support.ts";

let lab: Lab;
beforeEach(async () => {
  lab = await createLab();
});
afterEach(() => lab.close());

const SPIN = `export default { tools: { echo: (input) => input, spin() { for (;;); } } };`;
/** Tries to get away from its parent: new sessions and groups, forks, ignored signals. */
const ESCAPE = `
const libc = (() => { try { return Deno.dlopen("libc.so.6", {
  fork: { parameters: [], result: "i32" }, setsid: { parameters: [], result: "i32" }, setpgid: { parameters: ["i32", "i32"], result: "i32" },
  prctl: { parameters: ["i32", "i64"], result: "i32" },
}).symbols; } catch { return null; } })();
const tried = {};
if (libc) {
  tried.setsid = libc.setsid();
  tried.setpgid = libc.setpgid(0, 0);
  tried.pdeathsig = libc.prctl(1, 0n);
  tried.fork = libc.fork();
  if (tried.fork === 0) { libc.setsid(); libc.fork(); for (;;); }
}
try { Deno.addSignalListener("SIGTERM", () => {}); Deno.addSignalListener("SIGHUP", () => {}); } catch {}
export default { tools: { echo: () => tried, spin() { for (;;); } } };`;

describe.each(LEVELS)("the end of a process at level $level $note", ({ level, available }) => {
  const it_ = it.skipIf(!available);

  it_("by stop lets the plugin shut down first, and then nothing of it is left [S1-33] [S3-45]", async () => {
    const source = `export default { tools: { echo: (input) => input }, async shutdown(ctx) { await ctx.kv.set("bye", 1); } };`;
    const process = await lab.start(source, { level });
    await process.stop(5000);
    expect(await process.exited).toMatchObject({ expected: true, code: 0, reason: "the plugin was stopped" });
    expect(lab.broker.requests.map(({ method }) => method)).toEqual(["kv.set"]);
    expect(processesMentioning(lab.path)).toEqual([]);
    await expect(process.call(toolCall("echo"))).rejects.toMatchObject({ code: "plugin_not_running" });
  });

  it_("by stop does not wait longer than its grace", async () => {
    const source = `export default { tools: { echo: (input) => input }, shutdown: () => new Promise(() => {}) };`;
    const process = await lab.start(source, { level });
    await process.stop(100);
    expect(await process.exited).toMatchObject({ expected: true, signal: "SIGKILL" });
    expect(processesMentioning(lab.path)).toEqual([]);
  });

  it_(
    "by kill ends calls in flight and in the queue, and whatever the plugin started to outlive it [S1-33]",
    async () => {
      const process = await lab.start(ESCAPE, {
        level,
        tools: ["echo", "spin"],
        openRuntimePermissions: true,
        limits: { memoryMb: 128, concurrency: 1 },
      });
      const { output } = await process.call(toolCall("echo"));
      expect(output).toMatchObject({ fork: -1, pdeathsig: -1 });
      const members = processTree(process.pid);
      expect(members.length).toBeGreaterThan(0);
      const running = process.call(toolCall("spin"));
      const queued = process.call(toolCall("echo"));
      await Promise.all([
        expect(running).rejects.toMatchObject({ code: "cancelled" }),
        expect(queued).rejects.toMatchObject({ code: "plugin_not_running" }),
        process.kill("a test"),
      ]);
      expect(members.filter(isAlive)).toEqual([]);
      expect(await process.exited).toMatchObject({ expected: true, reason: "a test" });
      expect(lab.broker.closed).toBe(true);
    },
  );
});

interface Host {
  readonly pid: number;
  readonly plugin: { pid?: number; uid?: number; output?: unknown; unavailable?: string };
  kill(): void;
}

/** Starts a host in a process of its own and waits until its plugin has answered. */
async function startHost(level: string, uid: number | null, ...flags: string[]): Promise<Host> {
  const outfile = join(lab.path, "host.mjs");
  await build({
    entryPoints: [fileURLToPath(new URL("fixtures/host-process.ts", import.meta.url))],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    tsconfigRaw: {},
    logLevel: "silent",
  });
  chmodSync(outfile, 0o644);
  const node = [
    process.execPath,
    outfile,
    level,
    engine.deno,
    join(lab.path, "runner.mjs"),
    engine.jail,
    join(lab.path, "plugin0"),
    ...flags,
  ];
  const user =
    uid === null ? [] : ["/usr/bin/setpriv", "--reuid", String(uid), "--regid", String(uid), "--clear-groups"];
  const [command = "", ...args] = [...user, ...node];
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], cwd: "/", env: { PATH: "/usr/bin" } });
  let text = "";
  let problem = "";
  child.stderr.on("data", (chunk: Buffer) => (problem += chunk.toString()));
  const line = await new Promise<string>((resolve, reject) => {
    child.stdout.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes("\n")) resolve(text);
    });
    child.once("close", () => reject(new Error(`the host ended: ${problem}`)));
  });
  return { pid: child.pid ?? 0, plugin: JSON.parse(line), kill: () => void child.kill("SIGKILL") };
}

describe.each(LEVELS)("kill -9 of the host at level $level $note", ({ level, available }) => {
  it.skipIf(!available)("takes a plugin with it that is busy and tried to get away [S1-13]", async () => {
    await lab.start(ESCAPE, { level, tools: ["echo", "spin"] });
    const host = await startHost(level, null, "--spin", "--open");
    const members = processTree(host.plugin.pid ?? 0);
    expect(members.length).toBeGreaterThan(0);
    host.kill();
    await until(() => !members.some(isAlive), "the end of the plugin");
  });
});

/** How long a plugin may outlive its host. */
const SECOND_MS = 1000;

describe.each(LEVELS)("kill -9 of a host with several plugins at level $level $note", ({ level, available }) => {
  it.skipIf(!available)(
    "leaves none of them, however they tried to stay, for longer than a second [S1-13]",
    async () => {
      await lab.start(ESCAPE, { level, tools: ["echo", "spin"] });
      const host = await startHost(level, null, "--spin", "--open", "--more=4");
      const members = processTree(host.pid).filter(({ pid }) => pid !== host.pid);
      expect(members.length).toBeGreaterThanOrEqual(5);
      const killed = performance.now();
      host.kill();
      while (members.some(isAlive) && performance.now() - killed < SECOND_MS) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      expect(members.filter(isAlive)).toEqual([]);
    },
  );
});

describe.each(LEVELS)("a host that runs as an ordinary user at level $level $note", ({ level, available }) => {
  it.skipIf(!available || !hostIsRoot)("starts plugins too, where the machine lets it", async (context) => {
    await lab.start(SPIN, { level, tools: ["echo", "spin"] });
    const host = await startHost(level, 4242);
    if (host.plugin.unavailable !== undefined) return context.skip(host.plugin.unavailable);
    expect(host.plugin).toMatchObject({ uid: 4242, output: "hello" });
    await until(() => processTree(host.pid).length === 0, "the end of the host");
  });
});
