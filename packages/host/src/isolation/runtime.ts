import { pathToFileURL } from "node:url";
import { denoArguments, RUNTIME_ENVIRONMENT } from "./deno-command.ts";
import { jailOrders } from "./jail.ts";
import { resourceLimits } from "./limits.ts";
import { NOBODY } from "./namespace.ts";
import type { SandboxPlan, SandboxSpec } from "./types.ts";

/**
 * Level `runtime`: Deno's own permission system, the system call filter, resource limits and, if the host is root,
 * another user. No wall of the kernel stands before files: a flaw in Deno or V8 lets the plugin read and write what its
 * user may. The filter stays: no socket, no program, no signal to others. Tasks are not counted (the kernel would count
 * the whole user's).
 */
export function planRuntime(spec: SandboxSpec): SandboxPlan {
  const { deno, jail, runner } = spec.engine;
  const root = spec.root ?? "/nonexistent";
  return {
    level: "runtime",
    command: jail,
    args: [deno, deno, ...denoArguments(spec, { runner, root })],
    env: RUNTIME_ENVIRONMENT,
    ...(spec.hostIsRoot ? { uid: NOBODY, gid: NOBODY } : {}),
    orders: jailOrders({ ownPids: false, limits: resourceLimits(spec.memoryMb, null), landlock: null }),
    rootUrl: pathToFileURL(`${root}/`).href,
  };
}
