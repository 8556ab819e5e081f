import { pathToFileURL } from "node:url";
import { denoArguments, RUNTIME_ENVIRONMENT } from "./deno-command.ts";
import { prlimitArguments } from "./limits.ts";
import { NOBODY } from "./namespace.ts";
import type { SandboxPlan, SandboxSpec } from "./types.ts";

/**
 * Level `runtime`: Deno's own permission system, resource limits and, if the host is root, another user. It is no kernel
 * wall. A flaw in Deno or V8 gives the plugin what its user may do: read files of that user, open sockets, start
 * programs, signal other plugins of the same user. There is no seccomp filter yet, tasks are not counted (the kernel
 * would count the whole user's), and no memory wall but `RLIMIT_DATA`.
 */
export function planRuntime(spec: SandboxSpec, setpriv: string, prlimit: string): SandboxPlan {
  const root = spec.root ?? "/nonexistent";
  return {
    level: "runtime",
    command: setpriv,
    args: [
      // The kernel ends the process with the host, also after kill -9; bubblewrap does the same at `namespace`.
      "--pdeathsig",
      "KILL",
      "--no-new-privs",
      prlimit,
      ...prlimitArguments(spec.memoryMb, null),
      spec.engine.deno,
      ...denoArguments(spec, { runner: spec.engine.runner, root }),
    ],
    env: RUNTIME_ENVIRONMENT,
    ...(spec.hostIsRoot ? { uid: NOBODY, gid: NOBODY } : {}),
    rootUrl: pathToFileURL(`${root}/`).href,
  };
}
