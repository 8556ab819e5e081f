import { denoArguments, RUNTIME_ENVIRONMENT } from "./deno-command.ts";
import { librariesOf } from "./libraries.ts";
import { prlimitArguments, SCRATCH_BYTES, TASKS } from "./limits.ts";
import { buildSeccompProgram } from "./seccomp.ts";
import type { SandboxPlan, SandboxSpec } from "./types.ts";

const DENO = "/rt/deno";
const PRLIMIT = "/rt/prlimit";
const RUNNER = "/host/runner.mjs";
const ROOT = "/plugin";
export const NOBODY = 65534;

const WALLS = [
  "--unshare-all",
  "--unshare-user",
  "--disable-userns",
  "--cap-drop",
  "ALL",
  "--die-with-parent",
  "--new-session",
  "--clearenv",
  "--hostname",
  "plugin",
];

const DEVICES = [
  "--dev-bind",
  "/dev/null",
  "/dev/null",
  "--dev-bind",
  "/dev/urandom",
  "/dev/urandom",
  // Deno panics without the link, and finds nothing else below /proc.
  "--symlink",
  DENO,
  "/proc/self/exe",
  "--size",
  String(SCRATCH_BYTES),
  "--tmpfs",
  "/tmp",
  "--chdir",
  "/tmp",
];

/**
 * Level `namespace`: bubblewrap. All namespaces are new; the root holds the runtime, its libraries, the runner and the
 * plugin's directory, all read-only. Limits are set inside, where tasks are counted for this plugin alone.
 */
export async function planNamespace(spec: SandboxSpec, bwrap: string, prlimit: string): Promise<SandboxPlan> {
  const libraries = await librariesFor([spec.engine.deno, prlimit]);
  const mounts: [string, string][] = [
    ...libraries.map((path): [string, string] => [path, path]),
    [spec.engine.deno, DENO],
    [prlimit, PRLIMIT],
  ];
  if (spec.mainModule === undefined) mounts.push([spec.engine.runner, RUNNER]);
  if (spec.root !== null) mounts.push([spec.root, ROOT]);
  const environment = Object.entries(RUNTIME_ENVIRONMENT);
  return {
    level: "namespace",
    command: bwrap,
    args: [
      ...WALLS,
      ...mounts.flatMap(([from, to]) => ["--ro-bind", from, to]),
      ...DEVICES,
      ...environment.flatMap(([name, value]) => ["--setenv", name, value]),
      "--seccomp",
      "3",
      "--remount-ro",
      "/",
      "--",
      PRLIMIT,
      ...prlimitArguments(spec.memoryMb, spec.tasks ?? TASKS),
      DENO,
      ...denoArguments(spec, { runner: RUNNER, root: ROOT }),
    ],
    // bwrap's own first process keeps what it was started with, so that is nothing.
    env: {},
    ...(spec.hostIsRoot ? { uid: NOBODY, gid: NOBODY } : {}),
    seccomp: buildSeccompProgram(process.arch === "arm64" ? "arm64" : "x64"),
    rootUrl: `file://${ROOT}/`,
  };
}

const known = new Map<string, Promise<readonly string[]>>();

async function librariesFor(programs: readonly string[]): Promise<readonly string[]> {
  const lists = await Promise.all(
    programs.map((program) => {
      const list = known.get(program) ?? librariesOf(program);
      known.set(program, list);
      // A failure is not remembered: the machine may be mended while the host runs.
      list.catch(() => known.delete(program));
      return list;
    }),
  );
  return [...new Set(lists.flat())].toSorted();
}
