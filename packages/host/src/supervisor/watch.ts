import type { SandboxUsage } from "../isolation/index.ts";
import type { Clock } from "../kernel/index.ts";
import type { Timers } from "../rpc/index.ts";
import { MEMORY_REACHED, tasksReached } from "./exit-reason.ts";
import type { SupervisorLimits } from "./limits.ts";

export interface Watched {
  /** Whether the kernel bounds memory and tasks of the process as a group; then neither is looked at. */
  readonly grouped: boolean;
  usage(): Promise<SandboxUsage | null>;
  /** Calls in flight or draining. */
  busy(): boolean;
  /** Calls started so far. */
  calls(): number;
  /** Kills the process, with the reason in plain words. */
  condemn(reason: string): void;
}

export interface WatchOptions {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly limits: SupervisorLimits;
  readonly memoryMb: number;
  readonly tasks: number;
}

interface Look {
  readonly at: number;
  readonly processorMs: number;
  readonly calls: number;
  readonly idle: boolean;
}

/**
 * Looks at a process again and again: processor time with no call in flight and, where
 * the kernel does not bound it as a group, resident memory and tasks (`RLIMIT_DATA` counts some of it, `RLIMIT_NPROC`
 * only in a user namespace). Returns the way to stop.
 */
export function watch(process: Watched, { clock, timers, limits, memoryMb, tasks: most }: WatchOptions): () => void {
  const memoryLimit = memoryMb * 1024 * 1024 + limits.runtimeMemoryBytes;
  let stopped = false;
  let previous: Look | null = null;
  let strikes = 0;
  let cancel = timers.set(look, limits.watchMs);

  function look(): void {
    void measure();
  }

  async function measure(): Promise<void> {
    const usage = await process.usage();
    if (stopped) return;
    if (usage !== null) judge(usage);
    if (!stopped) cancel = timers.set(look, limits.watchMs);
  }

  function judge({ residentBytes, processorMs, tasks }: SandboxUsage): void {
    if (!process.grouped && residentBytes > memoryLimit) return process.condemn(MEMORY_REACHED);
    if (!process.grouped && tasks > most) return process.condemn(tasksReached(most));
    const now: Look = { at: clock.monotonic(), processorMs, calls: process.calls(), idle: !process.busy() };
    strikes = previous !== null && workedIdly(previous, now, limits.idleProcessorShare) ? strikes + 1 : 0;
    previous = now;
    if (strikes >= 2) process.condemn("the process used the processor with no call in flight");
  }

  return () => {
    stopped = true;
    cancel();
  };
}

function workedIdly(before: Look, now: Look, share: number): boolean {
  const idle = before.idle && now.idle && before.calls === now.calls;
  return idle && now.processorMs - before.processorMs > (now.at - before.at) * share;
}
