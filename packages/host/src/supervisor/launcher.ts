import { join } from "node:path";
import { pathToFileURL } from "node:url";
import {
  type CodeCaches,
  type EnginePaths,
  groupLimits,
  type Interpreters,
  planSandbox,
  type Probe,
  spawnSandboxed,
  TASKS,
} from "../isolation/index.ts";
import {
  type Clock,
  displayLine,
  type ErrorCode,
  LIMITS,
  PolicyViolationError,
  SallyportError,
  systemClock,
  toSallyportError,
} from "../kernel/index.ts";
import { isRecord, type PeerAnswer, type Timers, systemTimers } from "../rpc/index.ts";
import { bundleUrl } from "./bundle-url.ts";
import { createChallenge } from "./handshake.ts";
import { startThread, threadPeer } from "./in-process.ts";
import { SUPERVISOR_LIMITS, type SupervisorLimits } from "./limits.ts";
import { supervise, type Supervised } from "./process.ts";
import { prepareProgram, programPeer } from "./program.ts";
import type { BrokerSession, Launcher, LaunchPlan, PluginProcess } from "./types.ts";

export interface LauncherDeps {
  readonly engine: EnginePaths;
  /** What holds on this machine, and the programs that make it hold. */
  readonly probe: Probe;
  readonly hostIsRoot: boolean;
  /** What runs programs; absent, only executables run. */
  readonly interpreters?: Interpreters;
  /** Whether plugins may run in this very process, by the operator's configuration as it is now; absent: none. */
  readonly allowInProcess?: () => boolean;
  /** Absent: code is compiled at every start. */
  readonly codeCaches?: CodeCaches;
  readonly clock?: Clock;
  readonly timers?: Timers;
  readonly limits?: Partial<SupervisorLimits>;
}

export function createLauncher(deps: LauncherDeps): Launcher {
  const limits = { ...SUPERVISOR_LIMITS, ...deps.limits };
  const { clock = systemClock, timers = systemTimers } = deps;

  function startInProcess(plan: LaunchPlan): { process: Supervised; bundle: string } {
    const bundle = bundleUrl(pathToFileURL(`${plan.root}/`).href, plan.bundle);
    const thread = startThread(plan, { runner: deps.engine.runner, allowInProcess: deps.allowInProcess });
    const special = threadPeer({ thread, timers, limits });
    return { process: supervise(thread, plan, { clock, timers, limits, special }), bundle };
  }

  async function start(
    plan: LaunchPlan,
    codeCache?: { readonly folder: string; readonly writable: boolean },
  ): Promise<{ process: Supervised; bundle: string; hangUp?: () => void }> {
    if (plan.level === "in-process") return startInProcess(plan);
    requireAvailable(deps.probe, plan);
    const { memoryMb, tasks = TASKS, processors } = plan.limits;
    const program = plan.program && (await prepareProgram(plan, plan.program, deps));
    const sandboxPlan = await planSandbox({
      level: plan.level,
      engine: deps.engine,
      tools: deps.probe.tools,
      hostIsRoot: deps.hostIsRoot,
      root: plan.root,
      memoryMb,
      tasks,
      ...(program && { program }),
      ...(codeCache && { codeCache }),
      ...(plan.openRuntimePermissions === true ? { openRuntimePermissions: true } : {}),
    });
    const bundle = bundleUrl(sandboxPlan.rootUrl, plan.bundle);
    requireProcessors(deps.probe, processors);
    const group = deps.probe.groups?.make(groupLimits(memoryMb, tasks, processors)) ?? null;
    const sandbox = await spawnSandboxed(sandboxPlan, group);
    const peer = plan.program && programPeer(plan, plan.program);
    const process = supervise(sandbox, plan, { clock, timers, limits, ...(peer && { special: peer }) });
    return { process, bundle, hangUp: () => void sandbox.stdin.end() };
  }

  /** What the engine kept of exactly this code, filled at its first start, within the plugin's walls and before anything is granted to it. */
  async function codeCacheOf(plan: LaunchPlan, signal: AbortSignal | undefined): Promise<string | null> {
    // Elsewhere no wall shows files to one process alone, or nothing of the engine's runs.
    if (deps.codeCaches === undefined || plan.level !== "namespace" || plan.program !== undefined) return null;
    const { codeCaches } = deps;
    const bare: LaunchPlan = { ...plan, view: { ...plan.view, config: {}, scopes: [], secrets: {} }, broker: DEAF };
    const fill = async (folder: string): Promise<void> => {
      // The engine reads nothing of what a single process left; a second one over the same files completes it.
      for (const _ of ["writes", "completes"]) await importOnly(bare, folder, signal);
    };
    return codeCaches.obtain(plan.view.ref.digest, join(plan.root, plan.bundle), fill, (why) => {
      const message = `This plugin's code is compiled at every start: ${why}`;
      plan.broker.notify("log", { call: null, level: "warn", message }, null);
    });
  }

  async function importOnly(plan: LaunchPlan, folder: string, signal: AbortSignal | undefined): Promise<void> {
    if (isAborted(signal)) throw abortedStart();
    const { process, bundle, hangUp } = await start(plan, { folder, writable: true });
    const stop = (): void => void process.kill("its code was only imported");
    let late = false;
    const cancel = timers.set(() => {
      late = true;
      stop();
    }, limits.handshakeMs + limits.importMs);
    signal?.addEventListener("abort", stop, { once: true });
    try {
      await greet(process, limits);
      await bind(process, plan, bundle, limits);
      hangUp?.();
      // By itself, so that the engine has written all; only then it hangs up, and the rest of the walls is torn down.
      await process.exited;
      if (isAborted(signal)) throw abortedStart();
      if (late) throw new SallyportError("load_failed", "The plugin's process did not end after its import.");
    } catch (error) {
      throw isAborted(signal) ? abortedStart() : error;
    } finally {
      cancel();
      signal?.removeEventListener("abort", stop);
      await process.kill("its code was only imported");
    }
  }

  return {
    async launch(plan, signal): Promise<PluginProcess> {
      if (isAborted(signal)) throw abortedStart();
      const folder = await codeCacheOf(plan, signal);
      const codeCache = folder === null ? undefined : { folder, writable: false };
      const { process, bundle } = await start(plan, codeCache).catch((error: unknown) => {
        plan.broker.close();
        throw toSallyportError(error);
      });
      const abort = (): void => void process.kill("its start was cancelled");
      signal?.addEventListener("abort", abort, { once: true });
      try {
        // What proves that it was launched here is the protocol of plugins; a foreign server has never heard of it.
        if (plan.program?.mcpTools === undefined) await greet(process, limits);
        else process.greet();
        await bind(process, plan, bundle, limits);
        await initialize(process, limits);
        process.run();
        if (process.state !== "running")
          throw new SallyportError("launch_failed", "The process ended while it started.");
        return process;
      } catch (thrown) {
        const unexpected = process.state !== "starting";
        await process.kill("it did not start");
        if (isAborted(signal)) throw abortedStart();
        const error = await explain(toSallyportError(thrown), process, unexpected);
        // What the engine kept may be why: the next start does without.
        if (codeCache !== undefined && CACHE_MAY_BE_WHY.has(error.code))
          await deps.codeCaches?.giveUp(plan.view.ref.digest);
        throw error;
      } finally {
        signal?.removeEventListener("abort", abort);
      }
    },
  };
}

const CACHE_MAY_BE_WHY: ReadonlySet<ErrorCode> = new Set(["launch_failed", "handshake_failed", "load_failed"]);

/** Nothing is granted, so nothing is answered. */
const DEAF: BrokerSession = {
  handle: () =>
    Promise.reject(new SallyportError("permission_denied", "Nothing is granted while code is only imported.")),
  notify: () => undefined,
  endCall: () => undefined,
  close: () => undefined,
};

function requireAvailable(probe: Probe, plan: LaunchPlan): void {
  const report = probe.report.levels[plan.level];
  if (report.available) return;
  throw new PolicyViolationError(
    "isolation_unavailable",
    `The isolation level "${plan.level}" is not available here.`,
    {
      detail: report.reason,
      fix: report.fix,
    },
  );
}

/** @throws {PolicyViolationError} `isolation_unavailable` when nothing here bounds what the operator wants bounded. */
function requireProcessors({ groups, report }: Probe, processors: number | undefined): void {
  if (processors === undefined || groups?.processors === true) return;
  throw new PolicyViolationError("isolation_unavailable", "This machine cannot bound the processors of a plugin.", {
    detail: report.groups.available ? "Its cgroups come without the cpu controller." : report.groups.reason,
    fix: "Take limits.processors out of config.yml, or see with `sallyport doctor` what cgroups need.",
  });
}

/** One token, one try: the first line each way. */
async function greet(process: Supervised, limits: SupervisorLimits): Promise<void> {
  const challenge = createChallenge();
  const answer = await ask(
    process,
    "hello",
    challenge.params,
    limits.handshakeMs,
    "handshake_failed",
    "The handshake failed.",
  );
  challenge.check(answer);
  process.greet();
}

async function bind(process: Supervised, plan: LaunchPlan, bundle: string, limits: SupervisorLimits): Promise<void> {
  const { ref, tools, hooks = [], scopes, config, secrets } = plan.view;
  const params = {
    plugin: { id: ref.id, version: ref.version, digest: ref.digest },
    bundle,
    config,
    scopes,
    tools,
    secrets,
  };
  const answer = await ask(process, "bind", params, limits.importMs, "load_failed", "The plugin's code did not load.");
  compareTools(tools, readTools(answer));
  requireHooks(hooks, answer);
}

/** A hook whose function is not there would be one that never says no. */
function requireHooks(declared: readonly string[], answer: unknown): void {
  const offered: unknown = isRecord(answer) ? answer["hooks"] : undefined;
  const lacking = declared.filter((name) => !Array.isArray(offered) || !offered.includes(name));
  if (lacking.length === 0) return;
  throw new SallyportError(
    "load_failed",
    `The plugin's code lacks a function for a hook that its manifest declares: ${list(lacking)}.`,
    { fix: "Add it to the code's `hooks`, or remove the hook from the manifest." },
  );
}

function readTools(answer: unknown): readonly string[] {
  const tools = isRecord(answer) ? answer["tools"] : undefined;
  if (Array.isArray(tools) && tools.every((tool) => typeof tool === "string")) return tools;
  throw new SallyportError("load_failed", "The plugin's process did not say which tools it offers.");
}

/** The code must offer exactly what the manifest declares. */
function compareTools(declared: readonly string[], offered: readonly string[]): void {
  const extra = offered.filter((tool) => !declared.includes(tool));
  const lacking = declared.filter((tool) => !offered.includes(tool));
  if (extra.length > 0) {
    throw new SallyportError(
      "undeclared_tool",
      `The plugin's code offers a tool that its manifest does not declare: ${list(extra)}.`,
      {
        detail: "An undeclared tool was never reviewed, so none of the plugin runs.",
        fix: "Declare it under contributes.tools in the manifest, or remove it from the code.",
      },
    );
  }
  if (lacking.length === 0) return;
  throw new SallyportError(
    "missing_tool",
    `The plugin's code lacks a tool that its manifest declares: ${list(lacking)}.`,
    {
      fix: "Add it to the code's `tools`, or remove it from the manifest.",
    },
  );
}

const SHOWN_NAMES = 5;

function list(names: readonly string[]): string {
  const shown = names.slice(0, SHOWN_NAMES).map((name) => displayLine(name, 64));
  return names.length > SHOWN_NAMES ? `${shown.join(", ")} and ${names.length - SHOWN_NAMES} more` : shown.join(", ");
}

async function initialize(process: Supervised, limits: SupervisorLimits): Promise<void> {
  const failed = "The plugin's initialize() failed.";
  const answer = await process.requests.initializing((callId) =>
    ask(process, "initialize", { call_id: callId }, limits.initializeMs, "initialize_failed", failed),
  );
  if (isRecord(answer) && answer["ok"] === true) return;
  throw new SallyportError("initialize_failed", "The plugin's initialize() did not return true.", {
    fix: "Check the plugin's configuration and secrets; its log says more.",
  });
}

async function ask(
  process: Supervised,
  method: string,
  params: object,
  timeoutMs: number,
  code: ErrorCode,
  message: string,
): Promise<unknown> {
  let answer: Exclude<PeerAnswer, { kind: "failed" }>;
  try {
    answer = await process.peer.request(method, params, timeoutMs);
  } catch (thrown) {
    const cause = toSallyportError(thrown);
    if (cause.code === "undeclared_tool") throw cause;
    const late = cause.code === "deadline_exceeded";
    throw new SallyportError(code, message, {
      detail: late ? `It took longer than ${timeoutMs} ms.` : (cause.detail ?? cause.message),
      cause,
    });
  }
  if (answer.kind === "result") return answer.result;
  throw new SallyportError(code, message, { detail: displayLine(answer.error.message, LIMITS.auditInputBytes) });
}

/** Adds what the process said on its error output, and says `launch_failed` when it never got as far as speaking. */
async function explain(error: SallyportError, process: Supervised, ended: boolean): Promise<SallyportError> {
  const { reason } = await process.exited;
  const stderr = process.stderr.tail();
  const neverStarted = ended && error.code === "handshake_failed" && error.cause !== undefined && isCrash(error.cause);
  return new SallyportError(
    neverStarted ? "launch_failed" : error.code,
    neverStarted ? "The plugin's process did not start." : error.message,
    {
      detail: neverStarted ? `In plain words: ${reason}.` : (error.detail ?? ""),
      fix: error.fix ?? "The last lines of its error output say more; `sallyport doctor` checks the sandbox.",
      data: { ...error.data, ...(stderr === "" ? {} : { stderr }) },
      cause: error.cause,
    },
  );
}

function isCrash(cause: unknown): boolean {
  return cause instanceof SallyportError && cause.code === "plugin_crashed";
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

function abortedStart(): SallyportError {
  return new SallyportError("cancelled", "The start was cancelled.", { detail: "The process is gone." });
}
