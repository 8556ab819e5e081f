import { CODE_CACHE_FILES, denoArguments, RUNTIME_ENVIRONMENT } from "./deno-command.ts";
import { jailOrders } from "./jail.ts";
import { librariesFor } from "./libraries.ts";
import { resourceLimits, TASKS } from "./limits.ts";
import type { SandboxPlan, SandboxSpec } from "./types.ts";

const DENO = "/rt/deno";
const JAIL = "/rt/jail";
const RUNNER = "/host/runner.mjs";
const ROOT = "/plugin";
const CODE_CACHE = "/cache";
export const NOBODY = 65534;

/** All that holds around a process, whatever it runs. */
export const WALLS = [
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

/** The only devices. @param executable what `/proc/self/exe` names. */
export const devices = (executable: string): string[] => [
  "--dev-bind",
  "/dev/null",
  "/dev/null",
  "--dev-bind",
  "/dev/urandom",
  "/dev/urandom",
  // Deno panics without the link, and nothing else is found below /proc.
  "--symlink",
  executable,
  "/proc/self/exe",
];

/** Empty and, with all of the root, read-only. A place to write would hold any number of empty files, which no size bounds. */
const NO_SCRATCH = ["--dir", "/tmp", "--chdir", "/tmp"];

/**
 * Level `namespace`: bubblewrap. All namespaces are new; the root holds the runtime, its libraries, the runner and the
 * plugin's directory, all read-only. The helper sets limits and filter inside, where tasks are counted for this plugin alone.
 */
export async function planNamespace(spec: SandboxSpec, bwrap: string): Promise<SandboxPlan> {
  const libraries = await librariesFor([spec.engine.deno]);
  const mounts: [string, string][] = [
    ...libraries.map((path): [string, string] => [path, path]),
    [spec.engine.deno, DENO],
    [spec.engine.jail, JAIL],
  ];
  if (spec.mainModule === undefined) mounts.push([spec.engine.runner, RUNNER]);
  if (spec.root !== null) mounts.push([spec.root, ROOT]);
  const { codeCache } = spec;
  const environment = Object.entries({ ...RUNTIME_ENVIRONMENT, ...(codeCache && { DENO_DIR: CODE_CACHE }) });
  return {
    level: "namespace",
    command: bwrap,
    args: [
      ...WALLS,
      ...mounts.flatMap(([from, to]) => ["--ro-bind", from, to]),
      ...(codeCache === undefined ? [] : codeCacheMounts(codeCache)),
      ...devices(DENO),
      ...NO_SCRATCH,
      ...environment.flatMap(([name, value]) => ["--setenv", name, value]),
      "--remount-ro",
      "/",
      "--",
      JAIL,
      DENO,
      DENO,
      ...denoArguments(spec, { runner: RUNNER, root: ROOT }),
    ],
    // bwrap's own first process keeps what it was started with, so that is nothing.
    env: {},
    ...(spec.hostIsRoot ? { uid: NOBODY, gid: NOBODY } : {}),
    orders: jailOrders({
      ownPids: true,
      limits: resourceLimits(spec.memoryMb, spec.tasks ?? TASKS),
      landlock: null,
    }),
    rootUrl: `file://${ROOT}/`,
  };
}

/** The files one by one: where they are writable, there still is no folder to make another one in. */
function codeCacheMounts({ folder, writable }: NonNullable<SandboxSpec["codeCache"]>): string[] {
  const how = writable ? "--bind" : "--ro-bind";
  return CODE_CACHE_FILES.flatMap((name) => [how, `${folder}/${name}`, `${CODE_CACHE}/${name}`]);
}
