import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeRoom } from "../../src/isolation/cgroup-room.ts";

/* Plain files stand for the kernel's: which of them are written, and when, is what is tested. */

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sallyport-room-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const PID = 4711;

function group(procs: string, controllers = "cpu memory pids", given = ""): void {
  writeFileSync(join(folder, "cgroup.procs"), procs);
  writeFileSync(join(folder, "cgroup.controllers"), controllers);
  writeFileSync(join(folder, "cgroup.subtree_control"), given);
}
const given = (): string => readFileSync(join(folder, "cgroup.subtree_control"), "utf8");
const room = (version: 1 | 2 = 2): void => makeRoom({ version, folders: { memory: folder, pids: folder } }, PID);

describe("a delegated group of version 2", () => {
  it("with nobody but the host in it: the host moves below, and gives its children the controllers", () => {
    group(`${PID}\n`);
    room();
    expect(readFileSync(join(folder, "sallyport-owner", "cgroup.procs"), "utf8")).toBe(String(PID));
    expect(given()).toBe("+memory +pids +cpu");
  });

  it("asks only for what is lacking", () => {
    group(`${PID}\n`, "memory pids", "memory");
    room();
    expect(given()).toBe("+pids");
  });

  it.each([
    ["another process is in it", `${PID}\n4712\n`, "memory pids", "", 2],
    ["the host is not in it", "4712\n", "memory pids", "", 2],
    ["a controller is not there", `${PID}\n`, "cpu pids", "", 2],
    ["its children have all already", `${PID}\n`, "memory pids", "memory pids", 2],
    ["it is of version 1", `${PID}\n`, "memory pids", "", 1],
  ] as const)("is left as it is when %s", (_why, procs, controllers, before, version) => {
    group(procs, controllers, before);
    room(version);
    expect(existsSync(join(folder, "sallyport-owner"))).toBe(false);
    expect(given()).toBe(before);
    expect(readFileSync(join(folder, "cgroup.procs"), "utf8")).toBe(procs);
  });

  it("keeps the host when it cannot be read", () => {
    group(`${PID}\n`);
    rmSync(join(folder, "cgroup.subtree_control"));
    mkdirSync(join(folder, "cgroup.subtree_control"));
    expect(room).not.toThrow();
    expect(readFileSync(join(folder, "cgroup.procs"), "utf8").trim()).toBe(String(PID));
  });

  it("that is not there is not made", () => {
    rmSync(folder, { recursive: true });
    expect(room).not.toThrow();
    expect(existsSync(folder)).toBe(false);
  });
});
