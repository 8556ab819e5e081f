import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  hostIsRoot,
  namespaceAvailable,
  namespaceNote,
  publicDir,
  type Run,
  runInside,
  runtimeAvailable,
} from "./support.ts";

interface Report {
  permissions: Record<string, string>;
  worked: string[];
  failed: Record<string, string>;
  environment: Record<string, string> | null;
  directories: Record<string, string[]>;
  syscalls: Record<string, number>;
  ffi: true | string;
}

const dir = publicDir();
afterAll(() => dir.remove());
dir.write("plugin/notes.txt", "notes");
const fixture = (name: string): string => {
  const path = join(dir.path, name);
  copyFileSync(fileURLToPath(new URL(`fixtures/${name}`, import.meta.url)), path);
  return path;
};
const inside = fixture("inside.mjs");
const root = join(dir.path, "plugin");

function reportOf(run: Run): Report {
  expect(run.stderr).toBe("");
  expect(run.code).toBe(0);
  return JSON.parse(run.stdout);
}

const CLOSED = {
  write: "denied",
  net: "denied",
  env: "denied",
  run: "denied",
  sys: "denied",
  ffi: "denied",
  import: "denied",
};

describe.skipIf(!namespaceAvailable)(`inside level namespace${namespaceNote}`, () => {
  let report: Report;
  beforeAll(async () => {
    report = reportOf(await runInside(inside, { level: "namespace", root }));
  });

  it("every permission of the runtime is closed but reading the plugin's own directory [S1-10] [S3-5]", () => {
    const { read, ...others } = report.permissions;
    expect(read).not.toBe("granted");
    for (const [name, state] of Object.entries(CLOSED)) {
      expect([name, others[name] === "prompt" ? "denied" : others[name]]).toEqual([name, state]);
    }
    expect(
      [others["read /plugin"], others["read /etc"], others["read /tmp"]].map((state) => state === "granted"),
    ).toEqual([true, false, false]);
  });

  it("nothing worked but reading its own files", () => {
    expect(report.worked).toEqual(["read this module"]);
    expect(report.environment).toBeNull();
    expect(report.ffi).toMatch(/ffi/);
  });
});

describe.skipIf(!namespaceAvailable)(
  `inside level namespace with the runtime's permissions fully open${namespaceNote}`,
  () => {
    let report: Report;
    beforeAll(async () => {
      report = reportOf(await runInside(inside, { level: "namespace", root, openRuntimePermissions: true }));
    });

    it("they really are open, so that only the kernel's walls are tested", () => {
      for (const name of ["read", "write", "net", "env", "run", "sys", "ffi"])
        expect([name, report.permissions[name]]).toEqual([name, "granted"]);
    });

    it("the environment is exactly what the host wrote [S1-14]", () => {
      expect(report.environment).toEqual({
        DENO_DIR: "/dev/null/cache",
        DENO_NO_PACKAGE_JSON: "1",
        DENO_NO_UPDATE_CHECK: "1",
        NO_COLOR: "1",
        PWD: "/tmp",
      });
    });

    it("the file system holds the runtime, the runner and the plugin, and nothing of the host [S3-83] [S1-14]", () => {
      const { "/": top, ...others } = report.directories;
      expect(top?.filter((name) => name !== "lib" && name !== "lib64" && name !== "usr")).toEqual([
        "dev",
        "host",
        "plugin",
        "proc",
        "rt",
        "tmp",
      ]);
      expect(others).toMatchObject({
        "/proc": ["self"],
        "/proc/self": ["exe"],
        "/dev": ["null", "urandom"],
        "/rt": ["deno", "jail"],
        "/host": ["runner.mjs"],
        "/plugin": ["notes.txt"],
        "/tmp": [],
      });
    });

    it("no file, socket, process, name or module of outside can be had [S3-5] [S3-79] [S3-80] [S3-81]", () => {
      const allowed = ["read this module", "host name: plugin"];
      const uid = report.worked.find((entry) => entry.startsWith("user id"));
      expect(uid).not.toBe("user id: 0");
      expect(report.worked.filter((entry) => entry !== uid).toSorted()).toEqual(allowed.toSorted());
      if (hostIsRoot) expect(uid).toBe("user id: 65534");
    });

    it.skipIf(process.arch !== "x64")(
      "every system call that reaches out is refused, and every socket family [S3-82]",
      () => {
        expect(report.ffi).toBe(true);
        const refused = Object.entries(report.syscalls).filter(([name]) => name !== "setsid");
        for (const [name, result] of refused) expect([name, result < 0]).toEqual([name, true]);
        expect(Object.keys(report.syscalls)).toEqual(
          expect.arrayContaining(["fork", "ptrace", "io_uring_setup", "shared anonymous memory"]),
        );
        expect([
          report.syscalls["clone3"],
          report.syscalls["fork"],
          report.syscalls["clone without CLONE_THREAD"],
        ]).toEqual([-38, -38, -1]);
      },
    );

    it.skipIf(process.arch !== "x64")("a call through the x32 numbers ends the process", async () => {
      const run = await runInside(fixture("x32.mjs"), { level: "namespace", openRuntimePermissions: true });
      expect(run.stdout).toBe("");
      expect(run.code).toBe(128 + 31);
    });

    it("there is nowhere to write, not even an empty file", () => {
      expect(report.failed["fill the disk"]).toMatch(/os error 30/);
      expect(report.failed["make an empty file"]).toMatch(/os error 30/);
    });

    it("a worker can do no more", async () => {
      const run = await runInside(fixture("worker.mjs"), {
        level: "namespace",
        openRuntimePermissions: true,
        memoryMb: 2048,
      });
      expect(run.stdout).toBe("refused\n");
    });

    it.each(["buffers", "wasm", "objects"])(
      "memory in %s is bounded, whatever the heap's own limit says [S1-13]",
      async (kind) => {
        dir.write(`${kind}/kind.txt`, kind);
        const run = await runInside(fixture("memory.mjs"), {
          level: "namespace",
          root: join(dir.path, kind),
          memoryMb: 64,
          openRuntimePermissions: true,
        });
        expect(run.stdout).not.toContain("everything");
        const taken = Number(/stopped after (\d+) MiB/.exec(run.stdout)?.[1] ?? 0);
        expect(taken).toBeLessThan(700);
      },
    );
  },
);

describe.skipIf(!runtimeAvailable)("inside level runtime", () => {
  it("the runtime's permissions are closed, and the user is nobody when the host is root", async () => {
    const report = reportOf(await runInside(inside, { level: "runtime", root }));
    for (const name of Object.keys(CLOSED))
      expect([name, report.permissions[name] === "granted"]).toEqual([name, false]);
    expect(report.environment).toBeNull();
    expect(report.worked).toEqual([]);
    expect(report.failed["read this module"]).toMatch(/read/);
    expect(report.ffi).toMatch(/ffi/);
  });

  it("the environment is built from nothing, and the process runs as nobody when the host is root", async () => {
    const module = dir.write(
      "environment.mjs",
      "console.log(JSON.stringify([Deno.env.toObject(), Deno.uid(), Deno.cwd()]));",
    );
    process.env["SALLYPORT_TEST_SECRET"] = "leak";
    const run = await runInside(module, { level: "runtime", openRuntimePermissions: true });
    delete process.env["SALLYPORT_TEST_SECRET"];
    const [environment, uid, cwd]: [Record<string, string>, number, string] = JSON.parse(run.stdout);
    expect(environment).toEqual({
      DENO_DIR: "/dev/null/cache",
      DENO_NO_PACKAGE_JSON: "1",
      DENO_NO_UPDATE_CHECK: "1",
      NO_COLOR: "1",
    });
    expect(uid).toBe(hostIsRoot ? 65534 : process.getuid?.());
    expect(cwd).toBe("/");
  });

  it("memory is bounded [S1-13]", async () => {
    dir.write("runtime/kind.txt", "buffers");
    const module = dir.write(
      "runtime-memory.mjs",
      "const kept = []; try { for (;;) kept.push(new Uint8Array(16 << 20).fill(1)); } catch { console.log(kept.length * 16); }",
    );
    const run = await runInside(module, { level: "runtime", memoryMb: 64 });
    expect(Number(run.stdout.trim() || 0)).toBeLessThan(700);
  });
});
