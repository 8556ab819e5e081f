import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { planSandbox, type SandboxPlan, spawnSandboxed } from "../../src/isolation/index.ts";
import { planLandlock } from "../../src/isolation/landlock.ts";
import { isAlive, processTree } from "../../src/isolation/process-tree.ts";
import {
  landlockAvailable,
  landlockNote,
  namespaceAvailable,
  namespaceNote,
  publicDir,
  runPlan,
  runtimeAvailable,
  specOf,
} from "./support.ts";

const dir = publicDir();
afterAll(() => dir.remove());
const source = readFileSync(fileURLToPath(new URL("fixtures/others.mjs", import.meta.url)), "utf8");
const exec = dir.write("exec.mjs", readFileSync(fileURLToPath(new URL("fixtures/exec.mjs", import.meta.url)), "utf8"));
const idle = dir.write("idle.mjs", "console.log('up'); setInterval(() => {}, 1000);");

interface Report {
  worked: string[];
  failed: Record<string, number | string>;
}

/** What goes through files, which no wall of the kernel guards at level runtime. */
const FILES = /processes$|\/proc\/|oom_score_adj|exe$/;

const open = { openRuntimePermissions: true };
const SETTINGS: {
  name: string;
  level: "namespace" | "landlock" | "runtime";
  here: boolean;
  plan(module: string): Promise<SandboxPlan>;
}[] = [
  {
    name: `namespace${namespaceNote}`,
    level: "namespace",
    here: namespaceAvailable,
    plan: (module) => planSandbox(specOf(module, { level: "namespace", ...open })),
  },
  {
    name: `landlock${landlockNote}`,
    level: "landlock",
    here: landlockAvailable,
    plan: (module) => planSandbox(specOf(module, { level: "landlock", ...open })),
  },
  {
    name: `landlock, on a kernel with its first version only${landlockNote}`,
    level: "landlock",
    here: landlockAvailable,
    plan: (module) => planLandlock(specOf(module, { level: "landlock", ...open }), 1),
  },
  {
    name: "runtime",
    level: "runtime",
    here: runtimeAvailable,
    plan: (module) => planSandbox(specOf(module, { level: "runtime", ...open })),
  },
];

describe.each(SETTINGS)(
  "another plugin of the same user at level $name, with the runtime's permissions open",
  ({ level, here, plan }) => {
    let report: Report;
    beforeAll(async () => {
      if (!here) return;
      const child = await spawnSandboxed(await plan(idle));
      try {
        await new Promise((resolve) => child.stdout.once("data", resolve));
        const other = processTree(child.pid).at(-1);
        if (other === undefined) throw new Error("the other process is gone");
        const run = await runPlan(
          await plan(dir.write(`${level}-others.mjs`, source.replace("PID", String(other.pid)))),
        );
        expect(run.stderr).toBe("");
        report = JSON.parse(run.stdout);
        expect(isAlive(other)).toBe(true);
      } finally {
        child.kill();
        await child.gone;
      }
    });

    it.skipIf(!here || process.arch !== "x64")(
      "cannot be signalled, traced, limited, scheduled or written to [S3-82]",
      () => {
        const calls = report.worked.filter((name) => !FILES.test(name));
        // With pids of its own, its group is nobody but itself.
        expect(calls).toEqual(level === "namespace" ? ["kill own group", "itself"] : ["itself"]);
        expect(Object.keys(report.failed)).toEqual(
          expect.arrayContaining([
            "kill",
            "Deno.kill",
            "rt_sigqueueinfo",
            "prlimit64 set",
            "shmget",
            "fcntl F_SETOWN",
            "ptrace",
          ]),
        );
      },
    );

    it.skipIf(!here || process.arch !== "x64")("is not joined by another process: no fork, and no program", () => {
      for (const name of [
        "fork",
        "vfork",
        "clone a process",
        "clone3",
        "execve",
        "execveat of a path",
        "execveat of a descriptor",
        "a descriptor out of reach",
        "raise a limit",
      ])
        expect([name, typeof report.failed[name]]).toEqual([name, "number"]);
    });

    it.skipIf(!here || process.arch !== "x64")("nor can it become another program, not even its own", async () => {
      const run = await runPlan(await plan(exec));
      expect([run.stdout, run.code]).toEqual(["refused\n", 0]);
    });

    it.skipIf(!here || level === "runtime")("cannot be seen in /proc, nor read through it", () => {
      expect(report.worked.filter((name) => FILES.test(name))).toEqual([]);
    });
  },
);
