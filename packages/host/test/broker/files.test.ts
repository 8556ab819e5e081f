import { execFileSync } from "node:child_process";
import { chmod, link, mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isNeverGrantable } from "../../src/broker/index.ts";
import { openRoot, walk } from "../../src/broker/walk.ts";
import type { FilesystemScope } from "../../src/capability/index.ts";
import { type Bench, bench, codeOf, temporaryDirectory } from "./support.ts";

let root = "";
let remove: () => Promise<void>;
beforeEach(async () => {
  ({ path: root, remove } = await temporaryDirectory());
  await mkdir(join(root, "granted", "sub"), { recursive: true });
  await writeFile(join(root, "granted", "a.txt"), "hello");
  await mkdir(join(root, "outside"));
  await writeFile(join(root, "outside", "secret.txt"), "secret");
});
afterEach(() => remove());

const base64 = (text: string): string => Buffer.from(text).toString("base64");
const scope = (path: string, mode: "r" | "rw" = "r"): FilesystemScope => ({ capability: "filesystem", path, mode });
const granted = (mode: "r" | "rw" = "r", extra: Parameters<typeof bench>[0] = {}): Bench =>
  bench({ granted: [scope(join(root, "granted"), mode)], dataDir: join(root, "data"), ...extra });
const read = (tool: Bench, path: string, offset = 0, length = 1_000_000) =>
  tool.ask<{ data: string; size: number; done: boolean }>("files.read", { path, offset, length });
const write = (tool: Bench, path: string, text: string, offset: number | null = null) =>
  tool.ask("files.write", { path, data: base64(text), offset });
const inside = (...names: string[]): string => join(root, "granted", ...names);
const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

describe("filesystem: what is granted", () => {
  it("reads below a path granted for reading, and records path and bytes [S0-12] [S0-16] [S1-19] [S3-70]", async () => {
    const tool = granted();
    expect(await read(tool, inside("a.txt"))).toEqual({ data: base64("hello"), size: 5, done: true });
    expect(await read(tool, inside("a.txt"), 1, 2)).toEqual({ data: base64("el"), size: 5, done: false });
    expect(await read(tool, inside("a.txt"), 99)).toEqual({ data: "", size: 5, done: true });
    expect(tool.actions[0]).toMatchObject({
      capability: "filesystem",
      method: "read",
      target: inside("a.txt"),
      bytes: 5,
      outcome: "succeeded",
      callId: "call_1",
    });
  });

  it("writes only where writing was granted [S0-13] [S3-71]", async () => {
    expect(await codeOf(write(granted("r"), inside("a.txt"), "changed"))).toBe("permission_denied");
    const tool = granted("rw");
    await write(tool, inside("a.txt"), "hi");
    await write(tool, inside("a.txt"), "!!", 2);
    await write(tool, inside("new.txt"), "new");
    expect(await readFile(inside("a.txt"), "utf8")).toBe("hi!!");
    expect((await stat(inside("new.txt"))).mode & 0o777).toBe(0o600);
    expect(await codeOf(write(tool, inside("a.txt"), "x", 9))).toBe("usage");
  });

  it("refuses everything else, whatever way it is written [S0-10] [S1-11]", async () => {
    const tool = granted("rw");
    for (const path of [
      join(root, "outside", "secret.txt"),
      `${inside()}-other`,
      root,
      "/",
      `${inside()}/../outside/secret.txt`,
      `${inside()}/sub/../../outside/secret.txt`,
      `${inside()}//a.txt`,
      `${inside("a.txt")}\0.png`,
      "a.txt",
      "",
      "~/x",
      inside(".", "a.txt").replace("granted", "granted/."),
    ]) {
      expect(await codeOf(read(tool, path))).toMatch(/^(permission_denied|usage)$/);
      expect(await codeOf(write(tool, path, "x"))).toMatch(/^(permission_denied|usage)$/);
    }
    expect(await codeOf(read(bench({ granted: [], declared: [scope(inside())] }), inside("a.txt")))).toBe(
      "permission_denied",
    );
    expect(await codeOf(read(granted("r", { declared: [] }), inside("a.txt")))).toBe("permission_denied");
    expect(await codeOf(read(granted("r", { ceiling: [] }), inside("a.txt")))).toBe("permission_denied");
    expect(await readFile(join(root, "outside", "secret.txt"), "utf8")).toBe("secret");
  });

  it("lists, stats, makes and removes", async () => {
    const tool = granted("rw");
    await tool.ask("files.mkdir", { path: inside("made") });
    await tool.ask("files.mkdir", { path: inside("made") });
    expect(
      (await tool.ask<{ entries: { name: string; kind: string }[] }>("files.list", { path: inside() })).entries.map(
        ({ name, kind }) => [name, kind],
      ),
    ).toEqual([
      ["a.txt", "file"],
      ["made", "directory"],
      ["sub", "directory"],
    ]);
    expect(await tool.ask("files.stat", { path: inside("a.txt") })).toMatchObject({ kind: "file", size: 5 });
    expect(await tool.ask("files.stat", { path: inside("none", "x") })).toBeNull();
    await tool.ask("files.remove", { path: inside("made") });
    await tool.ask("files.remove", { path: inside("a.txt") });
    expect(await readdir(inside())).toEqual(["sub"]);
    expect(await codeOf(tool.ask("files.remove", { path: inside("a.txt") }))).toBe("not_found");
    expect(await codeOf(tool.ask("files.remove", { path: inside() }))).toBe("permission_denied");
    await writeFile(inside("sub", "x"), "");
    expect(await codeOf(tool.ask("files.remove", { path: inside("sub") }))).toBe("conflict");
    expect(await codeOf(tool.ask("files.mkdir", { path: inside("p", "q") }))).toBe("not_found");
  });

  it("changes nothing with a grant for reading", async () => {
    const tool = granted("r");
    for (const method of ["files.mkdir", "files.remove"])
      expect(await codeOf(tool.ask(method, { path: inside("sub") }))).toBe("permission_denied");
    expect(await exists(inside("sub"))).toBe(true);
  });
});

describe("filesystem: links, pipes, devices", () => {
  it("follows no symbolic link, at any level, for any method", async () => {
    await symlink(join(root, "outside"), inside("dir"));
    await symlink(join(root, "outside", "secret.txt"), inside("file"));
    await symlink(join(root, "outside", "made.txt"), inside("dangling"));
    await symlink(inside("a.txt"), inside("harmless"));
    const tool = granted("rw");
    for (const path of [inside("dir", "secret.txt"), inside("file"), inside("harmless")]) {
      expect(await codeOf(read(tool, path))).toBe("permission_denied");
      expect(await codeOf(write(tool, path, "x"))).toBe("permission_denied");
      expect(await codeOf(tool.ask("files.remove", { path }))).toBe("permission_denied");
      expect(await codeOf(tool.ask("files.stat", { path }))).toBe("permission_denied");
    }
    expect(await codeOf(write(tool, inside("dangling"), "x"))).toBe("permission_denied");
    expect(await codeOf(write(tool, inside("dir", "made.txt"), "x"))).toBe("permission_denied");
    expect(await codeOf(tool.ask("files.mkdir", { path: inside("dir", "made") }))).toBe("permission_denied");
    expect(await codeOf(tool.ask("files.list", { path: inside("dir") }))).toBe("permission_denied");
    expect(
      (await tool.ask<{ entries: { name: string }[] }>("files.list", { path: inside() })).entries.map(
        ({ name }) => name,
      ),
    ).toEqual(["a.txt", "sub"]);
    expect(await readdir(join(root, "outside"))).toEqual(["secret.txt"]);
    expect(await readFile(join(root, "outside", "secret.txt"), "utf8")).toBe("secret");
  });

  it("refuses a granted path that is itself reached over a link", async () => {
    await symlink(join(root, "granted"), join(root, "alias"));
    const tool = bench({ granted: [scope(join(root, "alias"), "rw")] });
    expect(await codeOf(read(tool, join(root, "alias", "a.txt")))).toBe("permission_denied");
    expect(await codeOf(tool.ask("files.list", { path: join(root, "alias") }))).toBe("permission_denied");
  });

  it("keeps to the directory that it checked when that is swapped for a link between two steps", async () => {
    // The walk is stopped at each step, where an attacker would swap what was just checked.
    let result: unknown;
    const node = await walk(await openRoot(join(root, "granted")), ["sub"], {
      check: () => undefined,
    });
    await rename(inside("sub"), inside("moved"));
    await symlink(join(root, "outside"), inside("sub"));
    await writeFile(inside("moved", "mine.txt"), "mine");
    const { openChild } = await import("../../src/broker/walk.ts");
    try {
      const child = await openChild(node, "mine.txt");
      result = await readFile(`/proc/self/fd/${child.handle.fd}`, "utf8");
      await child.handle.close();
      await expect(openChild(node, "secret.txt")).rejects.toMatchObject({ code: "ENOENT" });
    } finally {
      await node.handle.close();
    }
    expect(result).toBe("mine");
    expect(await codeOf(read(granted(), inside("sub", "secret.txt")))).toBe("permission_denied");
  });

  it("never reads or writes outside while a directory is swapped for a link again and again", async () => {
    const tool = granted("rw");
    await writeFile(inside("sub", "secret.txt"), "inside");
    await symlink(join(root, "outside"), inside("link"));
    const stop = new AbortController();
    const swapping = (async () => {
      while (!stop.signal.aborted) {
        await rename(inside("sub"), inside("parked"));
        await rename(inside("link"), inside("sub"));
        await rename(inside("sub"), inside("link"));
        await rename(inside("parked"), inside("sub"));
      }
    })();
    const seen = new Set<string>();
    for (let round = 0; round < 300; round++) {
      const answer = await read(tool, inside("sub", "secret.txt")).catch((error: { code: string }) => error.code);
      seen.add(typeof answer === "string" ? answer : Buffer.from(answer.data, "base64").toString());
      await codeOf(write(tool, inside("sub", "new.txt"), "x"));
    }
    stop.abort();
    await swapping;
    expect([...seen]).not.toContain("secret");
    expect(await readdir(join(root, "outside"))).toEqual(["secret.txt"]);
  });

  it("neither waits for a pipe nor touches a socket or a device", async () => {
    execFileSync("mkfifo", [inside("pipe")]);
    const listener = createServer();
    await new Promise<void>((resolve) => listener.listen(inside("socket"), resolve));
    const names = ["pipe", "socket"];
    if (process.geteuid?.() === 0) {
      execFileSync("mknod", [inside("null"), "c", "1", "3"]);
      names.push("null");
    }
    const tool = granted("rw");
    try {
      for (const name of names) {
        expect(await codeOf(read(tool, inside(name)))).toBe("permission_denied");
        expect(await codeOf(write(tool, inside(name), "x"))).toBe("permission_denied");
        expect(await codeOf(tool.ask("files.remove", { path: inside(name) }))).toBe("permission_denied");
      }
      expect(
        (await tool.ask<{ entries: { name: string }[] }>("files.list", { path: inside() })).entries.map(
          ({ name }) => name,
        ),
      ).toEqual(["a.txt", "sub"]);
    } finally {
      await new Promise((resolve) => listener.close(resolve));
    }
  });

  it("does not write to a file that has another name elsewhere", async () => {
    await link(join(root, "outside", "secret.txt"), inside("linked"));
    expect(await codeOf(write(granted("rw"), inside("linked"), "x"))).toBe("permission_denied");
    expect(await readFile(join(root, "outside", "secret.txt"), "utf8")).toBe("secret");
  });
});

describe("filesystem: what no grant reaches", () => {
  it.each([
    "/proc/self/environ",
    "/proc",
    "/sys/kernel",
    "/dev/sda",
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/boot/grub",
    "/etc/shadow",
    "/etc/sudoers.d/x",
    "/etc/profile.d/x.sh",
    "/etc/cron.d/x",
    "/home/u/.ssh",
    "/home/u/.ssh/id_rsa",
    "/home/u/.SSH/id_rsa",
    "/root/.gnupg/x",
    "/home/u/.bashrc",
    "/home/u/.zshenv",
    "/home/u/.profile",
    "/home/u/.aws/credentials",
    "/home/u/.config/autostart/x",
    "/home/u/project/.git/hooks/post-commit",
    "/home/u/project/.git/config",
    "/home/u/project/CLAUDE.md",
    "/home/u/project/.mcp.json",
    "/home/u/.claude/settings.json",
    "/home/u/project/.vscode/tasks.json",
    "/srv/home-of-host",
    "/srv/home-of-host/vault",
  ])("cuts out %s", (path) => {
    expect(isNeverGrantable(path, ["/srv/home-of-host"])).toBe(true);
  });

  it.each([
    "/srv/home-of-hostile",
    "/etc/hosts",
    "/home/u/project/src",
    "/devices",
    "/home/u/ssh",
    "/home/u/project/.github/x.yml",
  ])("does not cut out %s", (path) => {
    expect(isNeverGrantable(path, ["/srv/home-of-host"])).toBe(false);
  });

  it("cuts the home out of a grant for everything, also when it is reached by another name", async () => {
    await mkdir(join(root, "granted", "home", "keys"), { recursive: true });
    await writeFile(inside("home", "vault"), "sealed");
    await mkdir(inside(".ssh"));
    await writeFile(inside(".ssh", "id_rsa"), "key");
    await symlink(inside("home"), join(root, "home-alias"));
    for (const home of [inside("home"), join(root, "home-alias")]) {
      const tool = bench({ granted: [scope("/", "rw")], forbiddenPaths: [home] });
      for (const path of [
        inside("home", "vault"),
        inside(".ssh", "id_rsa"),
        "/proc/self/environ",
        "/dev/null",
        "/etc/shadow",
      ]) {
        expect(await codeOf(read(tool, path))).toBe("permission_denied");
        expect(await codeOf(write(tool, path, "x"))).toBe("permission_denied");
      }
      expect(await codeOf(tool.ask("files.list", { path: inside("home") }))).toBe("permission_denied");
      expect(
        (await tool.ask<{ entries: { name: string }[] }>("files.list", { path: inside() })).entries.map(
          ({ name }) => name,
        ),
      ).toEqual(["a.txt", "sub"]);
      expect((await read(tool, inside("a.txt"))).size).toBe(5);
    }
    // Moved: the directory is known by what it is, not only by its name.
    const tool = bench({ granted: [scope("/", "rw")], forbiddenPaths: [inside("home")] });
    await rename(inside("home"), inside("renamed"));
    expect(await codeOf(read(tool, inside("renamed", "vault")))).toBe("permission_denied");
  });
});

const openDescriptors = async (): Promise<number> => (await readdir("/proc/self/fd")).length;
const data = (mode: "r" | "rw" = "rw", extra: Parameters<typeof bench>[0] = {}): Bench =>
  bench({ granted: [scope("${data}/cache", mode)], dataDir: join(root, "data"), forbiddenPaths: [root], ...extra });

describe("filesystem: ${data}", () => {
  it("is the plugin's own directory, made when it is first needed", async () => {
    const tool = data();
    expect(await exists(join(root, "data"))).toBe(false);
    await write(tool, "${data}/cache/deep/er/x.json", "{}");
    expect(await readFile(join(root, "data", "cache", "deep", "er", "x.json"), "utf8")).toBe("{}");
    expect((await stat(join(root, "data"))).mode & 0o777).toBe(0o700);
    expect(tool.actions[0]?.target).toBe("${data}/cache/deep/er/x.json");
    expect(await codeOf(write(tool, "${data}/other", "x"))).toBe("permission_denied");
    expect(await codeOf(write(tool, "${data}/cache/../../x", "x"))).toBe("usage");
    expect(await codeOf(read(tool, join(root, "data", "cache", "deep", "er", "x.json")))).toBe("permission_denied");
  });

  it("holds a bounded number of bytes and files, counted over a restart, and gets room back [S1-13]", async () => {
    const limits = { fileLimits: { dataBytes: 1_000, dataFiles: 6 } };
    const tool = data("rw", limits);
    await write(tool, "${data}/cache/a", "x".repeat(600));
    expect(await codeOf(write(tool, "${data}/cache/b", "x".repeat(600)))).toBe("quota_exceeded");
    await write(tool, "${data}/cache/a", "x".repeat(10));
    await write(tool, "${data}/cache/b", "x".repeat(600));
    const restarted = data("rw", limits);
    expect(await codeOf(write(restarted, "${data}/cache/c", "x".repeat(600)))).toBe("quota_exceeded");
    await restarted.ask("files.remove", { path: "${data}/cache/b" });
    for (let round = 0; round < 20; round++) await restarted.ask("files.mkdir", { path: "${data}/cache/dir" });
    for (const name of ["c", "d", "e"]) await write(restarted, `\${data}/cache/${name}`, "x");
    expect(await codeOf(write(restarted, "${data}/cache/f", "x"))).toBe("quota_exceeded");
    expect(await codeOf(restarted.ask("files.mkdir", { path: "${data}/cache/g/h" }))).toBe("quota_exceeded");
  });
});

describe("filesystem: how much", () => {
  it("bounds a file, a piece, a listing and all of a call [S1-13]", async () => {
    const tool = granted("rw", { fileLimits: { chunkBytes: 100, fileBytes: 150, callBytes: 320, entries: 3 } });
    await writeFile(inside("big"), "x".repeat(500));
    expect(await read(tool, inside("big"))).toMatchObject({ size: 500, done: false, data: base64("x".repeat(100)) });
    expect(await codeOf(write(tool, inside("w"), "x".repeat(151)))).toBe("limit_exceeded");
    expect(await codeOf(read(tool, inside("big")))).toBe("limit_exceeded");
    tool.session.endCall("call_1");
    expect(await codeOf(read(tool, inside("big")))).toBe("no error");
    await writeFile(inside("more"), "");
    expect(await codeOf(tool.ask("files.list", { path: inside() }))).toBe("limit_exceeded");
  });

  it("leaves no descriptor open, whatever happened", async () => {
    await symlink(root, inside("link"));
    const tool = granted("rw");
    await read(tool, inside("a.txt"));
    const before = await openDescriptors();
    for (let round = 0; round < 20; round++) {
      await read(tool, inside("a.txt"));
      await write(tool, inside("b.txt"), "x");
      for (const path of [inside("link", "x"), inside("none"), inside("a.txt", "x"), inside("sub")])
        await codeOf(read(tool, path));
      await tool.ask("files.list", { path: inside() });
    }
    expect(await openDescriptors()).toBe(before);
  });

  it("says what failed with the plugin's own words for the path", async () => {
    await chmod(inside("sub"), 0o700);
    await rm(inside("a.txt"));
    const error = await read(bench({ granted: [scope("${data}")], dataDir: join(root, "data") }), "${data}/none").catch(
      (thrown: Error) => thrown.message,
    );
    expect(error).toContain("${data}/none");
    expect(error).not.toContain(root);
  });
});
