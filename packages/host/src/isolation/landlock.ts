import { pathToFileURL } from "node:url";
import { denoArguments, RUNTIME_ENVIRONMENT } from "./deno-command.ts";
import { jailOrders } from "./jail.ts";
import { librariesFor, loaderOf } from "./libraries.ts";
import { resourceLimits } from "./limits.ts";
import { NOBODY } from "./namespace.ts";
import type { AllowedPath } from "./orders.ts";
import type { SandboxPlan, SandboxSpec } from "./types.ts";

/**
 * Landlock as Linux 5.13 has it. What later versions add (truncate, TCP, ioctl, signals, abstract sockets) is used where it is there; where it is not, the
 * system call filter refuses the same.
 */
export const LEAST_ABI = 1;

/**
 * Level `landlock`: one process in the host's namespaces. It can open the runtime, its libraries, the runner, the
 * plugin's directory, /dev/null and /dev/urandom; start nothing; write nowhere. Names and attributes of other files
 * (stat) are not hidden: Landlock does not cover them.
 * @param mostAbi for tests: as if the kernel had no more than this version of Landlock.
 */
export async function planLandlock(spec: SandboxSpec, mostAbi = 0): Promise<SandboxPlan> {
  const { deno, jail, runner } = spec.engine;
  const [libraries, loader] = await Promise.all([librariesFor([deno]), loaderOf(deno)]);
  const paths: AllowedPath[] = [
    { path: deno, rights: "execute" },
    { path: loader, rights: "execute" },
    ...libraries.filter((path) => path !== loader).map((path): AllowedPath => ({ path, rights: "read" })),
    { path: "/dev/null", rights: "write" },
    { path: "/dev/urandom", rights: "read" },
  ];
  if (spec.mainModule === undefined) paths.push({ path: runner, rights: "read" });
  if (spec.root !== null) paths.push({ path: spec.root, rights: "tree" });
  const root = spec.root ?? "/nonexistent";
  return {
    level: "landlock",
    command: jail,
    args: [deno, deno, ...denoArguments(spec, { runner, root })],
    env: RUNTIME_ENVIRONMENT,
    ...(spec.hostIsRoot ? { uid: NOBODY, gid: NOBODY } : {}),
    orders: jailOrders({
      ownPids: false,
      limits: resourceLimits(spec.memoryMb, null),
      landlock: { leastAbi: LEAST_ABI, mostAbi, paths },
    }),
    rootUrl: pathToFileURL(`${root}/`).href,
  };
}
