import { type ChildProcess, spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { gone, probeControlGroups } from "../../src/isolation/cgroup.ts";
import { makeGroup } from "../../src/isolation/cgroup-group.ts";
import { type Place, placesFor } from "../../src/isolation/cgroup-place.ts";
import { hostIsRoot, probe } from "../isolation/support.ts";
import { createLab, LEVELS, toolCall } from "../supervisor/support.ts";

const { groups } = probe;
const { report } = probe;
const note = report.groups.available ? "" : ` (skipped: ${report.groups.reason})`;
const found = placesFor(readFileSync("/proc/self/mountinfo", "utf8"), readFileSync("/proc/self/cgroup", "utf8"));
const options = { hostIsRoot, nobody: 65534, waiting: "/bin/cat" };
const LIMITS = { memoryBytes: 64 * 1024 * 1024, tasks: 8 };

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

/** A process of ours that waits. */
function waiting(): { pid: number; ended: Promise<unknown> } {
  const child = spawn("/bin/cat", [], { stdio: ["pipe", "ignore", "ignore"] });
  children.push(child);
  return { pid: child.pid ?? 0, ended: new Promise((resolve) => child.once("close", resolve)) };
}

/** Groups of this process below a place. */
function ours(place: Place, pid = process.pid): string[] {
  return [...new Set(Object.values(place.folders).flatMap((folder) => readdirSync(folder)))].filter((name) =>
    new RegExp(`^sallyport-\\d+-${pid}-`).test(name),
  );
}

describe.skipIf(groups === null)(`groups of the kernel's${note}`, () => {
  const place = (): Place => {
    const [first] = found.filter(({ version }) => version === groups?.version);
    if (first === undefined) throw new Error("no place");
    return first;
  };

  it("bound the processes in them, end them together, and leave nothing", async () => {
    const group = groups?.make(LIMITS);
    const [one, two] = [waiting(), waiting()];
    for (const { pid } of [one, two]) group?.enter(pid);
    expect(new Set(group?.members())).toEqual(new Set([one.pid, two.pid]));
    expect(group?.counts()).toEqual({ memoryKills: 0, tasksRefused: 0 });
    expect(group?.remove()).toBe(false);
    group?.kill();
    await Promise.all([one.ended, two.ended]);
    expect(group !== undefined && (await gone(group))).toBe(true);
  });

  it("are refused, with nothing left, when one limit cannot be set", () => {
    const before = ours(place());
    expect(() => groups?.make({ memoryBytes: -5, tasks: 8 })).toThrow(
      expect.objectContaining({ code: "launch_failed" }),
    );
    expect(() => groups?.make({ memoryBytes: 1 << 26, tasks: Number.NaN })).toThrow(
      expect.objectContaining({ code: "launch_failed" }),
    );
    expect(ours(place())).toEqual(before);
  });

  it("that cannot be entered keep the process from running", () => {
    const group = groups?.make(LIMITS);
    expect(() => group?.enter(0x7fffffff)).toThrow(expect.objectContaining({ code: "launch_failed" }));
    expect(group?.remove()).toBe(true);
  });

  it("that a killed host left are emptied and removed at the next start, and no others", async () => {
    const dead = spawn("/bin/true");
    await new Promise((resolve) => dead.once("close", resolve));
    const namespace = /\d+/.exec(readlinkSync("/proc/self/ns/pid"))?.[0] ?? "";
    const left = `sallyport-${namespace}-${dead.pid}-1-0`;
    const others = [`sallyport-1-${dead.pid}-1-0`, `sallyport-${namespace}-${process.pid}x-1-0`, "not-sallyport"];
    const orphan = waiting();
    try {
      makeGroup(place(), left, LIMITS).enter(orphan.pid);
      for (const name of others) makeGroup(place(), name, LIMITS);
      const own = groups?.make(LIMITS);
      await probeControlGroups(options);
      await orphan.ended;
      const names = new Set(Object.values(place().folders).flatMap((folder) => readdirSync(folder)));
      expect(names.has(left)).toBe(false);
      expect(others.filter((name) => names.has(name))).toEqual(others);
      expect(own?.remove()).toBe(true);
    } finally {
      for (const name of others) {
        for (const folder of new Set(Object.values(place().folders))) {
          if (existsSync(join(folder, name))) rmdirSync(join(folder, name));
        }
      }
    }
  });

  it.each(LEVELS.map((entry) => [entry.level, entry] as const))(
    "hold every process of a plugin at level %s from the start, and are gone with it",
    async (level, { available }) => {
      if (!available) return;
      const lab = await createLab();
      try {
        const plugin = await lab.start("export default { tools: { echo: () => 1 } };", { level });
        expect((await plugin.call(toolCall("echo"))).output).toBe(1);
        const mine = ours(place());
        expect(mine).toHaveLength(1);
        const folder = join(place().folders.memory ?? "", mine[0] ?? "");
        const members = readFileSync(join(folder, "cgroup.procs"), "utf8").split("\n").filter(Boolean);
        expect(members).toContain(String(plugin.pid));
        // bubblewrap: outside, init and the runtime; the helper becomes the runtime.
        expect(members).toHaveLength(level === "namespace" ? 3 : 1);
        await plugin.kill("seen");
        expect(ours(place())).toEqual([]);
      } finally {
        await lab.close();
      }
    },
  );
});

describe("where groups cannot be made", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "sallyport-groups-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const at = (path: string, version: 1 | 2): Place => ({ version, folders: { memory: path, pids: path, cpu: path } });

  it("the probe says why, and what would help", async () => {
    const probed = await probeControlGroups({ ...options, places: [at(join(folder, "none"), 2)] });
    expect(probed.groups).toBeNull();
    expect(probed.report).toMatchObject({
      available: false,
      reason: expect.stringMatching(/^cgroup v2 is there and cannot be used \(ENOENT\)/),
      fix: expect.stringContaining("Delegate=yes"),
    });
    expect((await probeControlGroups({ ...options, places: [] })).report).toMatchObject({
      available: false,
      reason: "This machine has no cgroup hierarchy with memory and pids.",
    });
  });

  it.each([1, 2] as const)(
    "a folder whose controllers are not given to its children is none (version %i)",
    async (version) => {
      // As a group of version 2 without memory and pids in the cgroup.subtree_control above it: no file to write a limit to.
      const probed = await probeControlGroups({ ...options, places: [at(folder, version)] });
      expect(probed.groups).toBeNull();
      expect(readdirSync(folder)).toEqual([]);
    },
  );

  it("never writes to a file that the kernel did not make", () => {
    mkdirSync(join(folder, "group"));
    writeFileSync(join(folder, "group", "memory.max"), "max");
    expect(() => makeGroup(at(folder, 2), "group", LIMITS)).toThrow(expect.objectContaining({ code: "launch_failed" }));
    expect(readFileSync(join(folder, "group", "memory.max"), "utf8")).toBe("max");
  });
});
