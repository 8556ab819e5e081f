import { realpath } from "node:fs/promises";
import { SallyportError } from "../kernel/index.ts";
import { jailOrders } from "./jail.ts";
import { LEAST_ABI } from "./landlock.ts";
import { commandLibraries } from "./command-file.ts";
import { resourceLimits, SCRATCH_BYTES } from "./limits.ts";
import { devices, NOBODY, WALLS } from "./namespace.ts";
import type { AllowedPath } from "./orders.ts";
import { PLAIN_BASELINE_MB } from "./program.ts";
import type { CommandSpec, SandboxPlan } from "./types.ts";

const JAIL = "/rt/jail";
/** Where a command finds itself: empty, or with the files that it was handed. */
const WORK = "/work";

/**
 * A command of the machine's, once: the walls that a plugin's process has and nothing of the plugin in it. It starts nothing
 * (no fork, no exec), has no socket and no device but null and urandom, and reads its libraries and the files of its folder.
 * @throws {SallyportError} `isolation_unavailable` at a level that is not the kernel's.
 */
export async function planCommand(spec: CommandSpec): Promise<SandboxPlan> {
  if (spec.level === "namespace" && spec.tools.bwrap !== null) return inNamespace(spec, spec.tools.bwrap);
  if (spec.level === "landlock") return withLandlock(spec);
  throw new SallyportError("isolation_unavailable", `A command cannot be contained at the level "${spec.level}".`, {
    detail: "Without the kernel's walls it could do whatever its user may.",
    fix: "Run `sallyport doctor` to see how to get the level `namespace` or `landlock`.",
  });
}

async function inNamespace(spec: CommandSpec, bwrap: string): Promise<SandboxPlan> {
  const { file, argv, folder } = spec;
  const { libraries } = await commandLibraries(file);
  const locales = await localeFolders();
  const mounts: [string, string][] = [
    ...locales.map((path): [string, string] => [path, path]),
    ...libraries.map((path): [string, string] => [path, path]),
    [file, file],
    [spec.jail, JAIL],
    ...(folder === null ? [] : [[folder, WORK] satisfies [string, string]]),
  ];
  return {
    level: "namespace",
    command: bwrap,
    args: [
      ...WALLS,
      "--size",
      String(SCRATCH_BYTES),
      "--tmpfs",
      "/tmp",
      ...mounts.flatMap(([from, to]) => ["--ro-bind", from, to]),
      ...devices(file),
      ...(folder === null ? ["--dir", WORK] : []),
      "--chdir",
      WORK,
      ...Object.entries(ENVIRONMENT).flatMap(([name, value]) => ["--setenv", name, value]),
      "--remount-ro",
      "/",
      "--",
      JAIL,
      file,
      ...argv,
    ],
    env: {},
    ...(spec.hostIsRoot ? { uid: NOBODY, gid: NOBODY } : {}),
    orders: jailOrders({ ownPids: true, limits: limitsOf(spec, spec.tasks), landlock: null, sockets: "stdio" }),
    rootUrl: `file://${WORK}/`,
  };
}

async function withLandlock(spec: CommandSpec): Promise<SandboxPlan> {
  const { file, argv, folder } = spec;
  const { libraries, loader } = await commandLibraries(file);
  const locales = await localeFolders();
  const paths: AllowedPath[] = [
    ...locales.map((path): AllowedPath => ({ path, rights: "tree" })),
    { path: file, rights: "execute" },
    ...(loader === null ? [] : [{ path: loader, rights: "execute" } satisfies AllowedPath]),
    ...libraries.filter((path) => path !== loader).map((path): AllowedPath => ({ path, rights: "read" })),
    ...(folder === null ? [] : [{ path: folder, rights: "tree" } satisfies AllowedPath]),
    { path: "/dev/null", rights: "write" },
    { path: "/dev/urandom", rights: "read" },
  ];
  return {
    level: "landlock",
    command: spec.jail,
    args: [file, ...argv],
    env: ENVIRONMENT,
    ...(folder === null ? {} : { cwd: folder }),
    ...(spec.hostIsRoot ? { uid: NOBODY, gid: NOBODY } : {}),
    // Tasks of a user are counted together here, so the number is not bounded: nothing forks, and threads cost of `data`.
    orders: jailOrders({
      ownPids: false,
      limits: limitsOf(spec, null),
      landlock: { leastAbi: LEAST_ABI, paths },
      sockets: "stdio",
    }),
    rootUrl: "file:///",
  };
}

function limitsOf({ memoryMb, cpuSeconds }: CommandSpec, tasks: number | null): ReturnType<typeof resourceLimits> {
  return [...resourceLimits(memoryMb, tasks, PLAIN_BASELINE_MB), ["cpu", cpuSeconds]];
}

/** What makes text UTF-8, where the C library has it as files. */
const LOCALES = ["/usr/lib/locale/C.utf8"];

async function localeFolders(): Promise<readonly string[]> {
  const kept = await Promise.all(
    LOCALES.map(async (path) => ((await realpath(path).catch(() => null)) === path ? [path] : [])),
  );
  return kept.flat();
}

/** The whole environment: nothing of the host's, and no PATH, for nothing can be started. */
const ENVIRONMENT = { HOME: "/tmp", LANG: "C.UTF-8", OPENSSL_CONF: "/dev/null", TMPDIR: "/tmp" } as const;
