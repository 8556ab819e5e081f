import { SallyportError } from "../kernel/index.ts";
import { encodeOrders, type LandlockOrders, type ResourceLimit } from "./orders.ts";
import { buildSeccompProgram, type ProgramSockets, type SeccompArch } from "./seccomp.ts";

export interface JailOptions {
  /** Whether other walls give the process pids of its own; otherwise it ends with this host and may name only itself. */
  readonly ownPids: boolean;
  readonly limits: readonly ResourceLimit[];
  readonly landlock: LandlockOrders | null;
  /** What a program may do with sockets; absent for the engine. */
  readonly sockets?: ProgramSockets;
  /** See `SeccompOptions`. */
  readonly locks?: true;
}

/**
 * What the helper reads from descriptor 3 before it becomes a plugin's process. It must be a child of this process where
 * it has no pids of its own.
 */
export function jailOrders({ ownPids, limits, landlock, sockets, locks }: JailOptions): Buffer {
  const programFd = limits.find(([name]) => name === "nofile")?.[1];
  if (programFd === undefined) throw new SallyportError("internal", "A jail without a limit on descriptors.");
  return encodeOrders({
    parentPid: ownPids ? null : process.pid,
    programFd,
    limits,
    landlock,
    seccomp: buildSeccompProgram(seccompArch(), {
      shared: !ownPids,
      programFd,
      ...(sockets && { sockets }),
      ...(locks && { locks }),
    }),
  });
}

function seccompArch(): SeccompArch {
  const { arch } = process;
  if (arch === "x64" || arch === "arm64") return arch;
  throw new SallyportError("isolation_unavailable", `Plugins cannot be contained on the architecture ${arch}.`, {
    fix: "Use a machine with x86-64 or arm64.",
  });
}
