import { type PluginThread, spawnThread } from "../isolation/index.ts";
import { type ErrorDetails, PolicyViolationError, SallyportError } from "../kernel/index.ts";
import { createPeer, type Peer, type PeerOptions, type Timers } from "../rpc/index.ts";
import type { SupervisorLimits } from "./limits.ts";
import type { ProgramPeer } from "./program.ts";
import type { LaunchPlan, ToolAnswer, ToolCall } from "./types.ts";

interface ThreadDeps {
  /** Absolute path of the runner. */
  readonly runner: string;
  /** Whether the operator's configuration lets any plugin run in this process, as it is now. Absent: no. */
  readonly allowInProcess?: (() => boolean) | undefined;
}

/**
 * Starts a plugin's thread. That somebody said yes to this plugin is for the gates to know; that anybody may have it at
 * all, and that every limit that was asked for is one that a thread has, is looked at here once more.
 * @throws {PolicyViolationError} `isolation_unavailable`.
 */
export function startThread(plan: LaunchPlan, { runner, allowInProcess }: ThreadDeps): PluginThread {
  if (allowInProcess?.() !== true) {
    throw unavailable("This host runs no plugin in its own process.", {
      fix: "Run it at a contained level; `sallyport doctor` shows which there are.",
    });
  }
  if (process.platform !== "linux") {
    throw unavailable("Threads of the host are only tested on Linux so far.", {
      fix: "Use a Linux virtual machine, or WSL2 on Windows.",
    });
  }
  if (plan.program !== undefined) {
    throw unavailable("A program cannot run in the host's process.", { fix: "Run it at `namespace` or `landlock`." });
  }
  const { tasks, processors, memoryMb } = plan.limits;
  const unbounded = tasks !== undefined ? "tasks" : processors !== undefined ? "processors" : undefined;
  if (unbounded !== undefined) {
    throw unavailable(`Nothing bounds limits.${unbounded} of a plugin in the host's process.`, {
      fix: `Take limits.${unbounded} out of config.yml, or run the plugin at a contained level.`,
    });
  }
  return spawnThread({ runner, memoryMb });
}

function unavailable(message: string, details: ErrorDetails): PolicyViolationError {
  return new PolicyViolationError("isolation_unavailable", message, details);
}

interface CallsDeps {
  readonly thread: PluginThread;
  readonly timers: Timers;
  readonly limits: Pick<SupervisorLimits, "drainGraceMs">;
}

/** What the plugin has to end when it is given up. */
const ENDED: ReadonlySet<string> = new Set(["call", "hook", "event"]);

/**
 * What differs for a thread. No wall holds its effects back until the intent is durable, so the call itself waits for
 * that; and a call that was given up may not go on: the thread ends if it has not ended the call within `drainGraceMs`.
 */
export function threadPeer({ thread, timers, limits }: CallsDeps): ProgramPeer {
  return {
    makePeer(options: PeerOptions): Peer {
      const overdue = new Map<number, () => void>();
      void thread.gone.then(() => {
        for (const cancel of overdue.values()) cancel();
      });
      const peer = createPeer({
        ...options,
        onLateAnswer(id) {
          overdue.get(id)?.();
          overdue.delete(id);
          options.onLateAnswer?.(id);
        },
      });
      return {
        ...peer,
        get stats() {
          return peer.stats;
        },
        send(method, params, timeoutMs, settle) {
          if (!ENDED.has(method)) return peer.send(method, params, timeoutMs, settle);
          let id = 0;
          id = peer.send(method, params, timeoutMs, (answer) => {
            settle(answer);
            if (id === 0 || answer.kind !== "failed") return;
            const cancel = timers.set(
              () => thread.terminate("the thread did not end a call that was given up"),
              limits.drainGraceMs,
            );
            overdue.set(id, cancel);
          });
          return id;
        },
      };
    },
    async around(call: ToolCall, run: () => Promise<ToolAnswer>) {
      try {
        await call.intent;
      } catch (error) {
        throw new SallyportError("audit_unavailable", "The audit cannot be written, so the call did not start.", {
          cause: error,
          data: { started: false },
        });
      }
      return run();
    },
  };
}
