import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { chmod, copyFile, lstat, mkdtemp, rename, rm, symlink, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { makeCommandFolder } from "../../src/broker/exec-folder.ts";
import { createPlaces } from "../../src/broker/file-place.ts";
import { createReach } from "../../src/broker/reach.ts";
import type { ExecScope, Scope } from "../../src/capability/index.ts";
import { findCommand } from "../../src/isolation/index.ts";
import { hasHiddenCharacters } from "../../src/kernel/index.ts";
import {
  boundTo,
  children,
  execBench,
  type ExecBench,
  granted,
  hostIsRoot,
  KERNEL_LEVELS,
  lackingLevel,
} from "./exec-support.ts";
import { bench, codeOf, temporaryDirectory } from "./support.ts";

const LEVEL = KERNEL_LEVELS.find((level) => lackingLevel(level) === "");
const level = LEVEL ?? "namespace";
const note = lackingLevel(level);

const removals: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const remove of removals.splice(0)) await remove();
});

/** A folder that everybody can read and only its owner change. */
async function openFolder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "sallyport-command-"));
  await chmod(path, 0o755);
  removals.push(() => rm(path, { recursive: true, force: true }));
  return path;
}

describe.skipIf(LEVEL === undefined)(`exec${note}`, () => {
  let wc: ExecScope;
  let cat: ExecScope;
  let sleep: ExecScope;
  beforeAll(async () => {
    wc = await granted("wc", ["-w"]);
    cat = await granted("cat", ["**"]);
    sleep = await granted("sleep", ["*"]);
  });

  it("runs what was granted, under the name or the path of it, and writes down what ran", async () => {
    const { exec, actions } = execBench(level, [wc]);
    for (const name of ["wc", wc.command]) {
      expect(await exec(name, ["-w"], { stdin: "one two three" })).toMatchObject({ code: 0, stdout: "3\n" });
    }
    expect(actions[0]).toEqual({
      plugin: { id: "probe", version: "1.0.0", digest: "sha256:00" },
      capability: "exec",
      method: "exec",
      target: "wc -w",
      bytes: 15,
      outcome: "succeeded",
      callId: "call_1",
      agent: "tester",
      tool: "probe",
      data: {
        args_digest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
        exit_code: 0,
        run_ms: expect.any(Number),
        file: wc.file?.path,
        sha256: wc.file?.sha256,
      },
    });
  });

  it.each<[string, string, readonly string[]]>([
    ["another command", "cat", ["-w"]],
    ["a path of the plugin's", "/tmp/wc", ["-w"]],
    ["a relative path", "./wc", ["-w"]],
    ["a path that leads there", "/usr/bin/../bin/wc", ["-w"]],
    ["other arguments", "wc", ["-c"]],
    ["one argument more", "wc", ["-w", "/etc/passwd"]],
    ["no argument", "wc", []],
    ["a shell's text", "wc -w; id", []],
    ["a shell's text as an argument", "wc", ["-w; id"]],
  ])("refuses %s", async (_what, command, args) => {
    const { exec, actions } = execBench(level, [wc]);
    expect(await codeOf(exec(command, args))).toBe("permission_denied");
    expect(actions).toMatchObject([{ capability: "exec", outcome: "denied", reason: "permission_denied" }]);
  });

  it.each(["--files0-from=/etc/passwd", "-o/tmp/x", "-", "", "a\nb", "a\u001b[2Jb", "a\u202eb"])(
    "never lets %j stand for a star",
    async (argument) => {
      const { exec, actions } = execBench(level, [cat]);
      expect(await codeOf(exec("cat", [argument]))).toBe("permission_denied");
      expect(hasHiddenCharacters(actions[0]?.target ?? "\0")).toBe(false);
    },
  );

  it("refuses arguments that are no text, too long or too many, before anything else", async () => {
    const { exec } = execBench(level, [cat]);
    const tries: [readonly string[], string][] = [
      [["a\0b"], "usage"],
      [["\ud800"], "usage"],
      [["x".repeat(1024 * 1024)], "limit_exceeded"],
      [Array.from({ length: 10_000 }, () => "x"), "usage"],
      [Array.from({ length: 200 }, () => "x".repeat(1000)), "limit_exceeded"],
    ];
    for (const [args, code] of tries) expect(await codeOf(exec("cat", args))).toBe(code);
    expect(await codeOf(exec("cat", [], { stdin: "x".repeat(1024 * 1024 + 3) }))).toBe("limit_exceeded");
  });

  it("tells the audit no secret that a plugin passes on, not even cut, quoted or as a digest to try against", async () => {
    const value = `a"b\\c ${"s3cret".repeat(20)}`;
    const vault = { KEY: { value, origins: [] } };
    const { exec, actions } = execBench(level, [cat], { vault });
    await exec("cat", [value, "x".repeat(1_990), value]);
    await exec("cat", ["[secret KEY]", "x".repeat(1_990), "[secret KEY]"]);
    const said = JSON.stringify(actions);
    for (const part of ["s3cret", "b\\\\c"]) expect(said).not.toContain(part);
    // As if the plugin had passed on the mark: the digest knows no more than the text.
    expect(actions[0]?.data?.["args_digest"]).toBe(actions[1]?.data?.["args_digest"]);
  });

  it("needs the manifest, the grant and the ceiling to agree, and a file that an operator said yes to", async () => {
    const asked: Scope = { capability: "exec", command: "wc", args: ["-w"] };
    const other: Scope = { capability: "exec", command: "wc", args: ["-c"] };
    const { file: _file, ...unbound } = wc;
    const refused = [
      execBench(level, [wc], { declared: [other] }),
      execBench(level, [wc], { declared: [asked], ceiling: [other] }),
      execBench(level, [wc], { declared: [asked], ceiling: [] }),
      execBench(level, [asked]),
      execBench(level, [unbound]),
    ];
    for (const { exec } of refused) expect(await codeOf(exec("wc", ["-w"]))).toBe("permission_denied");
    const agreed = execBench(level, [wc], { declared: [asked], ceiling: [asked] });
    expect(await agreed.exec("wc", ["-w"], { stdin: "" })).toMatchObject({ code: 0 });
  });

  it("runs nothing at a level that is not the kernel's, nor where nobody puts walls up", async () => {
    for (const other of ["runtime", "in-process"] as const)
      expect(await codeOf(execBench(other, [wc]).exec("wc", ["-w"]))).toBe("isolation_unavailable");
    const { ask } = bench({ granted: [wc] });
    const order = { command: "wc", args: ["-w"], stdin: null, files: [], timeout_ms: null };
    expect(await codeOf(ask("exec", order))).toBe("isolation_unavailable");
  });

  it("starts nothing before the call's intent is durable", async () => {
    const controller = new AbortController();
    const { exec, actions } = execBench(level, [sleep], {
      intent: new Promise(() => undefined),
      signal: controller.signal,
    });
    const running = exec("sleep", ["0"]);
    const first = await Promise.race([running.then(String, String), new Promise((resolve) => setImmediate(resolve))]);
    expect([first, actions, children()]).toEqual([undefined, [], []]);
  });

  it.each<[string, (made: ExecBench, controller: AbortController) => void]>([
    ["its call", ({ session }) => session.endCall("call_1")],
    ["a cancellation", (_made, controller) => controller.abort()],
    ["the plugin", ({ session }) => session.close()],
  ])("ends with %s", async (_what, end) => {
    const controller = new AbortController();
    const made = execBench(level, [sleep], { signal: controller.signal });
    expect(await codeOf(made.exec("sleep", ["0"]))).toBe("no error");
    const running = codeOf(made.exec("sleep", ["100"]));
    await until(() => children().length > 0);
    end(made, controller);
    expect(await running).toBe("cancelled");
    expect(children()).toEqual([]);
    expect(made.actions[1]).toMatchObject({ target: "sleep 100", outcome: "failed", reason: "cancelled" });
    if (controller.signal.aborted) expect(await codeOf(made.exec("sleep", ["100"]))).toBe("cancelled");
  });

  it("bounds how many run at once, and how often one is started, also over restarts of the plugin", async () => {
    const made = execBench(level, [sleep], { execLimits: { atOnce: 1 } });
    const running = codeOf(made.exec("sleep", ["100"]));
    expect(await codeOf(made.exec("sleep", ["100"]))).toBe("limit_exceeded");
    made.session.close();
    expect(await running).toBe("cancelled");
    const often = execBench(level, [sleep], { execLimits: { burst: 1, perSecond: 0.001 } });
    expect(await codeOf(often.exec("sleep", ["0"]))).toBe("no error");
    expect(await codeOf(often.exec("sleep", ["0"]))).toBe("limit_exceeded");
  });

  describe("with files", () => {
    async function withData(more: readonly Scope[] = []) {
      const data = await temporaryDirectory();
      removals.push(data.remove);
      await writeFile(join(data.path, "in.txt"), "the plugin's own", { mode: 0o600 });
      const home = `/nonexistent/${data.path}`;
      return { data: data.path, home, made: execBench(level, [cat, ...more], { dataDir: data.path, home }) };
    }
    const own: Scope = { capability: "filesystem", path: "${data}", mode: "r" };

    it("hands over copies of what the plugin may read, and takes them away again", async () => {
      const { made, home } = await withData([own]);
      const files = [{ name: "a.txt", path: "${data}/in.txt" }];
      expect(await made.exec("cat", ["a.txt"], { files })).toMatchObject({ code: 0, stdout: "the plugin's own" });
      expect(made.actions).toMatchObject([
        { capability: "filesystem", method: "read", target: "${data}/in.txt", bytes: 16 },
        { capability: "exec", target: "cat a.txt" },
      ]);
      // The name says whose it is, so that this looks at nobody else's.
      const mark = createHash("sha256").update(home).digest("hex").slice(0, 16);
      expect(readdirSync(tmpdir()).filter((name) => name.includes(mark))).toEqual([]);
    });

    it("hands over nothing that the plugin itself could not read", async () => {
      const without = await withData();
      const file = { name: "a", path: "${data}/in.txt" };
      expect(await codeOf(without.made.exec("cat", ["a"], { files: [file] }))).toBe("permission_denied");
      const { data, made } = await withData([own]);
      await symlink("/etc/passwd", join(data, "link"));
      const tries: [string, string, string][] = [
        ["a", "/etc/passwd", "permission_denied"],
        ["a", "${data}/link", "permission_denied"],
        ["a", "${data}/../in.txt", "usage"],
        ["a", "${data}/none", "not_found"],
        ["a", "${data}", "usage"],
        ["../a", "${data}/in.txt", "usage"],
        ["-a", "${data}/in.txt", "usage"],
      ];
      for (const [name, path, code] of tries)
        expect([path, await codeOf(made.exec("cat", ["a"], { files: [{ name, path }] }))]).toEqual([path, code]);
      expect(await codeOf(made.exec("cat", ["a"], { files: [file, file] }))).toBe("usage");
    });

    it.skipIf(!hostIsRoot)(
      `are no other process's of their user to change or swap${hostIsRoot ? "" : " (skipped: not root)"}`,
      async () => {
        const data = await temporaryDirectory();
        removals.push(data.remove);
        await writeFile(join(data.path, "in.txt"), "x");
        const reach = createReach({ declared: [own], granted: [own] });
        const folder = await makeCommandFolder([{ name: "a", path: "${data}/in.txt" }], {
          home: data.path,
          places: createPlaces({ reach, dataDir: data.path, forbidden: [] }),
          hostIsRoot,
          mostBytes: 100,
          onRead: () => undefined,
        });
        removals.push(folder.remove);
        const stats = await Promise.all([folder.path, join(folder.path, "a")].map((path) => lstat(path)));
        expect(stats.map(({ uid, mode }) => [uid, mode & 0o022])).toEqual([
          [0, 0],
          [0, 0],
        ]);
      },
    );

    it("bounds their bytes", async () => {
      const data = await temporaryDirectory();
      removals.push(data.remove);
      await writeFile(join(data.path, "big"), "x".repeat(101));
      const made = execBench(level, [cat, own], { dataDir: data.path, execLimits: { filesBytes: 100 } });
      expect(await codeOf(made.exec("cat", ["a"], { files: [{ name: "a", path: "${data}/big" }] }))).toBe(
        "limit_exceeded",
      );
    });
  });

  describe.skipIf(!hostIsRoot)(
    `a command that is changed after the yes${hostIsRoot ? "" : " (skipped: not root)"}`,
    () => {
      async function ownCommand(): Promise<{ path: string; folder: string; scope: ExecScope }> {
        const folder = await openFolder();
        const path = join(folder, "count");
        await copyFile("/usr/bin/wc", path);
        await chmod(path, 0o755);
        return { path, folder, scope: boundTo(await findCommand(path), []) };
      }

      it.each<[string, (path: string, folder: string) => Promise<void>]>([
        ["other bytes in the same file", (path) => copyFile("/usr/bin/cat", path)],
        [
          "another file in its place",
          async (path, folder) => {
            await copyFile("/usr/bin/cat", join(folder, "new"));
            await chmod(join(folder, "new"), 0o755);
            await rename(join(folder, "new"), path);
          },
        ],
        [
          "a link in its place",
          async (path, folder) => {
            await rename(path, join(folder, "old"));
            await symlink(join(folder, "old"), path);
          },
        ],
        ["a mode that lets others write", (path) => chmod(path, 0o777)],
        ["a mode that changes the user", (path) => chmod(path, 0o4755)],
        ["a folder that others may write", (_path, folder) => chmod(folder, 0o777)],
        ["nothing", (path) => unlink(path)],
      ])("is not run: %s", async (_what, change) => {
        const { path, folder, scope } = await ownCommand();
        const { exec, actions } = execBench(level, [scope]);
        expect(await exec(path, [], { stdin: "one two" })).toMatchObject({ code: 0 });
        await change(path, folder);
        expect(await codeOf(exec(path, []))).toBe("digest_mismatch");
        expect(actions[1]).toMatchObject({ outcome: "failed", reason: "digest_mismatch" });
      });

      it("was a link, which may lead anywhere since: what runs is what it led to", async () => {
        const { path, folder } = await ownCommand();
        const alias = join(folder, "alias");
        await symlink(path, alias);
        const scope = boundTo(await findCommand(alias), ["-w"]);
        expect(scope).toMatchObject({ command: alias, file: { path } });
        await unlink(alias);
        await symlink("/usr/bin/id", alias);
        expect(await execBench(level, [scope]).exec(alias, ["-w"], { stdin: "a b" })).toMatchObject({ stdout: "2\n" });
      });

      it("is never granted when it belongs to somebody else, changes its user, is no program, or only starts others", async () => {
        const { path, folder } = await ownCommand();
        const never = async (name: string) => expect(await codeOf(findCommand(name))).toBe("ceiling_exceeded");
        await writeFile(join(folder, "script"), "#!/bin/sh\nid\n", { mode: 0o755 });
        await never(join(folder, "script"));
        await never(folder);
        for (const mode of [0o4755, 0o2755, 0o775, 0o757, 0o750]) {
          await chmod(path, mode);
          await never(path);
        }
        for (const name of ["env", "xargs", "nice"]) await never(name);
      });
    },
  );

  it("is looked for in the system's folders, whatever PATH says, and not found there when it is not", async () => {
    const folder = await openFolder();
    await copyFile("/usr/bin/id", join(folder, "wc"));
    const { PATH } = process.env;
    process.env["PATH"] = folder;
    try {
      expect((await findCommand("wc")).file.path).toBe(wc.file?.path);
      expect(await execBench(level, [wc]).exec("wc", ["-w"], { stdin: "a" })).toMatchObject({ stdout: "1\n" });
    } finally {
      process.env["PATH"] = PATH;
    }
    expect(await codeOf(findCommand("sallyport-no-such-command"))).toBe("not_found");
    expect(await codeOf(findCommand("/nonexistent/wc"))).toBe("not_found");
  });

  it("is known for an interpreter under every name that it has", async () => {
    const behind = readdirSync("/usr/bin").filter((name) =>
      /^(?:perl|python)[0-9.]+(?:-[a-z0-9_-]+gnu)?$|^vim\./.test(name),
    );
    for (const name of ["sh", "bash", "perl", "python3", "awk", "ex", "ld.so", ...behind]) {
      const found = await findCommand(name).catch(() => undefined);
      if (found !== undefined) expect([name, found.interpreter]).toEqual([name, true]);
    }
    for (const name of ["wc", "git", "sort"]) {
      const found = await findCommand(name).catch(() => undefined);
      if (found !== undefined) expect([name, found.interpreter]).toEqual([name, false]);
    }
  });
});

/** Looks again in each turn; the test's own deadline is the bound. */
async function until(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setImmediate(resolve));
}
