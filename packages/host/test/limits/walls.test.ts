import { readFileSync, rmSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ControlGroups } from "../../src/isolation/index.ts";
import { TASKS } from "../../src/isolation/index.ts";
import { processTree } from "../../src/isolation/process-tree.ts";
import { probe, publicDir, type Run } from "../isolation/support.ts";
import { compileInto, lacking, runProgram } from "../programs/support.ts";
import { createLab, type Lab, LEVELS, toolCall, until } from "../supervisor/support.ts";
import type { OTHER_ROWS } from "./rows.ts";

const { groups } = probe;
const groupsNote = probe.report.groups.available ? "" : ` (skipped: ${probe.report.groups.reason})`;

let lab: Lab;
beforeEach(async () => {
  lab = await createLab();
});
afterEach(() => lab.close());

/** Titles that docs/limits.md refers to. */
const row = (limit: (typeof OTHER_ROWS)[number], more = ""): string => `${limit} trips${more}`;
const MIB = 1024 * 1024;
/** Limits so wide that only what a test is about is left to trip. */
const WIDE = { memoryMb: 65_536, concurrency: 1 };

const tool = (body: string): string => `export default { tools: { async echo() { ${body} } } };`;
const EAT = tool(
  "const kept = []; for (;;) { kept.push(new Uint8Array(8 << 20).fill(1)); await new Promise((done) => setTimeout(done, 1)); }",
);
/** Threads of the runtime's pool, which wait in libc, and then workers, until one cannot be started. */
const THREADS = `const libc = Deno.dlopen("libc.so.6", { sleep: { parameters: ["u32"], result: "u32", nonblocking: true } });
await behave(async (message) => {
  if (message.method !== "call") return;
  for (let n = 0; n < 64; n++) libc.symbols.sleep(600).catch(() => {});
  for (let n = 0; n < 40; n++) new Worker("data:text/javascript,setInterval(() => {}, 1000)", { type: "module" });
});`;
const EVER = tool("await new Promise(() => {});");

describe.each(LEVELS)("at level $level $note", ({ level, available }) => {
  const test = it.skipIf(!available);
  const grouped = it.skipIf(!available || groups === null);

  grouped(`${row("memory: the whole process", ", by the kernel's group")}${groupsNote}`, async () => {
    const tight: ControlGroups = {
      ...whole(groups),
      make: (limits) => whole(groups).make({ ...limits, memoryBytes: 192 * MIB }),
    };
    const process = await lab.start(EAT, { level, limits: WIDE, groups: tight });
    await expect(process.call(toolCall("echo"))).rejects.toMatchObject({ code: "plugin_crashed" });
    expect((await process.exited).reason).toBe("the process was killed at its memory limit");
  });

  test(row("memory: the whole process", ", by the watch where there are no groups"), async () => {
    const bounds = { watchMs: 20, runtimeMemoryBytes: 0 };
    const process = await lab.start(EAT, { level, limits: { memoryMb: 60, concurrency: 1 }, groups: null, bounds });
    await process.call(toolCall("echo")).catch(() => undefined);
    expect((await process.exited).reason).toMatch(/memory limit/);
  });

  describe.each([
    { by: "by the kernel's group", tasks: undefined, found: groups },
    { by: "by the kernel's group, at the operator's limits.tasks", tasks: 32, found: groups },
    { by: "by the user namespace or the watch where there are no groups", tasks: undefined, found: null },
    { by: "the same, at the operator's limits.tasks", tasks: 32, found: null },
  ])("$by", ({ tasks, found }) => {
    test(row("threads"), async () => {
      const process = await lab.startRaw(THREADS, {
        level,
        limits: { ...WIDE, ...(tasks === undefined ? {} : { tasks }) },
        groups: found,
        openRuntimePermissions: true,
        bounds: { watchMs: 20 },
      });
      await expect(process.call(toolCall("echo"))).rejects.toMatchObject({ code: "plugin_crashed" });
      const most = tasks ?? TASKS;
      expect((await process.exited).reason).toBe(`the process was ended at its limit of ${most} threads and processes`);
    });
  });

  it.skipIf(!available || groups?.processors !== true)(
    `${row("processors")}: a plugin that spins is held back${groupsNote}`,
    async () => {
      const process = await lab.start(tool("for (;;);"), { level, limits: { ...WIDE, processors: 0.2 } });
      const running = process.call(toolCall("echo")).catch(() => undefined);
      const path = folderOf(process.pid, "cpu");
      await until(() => heldBack(path) > 2, "the kernel held it back");
      await process.kill("seen");
      await running;
    },
  );

  it.skipIf(!available || groups?.processors !== true)(
    `all its threads together have one part of the processors, also where nothing bounds them${groupsNote}`,
    async () => {
      const process = await lab.start(EVER, { level });
      expect(folderOf(process.pid, "cpu")).toMatch(/\/sallyport-[^/]+$/);
    },
  );

  test("processors that nothing here can bound refuse the start", async () => {
    await expect(lab.start(EVER, { level, limits: { ...WIDE, processors: 1 }, groups: null })).rejects.toMatchObject({
      code: "isolation_unavailable",
      fix: expect.stringContaining("limits.processors"),
    });
    expect(lab.processes).toEqual([]);
  });

  it.skipIf(!available || level !== "runtime")(row("size of a file"), async () => {
    const path = `/tmp/sallyport-limit-${process.pid}`;
    const plugin = await lab.start(tool(`Deno.writeFileSync("${path}", new Uint8Array(32 << 20));`), {
      level,
      openRuntimePermissions: true,
    });
    await expect(plugin.call(toolCall("echo"))).rejects.toMatchObject({ code: "plugin_crashed" });
    expect((await plugin.exited).reason).toBe("the process wrote a file over its size limit");
    rmSync(path, { force: true });
  });

  test(row("core dumps"), async () => {
    const plugin = await lab.start(EVER, { level });
    const last = processTree(plugin.pid).at(-1)?.pid ?? 0;
    expect(readFileSync(`/proc/${last}/limits`, "utf8")).toMatch(/^Max core file size\s+1\s+1\s/m);
  });

  test(row("calls at once, and waiting"), async () => {
    const bounds = { queuedCalls: 2 };
    const plugin = await lab.start(EVER, { level, limits: { memoryMb: 128, concurrency: 2 }, bounds });
    const calls = Array.from({ length: 4 }, () => plugin.call(toolCall("echo")).catch(() => undefined));
    await expect(plugin.call(toolCall("echo"))).rejects.toMatchObject({ code: "busy" });
    await plugin.kill("seen");
    await Promise.all(calls);
  });

  test(row("time of a start"), async () => {
    const hangs = "await new Promise(() => setInterval(() => {}, 1000));";
    await expect(lab.start(hangs, { level, bounds: { importMs: 300 } })).rejects.toMatchObject({ code: "load_failed" });
    expect(lab.processes).toEqual([]);
  });
});

describe("a program's scratch at level namespace", () => {
  const without = lacking("namespace", "cc");
  /** Takes what it can get in /tmp, in one file or in many, and says what stopped it. */
  const FILLS = `
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
int main(int count, char **arguments) {
  static char piece[1 << 20];
  char name[32];
  int one = count > 1, file = -1;
  for (int n = 0; n < 64; n++) {
    if (!one || file < 0) {
      snprintf(name, sizeof name, "/tmp/%d", n);
      file = open(name, O_CREAT | O_WRONLY, 0600);
    }
    if (write(file, piece, sizeof piece) < 0) { printf("errno %d after %d MiB\\n", errno, n); return 0; }
  }
  printf("all\\n");
}
`;
  async function fill(...args: readonly string[]): Promise<Run> {
    const dir = publicDir();
    try {
      compileInto(dir.path, "fills", FILLS);
      return await runProgram({ level: "namespace", root: dir.path, entry: "fills", args });
    } finally {
      dir.remove();
    }
  }

  it.skipIf(without !== "")(`scratch trips, for a program ${without}`, async () => {
    expect(await fill()).toMatchObject({ code: 0, stdout: "errno 28 after 16 MiB\n" });
  });

  it.skipIf(without !== "")(row("size of a file", `, for a program ${without}`), async () => {
    expect(await fill("one")).toMatchObject({ code: 128 + 25, stdout: "" });
  });
});

function whole(found: ControlGroups | null): ControlGroups {
  if (found === null) throw new Error("there are no groups");
  return found;
}

/** Where a process's group lies on this machine. */
function folderOf(pid: number, controller: string): string {
  const line = readFileSync(`/proc/${pid}/cgroup`, "utf8")
    .split("\n")
    .find((one) => one.split(":")[1]?.split(",").includes(controller) || one.startsWith("0::"));
  const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  const mount = mounts.find((one) => / - cgroup /.test(one) && new RegExp(`[ ,]${controller}(?:,|$)`).test(one));
  const point = (mount ?? mounts.find((one) => / - cgroup2 /.test(one)))?.split(" ")[4] ?? "";
  return point + (line?.split(":").slice(2).join(":") ?? "");
}

function heldBack(folder: string): number {
  return Number(/^nr_throttled (\d+)$/m.exec(readFileSync(`${folder}/cpu.stat`, "utf8"))?.[1] ?? 0);
}
