import { spawnSync } from "node:child_process";
import {
  chownSync,
  copyFileSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { spawnSandboxed } from "../../src/isolation/index.ts";
import { planLandlock } from "../../src/isolation/landlock.ts";
import { encodeOrders } from "../../src/isolation/orders.ts";
import { buildSeccompProgram } from "../../src/isolation/seccomp.ts";
import { engine, hostIsRoot, landlockAvailable, landlockNote, publicDir, runPlan, specOf } from "./support.ts";

const dir = publicDir();
afterAll(() => dir.remove());
const root = join(dir.path, "plugin");
dir.write("plugin/notes.txt", "notes");
dir.write("plugin/sub/more.txt", "more");
dir.write("secret.txt", "secret");
const fixture = (name: string): string => {
  const path = join(dir.path, name);
  copyFileSync(fileURLToPath(new URL(`fixtures/${name}`, import.meta.url)), path);
  return path;
};
const inside = fixture("inside.mjs");
const large = fixture("large-file.mjs");
const open = { level: "landlock", root, openRuntimePermissions: true } as const;

it("the level is there wherever the kernel has Landlock, so that its tests are not skipped by a defect of ours", () => {
  const orders = encodeOrders({
    parentPid: process.pid,
    programFd: 64,
    limits: [["nofile", 64]],
    landlock: { leastAbi: 1, paths: [] },
    seccomp: buildSeccompProgram(process.arch === "arm64" ? "arm64" : "x64", { shared: true, programFd: 64 }),
  });
  const file = join(dir.path, "orders");
  writeFileSync(file, orders);
  const { stderr } = spawnSync(engine.jail, ["/bin/true", "true"], {
    stdio: ["ignore", "pipe", "pipe", openSync(file, "r")],
  });
  expect([stderr.toString().includes("landlock is not there"), landlockAvailable]).toSatisfy(
    ([absent, available]) => absent !== available,
  );
});

interface Report {
  worked: string[];
  failed: Record<string, string>;
  environment: Record<string, string>;
  directories: Record<string, string[]>;
  syscalls: Record<string, number>;
}

describe.skipIf(!landlockAvailable).each([0, 1, 2, 3, 4, 5, 6])(
  `inside level landlock with the runtime's permissions fully open, version %s of Landlock (0: the kernel's own)${landlockNote}`,
  (abi) => {
    let report: Report;
    beforeAll(async () => {
      const run = await runPlan(await planLandlock(specOf(inside, open), abi));
      expect([run.stderr, run.code]).toEqual(["", 0]);
      report = JSON.parse(run.stdout);
    });

    it("no file, socket, process or module of outside can be had [S3-5] [S3-79] [S3-80] [S3-81]", () => {
      expect(report.worked.filter((entry) => !/^(host name|user id): /.test(entry))).toEqual([]);
      if (hostIsRoot) expect(report.worked).toContain("user id: 65534");
    });

    it("no folder can be listed, and the environment is exactly what the host wrote [S1-14]", () => {
      expect(report.directories).toEqual({});
      expect(Object.keys(report.environment).toSorted()).toEqual([
        "DENO_DIR",
        "DENO_NO_PACKAGE_JSON",
        "DENO_NO_UPDATE_CHECK",
        "NO_COLOR",
      ]);
    });

    it.skipIf(process.arch !== "x64")("no file of its own user is cut to nothing by opening it", async () => {
      const [own, beside] = [dir.write("plugin/sub/kept.txt", "kept"), dir.write("kept.txt", "kept")];
      // Its own by owner and mode, so that only the walls stand before it.
      if (hostIsRoot) for (const path of [own, beside]) chownSync(path, 65534, 65534);
      const source = readFileSync(fileURLToPath(new URL("fixtures/truncate.mjs", import.meta.url)), "utf8");
      for (const path of [own, beside]) {
        const module = dir.write("truncate.mjs", source.replace("PATH", path));
        const run = await runPlan(await planLandlock(specOf(module, open), abi));
        expect(Object.values<number>(JSON.parse(run.stdout)).filter((answer) => answer >= 0)).toEqual([]);
        expect(readFileSync(path, "utf8")).toBe("kept");
      }
    });

    it.skipIf(process.arch !== "x64")("every system call that reaches out is refused, and every socket [S3-82]", () => {
      for (const [name, result] of Object.entries(report.syscalls)) expect([name, result < 0]).toEqual([name, true]);
      expect(Object.keys(report.syscalls).length).toBeGreaterThan(30);
    });
  },
);

describe.skipIf(!landlockAvailable)(
  `files at level landlock, with the runtime's permissions open${landlockNote}`,
  () => {
    const run = async (source: string): Promise<unknown> => {
      const module = dir.write(
        "module.mjs",
        `const at = (name) => ${JSON.stringify(root)} + "/" + name;
const tried = (action) => { try { return action(); } catch (error) { return error.code ?? error.name; } };
console.log(JSON.stringify(${source}));`,
      );
      const { stdout, stderr } = await runPlan(await planLandlock(specOf(module, open)));
      expect(stderr).toBe("");
      return JSON.parse(stdout);
    };

    it("are the plugin's own, to read and to list", async () => {
      expect(
        await run(
          `[Deno.readTextFileSync(at("notes.txt")), Deno.readTextFileSync(at("sub/more.txt")), [...Deno.readDirSync(at(""))].map((entry) => entry.name).sort()]`,
        ),
      ).toEqual(["notes", "more", ["notes.txt", "sub"]]);
    });

    it("and nothing else: not beside it, not through a link in it, not the home, not the host's state", async () => {
      symlinkSync(join(dir.path, "secret.txt"), join(root, "link.txt"));
      const paths = [
        join(dir.path, "secret.txt"),
        join(root, "link.txt"),
        join(root, "../secret.txt"),
        "/etc/passwd",
        "/etc/hosts",
        join(homedir(), ".profile"),
        `/proc/${process.pid}/environ`,
        "/proc/self/status",
        "/dev/zero",
        "/dev/tty",
      ].filter((path) => existsSync(path));
      const answers = await run(
        `${JSON.stringify(paths)}.map((path) => tried(() => Deno.readTextFileSync(path).length))`,
      );
      expect(answers).toEqual(
        paths.map(() => expect.stringMatching(/^(EACCES|ENXIO|PermissionDenied|NotFound|NotCapable)$/)),
      );
    });

    it("cannot be made, changed, removed, moved, linked or touched, anywhere", async () => {
      // Its own by owner and mode, so that only Landlock stands before it.
      if (hostIsRoot) for (const path of [root, join(root, "notes.txt")]) chownSync(path, 65534, 65534);
      const attempts = [
        `Deno.writeTextFileSync(at("notes.txt"), "changed")`,
        `Deno.writeTextFileSync(at("new.txt"), "new")`,
        `Deno.truncateSync(at("notes.txt"), 0)`,
        `Deno.removeSync(at("notes.txt"))`,
        `Deno.renameSync(at("notes.txt"), at("other.txt"))`,
        `Deno.linkSync(at("notes.txt"), at("hard.txt"))`,
        `Deno.symlinkSync("x", at("soft.txt"))`,
        `Deno.mkdirSync(at("folder"))`,
        `Deno.chmodSync(at("notes.txt"), 0o777)`,
        `Deno.chownSync(at("notes.txt"), Deno.uid(), Deno.gid())`,
        `Deno.utimeSync(at("notes.txt"), 1, 1)`,
        `Deno.writeTextFileSync("/tmp/sallyport-landlock-test", "x")`,
        `Deno.makeTempFileSync()`,
        `Deno.openSync("/dev/shm/sallyport", { write: true, create: true })`,
      ];
      const answers = await run(
        `[${attempts.map((attempt) => `tried(() => { ${attempt}; return "done"; })`).join(",")}]`,
      );
      expect(answers).not.toContain("done");
      expect([readFileSync(join(root, "notes.txt"), "utf8"), readdirSync(root).toSorted()]).toEqual([
        "notes",
        expect.not.arrayContaining(["new.txt", "other.txt", "hard.txt", "soft.txt", "folder"]),
      ]);
      expect(existsSync("/tmp/sallyport-landlock-test")).toBe(false);
    });

    it("a write to a file of any size fails at its first byte", async () => {
      const { stdout, code } = await runPlan(await planLandlock(specOf(large, open)));
      expect([stdout, code]).toEqual(["", 1]);
    });
  },
);

describe.skipIf(!landlockAvailable)(`a process at level landlock, seen from the host${landlockNote}`, () => {
  it("is one process with the limits, the filter, no new privileges and no foreign descriptor", async () => {
    const idle = dir.write("idle.mjs", "console.log('up'); setInterval(() => {}, 1000);");
    process.env["SALLYPORT_TEST_SECRET"] = "leak";
    const child = await spawnSandboxed(await planLandlock(specOf(idle, { level: "landlock" })));
    delete process.env["SALLYPORT_TEST_SECRET"];
    try {
      await new Promise((resolve) => child.stdout.once("data", resolve));
      const proc = (name: string): string => readFileSync(`/proc/${child.pid}/${name}`, "utf8");
      expect(proc("status")).toMatch(/^NoNewPrivs:\t1\nSeccomp:\t2$/m);
      if (hostIsRoot) expect(proc("status")).toMatch(/^Uid:\t65534\t65534\t65534\t65534$/m);
      expect(proc("status")).toMatch(/^CapEff:\t0000000000000000$/m);
      expect(proc("environ")).not.toMatch(/leak|HOME|PATH=|USER/);
      expect(proc("limits")).toMatch(/^Max open files +256 +256 /m);
      expect(proc("limits")).toMatch(/^Max core file size +1 +1 /m);
      const links = readdirSync(`/proc/${child.pid}/fd`).map((fd) => readlinkSync(`/proc/${child.pid}/fd/${fd}`));
      const known = ["/dev/null", engine.deno, idle];
      expect(links.filter((link) => !/^(socket:|pipe:|anon_inode:)/.test(link) && !known.includes(link))).toEqual([]);
    } finally {
      child.kill();
      await child.gone;
    }
  });
});
