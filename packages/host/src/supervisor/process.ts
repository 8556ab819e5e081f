import { type SandboxedProcess, TASKS } from "../isolation/index.ts";
import { type Clock, displayLine, LIMITS, SallyportError } from "../kernel/index.ts";
import { createPeer, type Peer, type PeerAnswer, type Timers } from "../rpc/index.ts";
import { type Calls, createCalls } from "./calls.ts";
import { exitReason } from "./exit-reason.ts";
import { watchHeartbeat } from "./heartbeat.ts";
import type { SupervisorLimits } from "./limits.ts";
import type { ProgramPeer } from "./program.ts";
import { createRequests, type Requests } from "./requests.ts";
import { readStderr, type Stderr } from "./stderr.ts";
import type { LaunchPlan, PluginProcess, ProcessExit, ProcessState, ToolCall } from "./types.ts";
import { watch } from "./watch.ts";

export interface ProcessDeps {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly limits: SupervisorLimits;
  /** What is done otherwise for a program, or in a thread of the host. */
  readonly special?: ProgramPeer;
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
  readonly toolsChanged?: true;
}

const STOPPED = "the plugin was stopped";
/** A ping outlives every call: a process that is blocked for as long as its call may last answers it afterwards. */
const PING_MS = 2 * LIMITS.maxTimeoutMs;
/** The answer to a ping says nothing, so it need not be long. */
const PING_BYTES = 4096;

export function supervise(sandbox: SandboxedProcess, plan: LaunchPlan, deps: ProcessDeps): Supervised {
  const { clock, timers, limits } = deps;
  const { memoryMb, tasks = TASKS } = plan.limits;
  let state: ProcessState = "starting";
  let greeted = false;
  let drainTimer = false;
  let ending: Ending | undefined;
  let unwatch: (() => void) | undefined;
  let responsive = true;
  let healthListener: ((responsive: boolean) => void) | undefined;
  let stopping: Promise<void> | undefined;
  /** Ends the wait for calls in flight. */
  let drained: (() => void) | undefined;

  const peer = (deps.special?.makePeer ?? createPeer)({
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
    onViolation(error) {
      const toolsChanged = error.code === "undeclared_tool";
      const what = toolsChanged ? "its tools are not the ones that were approved" : "the process broke the protocol";
      end({ expected: false, reason: `${what}: ${error.detail ?? ""}`, ...(toolsChanged && { toolsChanged }) });
    },
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
    onEmpty: () => drained?.(),
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
    const changed = ending?.toolsChanged && { toolsChanged: ending.toolsChanged };
    return { expected, code: exit.code, signal: exit.signal, reason, ...changed };
  });

  /** The first reason counts. Whatever is left of the group is killed; `exited` says when it is gone. */
  function end(why: Ending): void {
    if (ending !== undefined) return;
    ending = why;
    state = "stopping";
    unwatch?.();
    drained?.();
    calls.clearQueue(notRunning(plan));
    requests.close();
    if (why.reason !== null) peer.close(endedError(why.expected, why.reason));
    sandbox.kill();
  }

  const isBusy = (): boolean => calls.admission.running + calls.admission.draining > 0;

  function condemn(reason: string): void {
    end({ expected: false, reason });
  }

  /** The plugin may be in an endless loop, or may never end what it was told to end. */
  function onGivenUp(): void {
    // The calls that are given up when a plugin is stopped: its process ends anyway.
    if (state !== "running") return;
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

  function sendPing(timeoutMs: number, settle: (answer: PeerAnswer) => void): void {
    peer.send("ping", {}, timeoutMs, (answer) => {
      if (answer.kind !== "failed" && answer.bytes > PING_BYTES) peer.violate("its answer to a ping is too long");
      else settle(answer);
    });
  }

  function ping(graceMs: number): void {
    sendPing(graceMs, (answer) => {
      if (answer.kind === "failed" && answer.error.code === "deadline_exceeded")
        condemn("the process no longer answers");
    });
  }

  async function kill(reason: string): Promise<void> {
    end({ expected: true, reason: displayLine(reason) });
    await exited;
  }

  /** A second stop that does not wait for calls ends the wait of the first. */
  async function stop(graceMs: number, drainMs = 0): Promise<void> {
    if (state === "running") {
      state = "stopping";
      calls.clearQueue(notRunning(plan));
      stopping = drain(drainMs).then(() => (ending === undefined ? shutDown(graceMs) : undefined));
    } else if (drainMs === 0) drained?.();
    await stopping;
    await kill(STOPPED);
  }

  /** Lets calls in flight end by themselves for a while, and gives up those that are left. */
  async function drain(drainMs: number): Promise<void> {
    if (drainMs > 0 && calls.admission.running > 0) {
      await new Promise<void>((resolve) => {
        const cancel = timers.set(resolve, drainMs);
        drained = () => {
          cancel();
          resolve();
        };
      });
      drained = undefined;
    }
    calls.giveUp(endedError(true, STOPPED));
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
    get busy() {
      return isBusy();
    },
    get served() {
      return calls.started;
    },
    get responsive() {
      return responsive;
    },
    onHealth(listener) {
      healthListener = listener;
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
      const unwatchUse = watch(
        {
          grouped: sandbox.grouped,
          usage: () => sandbox.usage(),
          busy: isBusy,
          calls: () => calls.started,
          condemn,
        },
        { clock, timers, limits, memoryMb, tasks },
      );
      const unwatchHeartbeat = watchHeartbeat(
        {
          ping: (settle) => sendPing(PING_MS, (answer) => settle(answer.kind !== "failed")),
          busy: isBusy,
          onHealth(now) {
            responsive = now;
            healthListener?.(now);
          },
          condemn,
        },
        { clock, timers, limits },
      );
      unwatch = () => {
        unwatchUse();
        unwatchHeartbeat();
      };
    },
    call(call: ToolCall) {
      if (state !== "running") return Promise.reject(notRunning(plan));
      if (deps.special === undefined) return calls.run(call);
      return deps.special.around(call, () =>
        state === "running" ? calls.run(call) : Promise.reject(notRunning(plan)),
      );
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
