import { type SandboxedProcess, TASKS } from "../isolation/index.ts";
import { type Clock, displayLine, SallyportError } from "../kernel/index.ts";
import { createPeer, type Peer, type Timers } from "../rpc/index.ts";
import { type Calls, createCalls } from "./calls.ts";
import { exitReason } from "./exit-reason.ts";
import type { SupervisorLimits } from "./limits.ts";
import { createRequests, type Requests } from "./requests.ts";
import { readStderr, type Stderr } from "./stderr.ts";
import type { LaunchPlan, PluginProcess, ProcessExit, ProcessState, ToolCall } from "./types.ts";
import { watch } from "./watch.ts";

export interface ProcessDeps {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly limits: SupervisorLimits;
}

/** A process that is being started or runs, seen from the launcher. */
export interface Supervised extends PluginProcess {
  readonly peer: Peer;
  readonly requests: Requests;
  readonly stderr: Stderr;
  /** The handshake is over: from now on the plugin may send requests. */
  greet(): void;
  /** Handshake, bind and initialize are done. */
  run(): void;
}

interface Ending {
  readonly expected: boolean;
  /** Null when the process ended by itself: its exit says why. */
  readonly reason: string | null;
}

const STOPPED = "the plugin was stopped";

export function supervise(sandbox: SandboxedProcess, plan: LaunchPlan, deps: ProcessDeps): Supervised {
  const { clock, timers, limits } = deps;
  const { memoryMb, tasks = TASKS } = plan.limits;
  let state: ProcessState = "starting";
  let greeted = false;
  let drainTimer = false;
  let ending: Ending | undefined;
  let unwatch: (() => void) | undefined;

  const peer = createPeer({
    readable: sandbox.stdout,
    writable: sandbox.stdin,
    clock,
    timers,
    onRequest: (method, params) => {
      if (greeted) return requests.handle(method, params);
      peer.violate("it asked before the handshake");
      return Promise.reject(new SallyportError("protocol_violation", "The handshake comes first."));
    },
    onNotification: (method, params) => {
      if (greeted) requests.notify(method, params);
      else peer.violate("it spoke before the handshake");
    },
    onLateAnswer: (id) => calls.late(id),
    onViolation: (error) => end({ expected: false, reason: `the process broke the protocol: ${error.detail ?? ""}` }),
  });
  const calls: Calls = createCalls({
    peer,
    broker: plan.broker,
    clock,
    timers,
    limits,
    concurrency: plan.limits.concurrency,
    alive: () => ending === undefined,
    onGivenUp,
    onBlocked,
  });
  const requests: Requests = createRequests({
    broker: plan.broker,
    calls,
    violate: (problem) => peer.violate(problem),
  });
  const stderr = readStderr({
    stream: sandbox.stderr,
    clock,
    limits,
    onLine: (line) => requests.notify("log", { call: null, level: "error", message: line }),
    onFlood: () => condemn("the process flooded its error output"),
  });
  sandbox.stdout.once("end", () => end({ expected: state === "stopping", reason: null }));

  const exited: Promise<ProcessExit> = sandbox.gone.then((exit) => {
    end({ expected: state === "stopping", reason: null });
    const expected = ending?.expected === true;
    const reason = ending?.reason ?? (expected ? STOPPED : exitReason({ exit, lastWords: stderr.tail(), tasks }));
    state = "gone";
    peer.close(endedError(expected, reason));
    return { expected, code: exit.code, signal: exit.signal, reason };
  });

  /** The first reason counts. Whatever is left of the group is killed; `exited` says when it is gone. */
  function end(why: Ending): void {
    if (ending !== undefined) return;
    ending = why;
    state = "stopping";
    unwatch?.();
    calls.clearQueue(notRunning(plan));
    requests.close();
    if (why.reason !== null) peer.close(endedError(why.expected, why.reason));
    sandbox.kill();
  }

  function condemn(reason: string): void {
    end({ expected: false, reason });
  }

  /** The plugin may be in an endless loop, or may never end what it was told to end. */
  function onGivenUp(): void {
    ping(limits.pingGraceMs);
    if (calls.admission.draining > limits.drainingCalls) condemn("the process did not end calls that were given up");
  }

  function onBlocked(): void {
    if (drainTimer) return;
    drainTimer = true;
    const { started } = calls;
    timers.set(() => {
      drainTimer = false;
      if (ending !== undefined || !calls.admission.blockedByDraining) return;
      if (calls.started === started) condemn("the process did not end a call that was given up");
      else onBlocked();
    }, limits.drainGraceMs);
  }

  function ping(graceMs: number): void {
    peer.send("ping", {}, graceMs, (answer) => {
      if (answer.kind === "failed" && answer.error.code === "deadline_exceeded")
        condemn("the process no longer answers");
    });
  }

  async function kill(reason: string): Promise<void> {
    end({ expected: true, reason: displayLine(reason) });
    await exited;
  }

  async function stop(graceMs: number): Promise<void> {
    if (state === "running") {
      state = "stopping";
      calls.clearQueue(notRunning(plan));
      await shutDown(graceMs);
    }
    await kill(STOPPED);
  }

  /** Resolves when the process has ended by itself, or the grace is over. */
  async function shutDown(graceMs: number): Promise<void> {
    peer.send("shutdown", { grace_ms: graceMs }, graceMs, () => undefined);
    await new Promise<void>((resolve) => {
      const cancel = timers.set(resolve, graceMs);
      void exited.finally(() => {
        cancel();
        resolve();
      });
    });
  }

  return {
    level: plan.level,
    pid: sandbox.pid,
    get state() {
      return state;
    },
    exited,
    peer,
    requests,
    stderr,
    greet() {
      greeted = true;
    },
    run() {
      if (ending !== undefined) return;
      state = "running";
      unwatch = watch(
        {
          grouped: sandbox.grouped,
          usage: () => sandbox.usage(),
          busy: () => calls.admission.running + calls.admission.draining > 0,
          calls: () => calls.started,
          ping: () => ping(limits.heartbeatGraceMs),
          condemn,
        },
        { clock, timers, limits, memoryMb, tasks },
      );
    },
    call(call: ToolCall) {
      return state === "running" ? calls.run(call) : Promise.reject(notRunning(plan));
    },
    stop,
    kill,
  };
}

function endedError(expected: boolean, reason: string): SallyportError {
  if (expected) {
    return new SallyportError("cancelled", "The plugin was stopped while the call ran.", { detail: `${reason}.` });
  }
  return new SallyportError("plugin_crashed", "The plugin's process ended while the call ran.", {
    detail: `In plain words: ${reason}.`,
    fix: "See its last lines with `sallyport plugin logs`; what the call did until then is not known.",
  });
}

function notRunning(plan: LaunchPlan): SallyportError {
  return new SallyportError("plugin_not_running", `${plan.view.ref.id} is not running.`, {
    detail: "The call never reached the plugin.",
    fix: `Run: sallyport plugin load ${plan.view.ref.id}`,
  });
}
