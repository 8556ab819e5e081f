import { type ChildProcess, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { Writable } from "node:stream";
import { isMainThread } from "node:worker_threads";
import { SallyportError } from "../kernel/index.ts";
import { gone as groupGone } from "./cgroup.ts";
import type { ControlGroup } from "./cgroup-group.ts";
import { isAlive, type ProcessId, processTree, usageOf } from "./process-tree.ts";
import type { SandboxedProcess, SandboxExit, SandboxPlan } from "./types.ts";

const POLL_MS = 5;
/** bubblewrap forks at once, so it first reads more (empty) arguments from a descriptor, to its end. */
const WAIT_FOR_ORDERS = ["--args", "4"];
/** When the machine's memory is used up, the kernel ends plugins before anything else of this user. */
const ENDED_FIRST = "1000";
/** Ends the wait for processes that the kernel cannot end (an uninterruptible read of a dead disk). */
const POLL_LIMIT = 2000;

/**
 * Starts a planned process as the leader of a new process group.
 * @param group the kernel's group that bounds it; it is entered before anything of the plan runs, and removed with the process.
 * @throws {SallyportError} `launch_failed`.
 */
export async function spawnSandboxed(plan: SandboxPlan, group: ControlGroup | null = null): Promise<SandboxedProcess> {
  // The kernel ties "die with parent" to the thread that spawned, not to the process.
  if (!isMainThread) throw new SallyportError("internal", "Plugins are started from the main thread only.");
  const waits = plan.level === "namespace";
  const child = spawn(plan.command, [...(waits ? WAIT_FOR_ORDERS : []), ...plan.args], {
    env: { ...plan.env },
    cwd: plan.cwd ?? "/",
    detached: true,
    stdio: ["pipe", "pipe", "pipe", "pipe", waits ? "pipe" : "ignore"],
    ...(plan.uid === undefined ? {} : { uid: plan.uid }),
    ...(plan.gid === undefined ? {} : { gid: plan.gid }),
  });
  const closed = new Promise<SandboxExit>((resolve) => {
    child.once("close", (code, signal) => resolve({ code, signal }));
  });
  try {
    // In the same turn as the start: nothing has forked, for the helper waits for its orders, and bubblewrap for arguments.
    if (child.pid !== undefined) {
      group?.enter(child.pid);
      endFirst(child.pid);
    }
    const pid = await started(child).catch((error: unknown) => {
      throw new SallyportError("launch_failed", "The sandbox could not be started.", { cause: error });
    });
    send(child.stdio[4], "");
    send(child.stdio[3], plan.orders);
    return wrap(child, pid, closed, group);
  } catch (error) {
    if (child.pid !== undefined) {
      signalGroup(child.pid, "SIGKILL");
      await closed;
    }
    if (group !== null) await groupGone(group);
    throw error;
  }
}

function endFirst(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/oom_score_adj`, ENDED_FIRST);
  } catch {
    // It did not start; or a bubblewrap that runs as root may not be marked, and then the largest process is ended.
  }
}

function started(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("spawn", () => (child.pid === undefined ? reject(new Error("no pid")) : resolve(child.pid)));
  });
}

function send(pipe: unknown, bytes: Buffer | string): void {
  if (!(pipe instanceof Writable)) return;
  // A program that ended before it read them shows as its exit.
  pipe.on("error", () => undefined);
  pipe.end(bytes);
}

function wrap(
  child: ChildProcess,
  pid: number,
  closed: Promise<SandboxExit>,
  group: ControlGroup | null,
): SandboxedProcess {
  const { stdin, stdout, stderr } = child;
  if (stdin === null || stdout === null || stderr === null) throw new SallyportError("internal", "A pipe is missing.");
  let ended = false;
  let members: ProcessId[] = [];
  const gone = closed.then(async (exit) => {
    ended = true;
    await untilGone(pid, members);
    if (group === null) return exit;
    const counted = group.counts();
    group.kill();
    await groupGone(group);
    return { ...exit, counted };
  });
  return {
    pid,
    stdin,
    stdout,
    stderr,
    gone,
    grouped: group !== null,
    kill() {
      if (ended) return;
      if (members.length === 0) members = processTree(pid);
      signalGroup(pid, "SIGKILL");
      group?.kill();
    },
    async usage() {
      const parts = processTree(pid).map((member) => usageOf(member.pid));
      const usage = { residentBytes: 0, processorMs: 0, tasks: 0 };
      for (const part of parts) {
        if (part === null) return null;
        usage.residentBytes += part.residentBytes;
        usage.processorMs += part.processorMs;
        usage.tasks += part.tasks;
      }
      return parts.length === 0 ? null : usage;
    },
  };
}

/** @returns false when the group has no process left. */
function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-pid, signal);
    return true;
  } catch {
    return false;
  }
}

async function untilGone(pid: number, members: readonly ProcessId[]): Promise<void> {
  for (let tries = 0; tries < POLL_LIMIT; tries++) {
    if (!signalGroup(pid, "SIGKILL") && !members.some(isAlive)) return;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
