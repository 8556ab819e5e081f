import { newId, type PluginRef, SallyportError } from "../kernel/index.ts";
import { systemTimers, type Timers } from "../rpc/index.ts";
import type { PluginProcess, ToolAnswer } from "../supervisor/index.ts";

/** One thing that a plugin is told, under an id of its own. */
export interface Told {
  readonly to: PluginRef;
  readonly kind: "hook" | "event";
  /** In the words of the protocol. */
  readonly message: object;
  /** Of the call that it goes back to; of nobody's, `host`. */
  readonly agent: string;
  /** The plugin may use all that it was granted while it is told; otherwise log and kv. */
  readonly background: boolean;
  readonly timeoutMs: number;
  /** Resolves when whatever the plugin then does is announced. */
  readonly intent?: Promise<void>;
  readonly signal?: AbortSignal;
  /** False: a plugin without a process is not started for it. */
  readonly wake: boolean;
  readonly id?: string;
}

/** @throws {SallyportError} as a call of a tool: `deadline_exceeded` (starting the plugin counts), `plugin_not_running`, `tool_failed`, … */
export type Tell = (told: Told) => Promise<ToolAnswer>;

export interface TellDeps {
  running(plugin: PluginRef, agent: string): PluginProcess | undefined;
  wake(plugin: PluginRef, agent: string): Promise<PluginProcess>;
  readonly timers?: Timers;
}

const DONE = Promise.resolve();

/** Tells plugins of hooks and events, in their own processes. */
export function createTell({ running, wake, timers = systemTimers }: TellDeps): Tell {
  return (told) => {
    const { to, agent, timeoutMs } = told;
    const over = new AbortController();
    return new Promise<ToolAnswer>((resolve, reject) => {
      const giveUp = (error: SallyportError): void => {
        reject(error);
        over.abort();
      };
      const cancel = timers.set(() => giveUp(tooLate(told)), timeoutMs);
      const onAbort = (): void => giveUp(new SallyportError("cancelled", "Nobody waits for it any more."));
      if (told.signal?.aborted === true) onAbort();
      else told.signal?.addEventListener("abort", onAbort, { once: true });
      const started = running(to, agent) ?? (told.wake ? wake(to, agent) : notRunning(to));
      Promise.resolve(started)
        .then((process) =>
          process.call({
            callId: told.id ?? newId("call"),
            agent,
            tool: told.kind,
            input: told.message,
            timeoutMs,
            intent: told.intent ?? DONE,
            signal: over.signal,
            delivery: told.kind,
            ...(told.background ? {} : { limited: true }),
          }),
        )
        .then(resolve, reject)
        .finally(() => {
          cancel();
          told.signal?.removeEventListener("abort", onAbort);
        });
    });
  };
}

function tooLate({ to, timeoutMs }: Told): SallyportError {
  return new SallyportError("deadline_exceeded", `${to.id} did not answer within ${timeoutMs} ms.`);
}

function notRunning(plugin: PluginRef): Promise<never> {
  return Promise.reject(new SallyportError("plugin_not_running", `${plugin.id} has no process.`));
}
