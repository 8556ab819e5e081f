import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setPriority } from "node:os";
import { afterEach, describe, expect, it } from "vitest";
import { changesIn, descendantsOf, isRunning, kernelTime, viewOf } from "../../src/cli/attack/kernel-view.ts";

const started: ChildProcess[] = [];
afterEach(async () => {
  for (const child of started.splice(0)) {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "close");
  }
});

async function start(code: string): Promise<{ child: ChildProcess; pid: number }> {
  const child = spawn(process.execPath, [
    "-e",
    `${code}; console.log("up"); setInterval(() => {}, 1000); process.stdin.on("data", () => go())`,
  ]);
  started.push(child);
  await once(child.stdout ?? child, "data");
  return { child, pid: child.pid ?? 0 };
}

describe.skipIf(process.platform !== "linux")("what the kernel holds about a process", () => {
  it("is the same while nothing happens", async () => {
    const { pid } = await start("");
    const [before, after] = [viewOf(pid, []), viewOf(pid, [])];
    expect(before && after && changesIn(before, after)).toEqual([]);
    expect(before?.namespaces["mnt"]).toMatch(/^mnt:\[\d+\]$/);
  });

  it("says whether a process was started before or after a look", async () => {
    const first = await start("");
    const look = kernelTime();
    // The kernel counts in hundredths of a second.
    while (kernelTime() <= look + 1) await new Promise((resolve) => setTimeout(resolve, 5));
    const second = await start("");
    expect(Number(viewOf(first.pid, [])?.startTime)).toBeLessThanOrEqual(look);
    expect(Number(viewOf(second.pid, [])?.startTime)).toBeGreaterThan(look);
  });

  it("shows a changed priority", async () => {
    const { pid } = await start("");
    const before = viewOf(pid, []);
    setPriority(pid, 5);
    const after = viewOf(pid, []);
    expect(before && after && changesIn(before, after)).toEqual(["its priority changed"]);
  });

  it("shows an internet socket, and a planted file that is held open", async () => {
    const { child, pid } = await start(
      'globalThis.go = () => { require("fs").openSync("/etc/hostname"); require("net").createServer().listen(0, "127.0.0.1", () => console.log("on")); }',
    );
    const before = viewOf(pid, ["/etc/hostname"]);
    child.stdin?.write("x");
    if (child.stdout) await once(child.stdout, "data");
    const after = viewOf(pid, ["/etc/hostname"]);
    expect(before && after && changesIn(before, after)).toEqual(["it holds /etc/hostname", "it holds a socket (tcp)"]);
  });

  it("finds children of children, and not those that ended", async () => {
    const { pid } = await start(
      'const { spawn } = require("child_process"); spawn("/bin/sh", ["-c", "sleep 1000 & wait"]); spawn("/bin/true"); globalThis.go = () => {}',
    );
    await expect
      .poll(() =>
        descendantsOf(pid)
          .map((found) => viewOf(found, [])?.name ?? "")
          .toSorted((a, b) => a.localeCompare(b)),
      )
      .toEqual(["sh", "sleep"]);
    const below = descendantsOf(pid);
    for (const found of below) process.kill(found, "SIGKILL");
    await expect.poll(() => below.some(isRunning)).toBe(false);
    expect(descendantsOf(pid)).toEqual([]);
  });

  it("has nothing to say of a process that is not there", () => {
    expect(viewOf(2 ** 22 + 1, [])).toBeNull();
  });
});
