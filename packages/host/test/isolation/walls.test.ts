import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, expect, describe, it } from "vitest";
import { planSandbox, type SandboxedProcess, type SandboxSpec, spawnSandboxed } from "../../src/isolation/index.ts";
import { processTree } from "../../src/isolation/process-tree.ts";
import {
  engine,
  hostIsRoot,
  namespaceAvailable,
  namespaceNote,
  probe,
  publicDir,
  runtimeAvailable,
} from "./support.ts";

const dir = publicDir();
afterAll(() => dir.remove());
const idle = dir.write("idle.mjs", "console.log('up'); setInterval(() => {}, 1000);");

const started: SandboxedProcess[] = [];
afterEach(async () => {
  for (const one of started.splice(0)) {
    one.kill();
    await one.gone;
  }
});

/** Starts a module, waits for its first output, and returns the pid of the process that runs it. */
async function startIdle(level: SandboxSpec["level"], module = idle, more: Partial<SandboxSpec> = {}): Promise<number> {
  const plan = await planSandbox({
    level,
    engine: { ...engine, runner: module },
    tools: probe.tools,
    root: null,
    memoryMb: 128,
    hostIsRoot,
    ...more,
  });
  const child = await spawnSandboxed(plan);
  started.push(child);
  await new Promise((resolve) => child.stdout.once("data", resolve));
  return processTree(child.pid).at(-1)?.pid ?? 0;
}

function status(pid: number): Record<string, string> {
  const lines = readFileSync(`/proc/${pid}/status`, "utf8").split("\n");
  return Object.fromEntries(lines.map((line) => line.split(":\t", 2)).filter((pair) => pair.length === 2));
}

/** Soft and hard limits by name. */
function limits(pid: number): Record<string, string[]> {
  const lines = readFileSync(`/proc/${pid}/limits`, "utf8").split("\n").slice(1);
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, 26).trim(), line.slice(26).trim().split(/\s+/).slice(0, 2)]),
  );
}

const sessionOf = (pid: number): string =>
  readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ")[3] ?? "";

const bwrap = "/usr/bin/bwrap";
const user = hostIsRoot ? { uid: 65534, gid: 65534 } : {};
const bwrapWorks =
  existsSync(bwrap) &&
  spawnSync(bwrap, ["--unshare-all", "--disable-userns", "--unshare-user", "--ro-bind", "/", "/", "--", "/bin/true"], {
    env: {},
    ...user,
  }).status === 0;

it.skipIf(!bwrapWorks)(
  "the level namespace is there wherever bubblewrap works, so that its tests are not skipped by a defect of ours",
  () => {
    expect(probe.report.levels.namespace).toMatchObject({ available: true });
  },
);

describe.skipIf(!namespaceAvailable)(`a process at level namespace, seen from the host${namespaceNote}`, () => {
  it("has namespaces of its own, no capability, a seccomp filter and no way to new privileges [S3-83] [S1-14]", async () => {
    const pid = await startIdle("namespace");
    for (const kind of ["net", "pid", "mnt", "uts", "ipc", "user", "cgroup"]) {
      expect(readlinkSync(`/proc/${pid}/ns/${kind}`), kind).not.toBe(readlinkSync(`/proc/self/ns/${kind}`));
    }
    const of = status(pid);
    for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"])
      expect([set, of[set]]).toEqual([set, "0000000000000000"]);
    expect([of["NoNewPrivs"], of["Seccomp"]]).toEqual(["1", "2"]);
    if (hostIsRoot)
      expect([of["Uid"], of["Gid"]]).toEqual(["65534\t65534\t65534\t65534", "65534\t65534\t65534\t65534"]);
    expect(sessionOf(pid)).not.toBe(sessionOf(process.pid));
  });

  it("may not make user namespaces even without the filter, and dies with the host", async () => {
    const { args } = await planSandbox({
      level: "namespace",
      engine,
      tools: probe.tools,
      root: null,
      memoryMb: 128,
      hostIsRoot,
    });
    const walls = args.slice(0, args.indexOf("--ro-bind"));
    expect(walls).toEqual(
      expect.arrayContaining([
        "--unshare-all",
        "--unshare-user",
        "--disable-userns",
        "--die-with-parent",
        "--new-session",
        "--clearenv",
        "--cap-drop",
        "ALL",
      ]),
    );
  });

  it("has each limit set, so that it cannot raise it", async () => {
    const of = limits(await startIdle("namespace"));
    const data = String((550 + 128) * 1024 * 1024);
    expect(of["Max data size"]).toEqual([data, data]);
    expect(of["Max open files"]).toEqual(["256", "256"]);
    expect(of["Max processes"]).toEqual(["64", "64"]);
    expect(of["Max core file size"]).toEqual(["1", "1"]);
    expect(of["Max file size"]).toEqual(["16777216", "16777216"]);
  });

  it("holds no descriptor of the host's", async () => {
    const pid = await startIdle("namespace");
    const links = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
    const foreign = links.filter(
      (link) => !/^(socket:|pipe:|anon_inode:|\/dev\/null$|\/rt\/deno$|\/host\/runner\.mjs$)/.test(link),
    );
    expect(foreign).toEqual([]);
  });

  it("shows nothing of the host's environment in any of its processes [S1-14]", async () => {
    process.env["SALLYPORT_TEST_SECRET"] = "leak";
    await startIdle("namespace");
    delete process.env["SALLYPORT_TEST_SECRET"];
    const tree = processTree(started.at(-1)?.pid ?? 0);
    expect(tree.length).toBeGreaterThan(1);
    for (const { pid } of tree)
      expect(readFileSync(`/proc/${pid}/environ`, "utf8")).not.toMatch(/leak|HOME|PATH=|USER/);
  });

  it("has threads of its own to spend, so that one plugin takes none from another [S1-13]", async () => {
    const module = join(dir.path, "threads.mjs");
    copyFileSync(fileURLToPath(new URL("fixtures/threads.mjs", import.meta.url)), module);
    const more = { openRuntimePermissions: true, memoryMb: 65_536 };
    const pids = [];
    for (let count = 0; count < 3; count++) pids.push(await startIdle("namespace", module, more));
    for (const pid of pids) {
      const threads = readdirSync(`/proc/${pid}/task`).length;
      expect(threads).toBeGreaterThan(30);
      expect(threads).toBeLessThanOrEqual(64);
    }
  });
});

describe.skipIf(!runtimeAvailable)("a process at level runtime, seen from the host", () => {
  it("has limits, no new privileges, its own group, and nobody's user when the host is root", async () => {
    const pid = await startIdle("runtime");
    const of = status(pid);
    expect(of["NoNewPrivs"]).toBe("1");
    if (hostIsRoot) expect(of["Uid"]).toBe("65534\t65534\t65534\t65534");
    expect(limits(pid)["Max open files"]).toEqual(["256", "256"]);
    expect(limits(pid)["Max core file size"]).toEqual(["1", "1"]);
    expect(pid).toBe(started.at(-1)?.pid);
    expect(sessionOf(pid)).toBe(String(pid));
  });
});

describe.each([
  ["namespace", namespaceAvailable],
  ["landlock", probe.report.levels.landlock.available],
  ["runtime", runtimeAvailable],
] as const)("when the machine's memory is used up, at %s", (level, available) => {
  it.skipIf(!available)(
    `the kernel ends the plugin before the host${available ? "" : " (skipped: not here)"}`,
    async () => {
      await startIdle(level);
      const tree = processTree(started.at(-1)?.pid ?? 0);
      expect(tree.length).toBeGreaterThan(0);
      for (const { pid } of tree) expect(readFileSync(`/proc/${pid}/oom_score_adj`, "utf8")).toBe("1000\n");
    },
  );
});
