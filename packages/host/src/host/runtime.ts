import { type Catalog, isLegalEdge, isLive, type LoadPermit, type Move } from "../catalog/index.ts";
import {
  type Clock,
  type IsolationLevel,
  LIMITS,
  type PluginRef,
  type PluginState,
  SallyportError,
  toSallyportError,
} from "../kernel/index.ts";
import type { StoredPlugin } from "../store/index.ts";
import type { Launcher, LaunchPlan, PluginProcess } from "../supervisor/index.ts";
import { createSlots, hold, type Slot } from "./slots.ts";

export interface RuntimeDeps {
  readonly catalog: Catalog;
  readonly launcher: Launcher;
  readonly clock: Clock;
  /** Gates 1 to 12. */
  permit(record: StoredPlugin): Promise<LoadPermit>;
  plan(record: StoredPlugin, permit: LoadPermit): LaunchPlan;
  policySnapshot(): string;
}

/** The processes of loaded plugins: at most one an id. */
export interface Runtime {
  /** The process of exactly these bytes, when it runs. */
  running(plugin: PluginRef): PluginProcess | undefined;
  levelOf(plugin: PluginRef): IsolationLevel | undefined;
  /** Passes the gates before a launch and starts nothing. A refusal is an event. @throws {SallyportError} as the gates. */
  check(record: StoredPlugin, actor: string): Promise<LoadPermit>;
  /** Starts a plugin through every gate; joins a start that is under way, waits for a process that is on its way out. */
  start(record: StoredPlugin, actor: string): Promise<PluginProcess>;
  /** For a call: the process, or a start of a plugin that is idle or restarting. @throws {SallyportError} `plugin_not_running`. */
  wake(plugin: PluginRef): Promise<PluginProcess>;
  /**
   * Ends the process or the start that is under way, and moves the plugin; resolves when the process is gone. Calls in
   * flight are ended by the process's own stop.
   */
  stop(record: StoredPlugin, to: PluginState, move: Move): Promise<StoredPlugin>;
  /** Ends every process; live plugins become idle, so that the next owner wakes them at a call. */
  close(): Promise<void>;
}

const HOST = "host";
const CRASH_BUDGET = 3;
const CRASH_WINDOW_MS = 5 * 60 * 1000;
/** Where the host itself may start a plugin from. From anywhere else, an operator has to. */
const WAKEABLE: readonly PluginState[] = ["idle", "unhealthy"];

export function createRuntime(deps: RuntimeDeps): Runtime {
  const { catalog, clock } = deps;
  const slots = createSlots();
  let closing = false;

  const latest = (record: StoredPlugin): StoredPlugin => catalog.current(record.ref) ?? record;

  async function check(record: StoredPlugin, actor: string): Promise<LoadPermit> {
    try {
      return await deps.permit(record);
    } catch (thrown) {
      throw await refused(deps, record, actor, toSallyportError(thrown));
    }
  }

  async function launch(slot: Slot, record: StoredPlugin, actor: string, signal: AbortSignal): Promise<PluginProcess> {
    const permit = await check(record, actor);
    if (signal.aborted) throw notRunning(record);
    const facts: Move = { actor, isolation: permit.level, policySnapshot: deps.policySnapshot() };
    const starting = await catalog.move(record, "starting", facts);
    let process: PluginProcess;
    try {
      process = await deps.launcher.launch(deps.plan(starting, permit), signal);
    } catch (thrown) {
      const error = toSallyportError(thrown);
      // Whoever aborted a start moves the plugin to where it belongs.
      if (!signal.aborted)
        await catalog.move(starting, "failed", { ...facts, reason: error.code, lastError: error.message });
      throw error;
    }
    slot.process = process;
    try {
      if (signal.aborted) throw notRunning(record);
      await catalog.move(starting, "running", { ...facts, isolation: process.level, lastError: null });
    } catch (error) {
      if (slot.process === process) delete slot.process;
      await process.kill("the plugin was stopped while it started");
      throw error;
    }
    // Only now: a process that died meanwhile is found dead in a plugin that runs, and accounted for as a crash.
    void process.exited.then((exit) => hold(slot, ended(slot, process, exit.expected ? null : exit.reason)));
    if (signal.aborted) throw notRunning(record);
    return process;
  }

  async function start(record: StoredPlugin, actor: string): Promise<PluginProcess> {
    for (;;) {
      const slot = slots.take(record.ref);
      if (slot.starting) return slot.starting;
      if (slot.process?.state === "running") return slot.process;
      const leaving = slot.ending ?? slot.process?.exited;
      if (leaving === undefined) return begin(slot, latest(record), actor, new AbortController());
      await leaving;
    }
  }

  async function begin(
    slot: Slot,
    record: StoredPlugin,
    actor: string,
    abort: AbortController,
  ): Promise<PluginProcess> {
    const byHost = actor === HOST;
    if (closing || (byHost && !WAKEABLE.includes(record.state))) throw notRunning(record);
    if (!byHost) slot.crashes = [];
    slot.abort = abort;
    const starting = launch(slot, record, actor, abort.signal).finally(() => {
      delete slot.starting;
      if (slot.abort === abort) delete slot.abort;
    });
    slot.starting = starting;
    return starting;
  }

  /** A process that ended by itself is a crash: it is restarted, until there were too many in the window. */
  async function ended(slot: Slot, process: PluginProcess, crash: string | null): Promise<void> {
    if (slot.process !== process) return;
    delete slot.process;
    const record = catalog.current(slot.ref);
    if (crash === null || closing || record?.state !== "running") return;
    const now = clock.monotonic();
    slot.crashes = [...slot.crashes.filter((time) => now - time < CRASH_WINDOW_MS), now];
    const abort = (slot.abort = new AbortController());
    const move: Move = { actor: HOST, reason: crash, lastError: crash, isolation: process.level };
    try {
      const unhealthy = await catalog.move(record, "unhealthy", move);
      // An operator who stopped the plugin meanwhile has the last word.
      if (abort.signal.aborted) return;
      if (slot.crashes.length >= CRASH_BUDGET)
        await catalog.move(unhealthy, "failed", { ...move, reason: "crash_budget" });
      else void begin(slot, unhealthy, HOST, abort).catch((error: unknown) => givenUp(unhealthy, abort.signal, error));
    } catch {
      // The same, told by the catalog; or the audit cannot be written, and then no call runs either.
    }
  }

  /** A restart that a gate refused has to show; one that failed, or was stopped, does already. */
  async function givenUp(record: StoredPlugin, signal: AbortSignal, thrown: unknown): Promise<void> {
    if (signal.aborted || closing || catalog.current(record.ref)?.state !== "unhealthy") return;
    const { code, message } = toSallyportError(thrown);
    await catalog.move(record, "failed", { actor: HOST, reason: code, lastError: message }).catch(() => undefined);
  }

  async function stop(record: StoredPlugin, to: PluginState, move: Move): Promise<StoredPlugin> {
    const slot = slots.of(record.ref);
    if (!slot) return catalog.move(latest(record), to, move);
    const { process, starting } = slot;
    slot.abort?.abort();
    delete slot.process;
    const going = to === "revoked" ? process?.kill("the plugin was revoked") : process?.stop(LIMITS.shutdownGraceMs);
    const moved = starting
      ? starting.then(ignore, ignore).then(() => moveAfterAbort(record, to, move))
      : catalog.move(latest(record), to, { isolation: process?.level, ...move });
    hold(slot, Promise.allSettled([going, moved]));
    try {
      return await moved;
    } finally {
      await slot.ending;
      if (!isLive(to)) slots.release(slot);
    }
  }

  /** The start may have been ended before it changed anything. */
  async function moveAfterAbort(record: StoredPlugin, to: PluginState, move: Move): Promise<StoredPlugin> {
    const current = latest(record);
    return current.state === to ? current : catalog.move(current, to, move);
  }

  async function rest(slot: Slot): Promise<void> {
    slot.abort?.abort();
    await slot.starting?.catch(ignore);
    const { process } = slot;
    delete slot.process;
    await process?.stop(LIMITS.shutdownGraceMs);
    await slot.ending;
    const current = catalog.current(slot.ref);
    const move: Move = { actor: HOST, reason: "host_stopped" };
    if (current?.state === "running") await catalog.move(current, "idle", move);
    else if (current?.state === "starting" || current?.state === "unhealthy")
      await catalog.move(current, "stopped", move);
  }

  return {
    running(plugin) {
      const process = slots.of(plugin)?.process;
      return process?.state === "running" ? process : undefined;
    },
    levelOf: (plugin) => slots.of(plugin)?.process?.level,
    check,
    start,
    async wake(plugin) {
      const record = catalog.current(plugin);
      const slot = slots.of(plugin);
      const underWay = slot !== undefined && (slot.starting ?? slot.ending) !== undefined;
      if (record && (underWay || record.state === "idle")) return start(record, HOST);
      throw notRunning({ ref: plugin });
    },
    stop,
    async close() {
      closing = true;
      const results = await Promise.allSettled(slots.all().map(rest));
      const failed = results.find((result) => result.status === "rejected");
      if (failed) throw failed.reason;
    },
  };
}

/** Approved bytes that are no longer there, or a grant that is gone, take the plugin back to `validated`. */
async function refused(
  deps: RuntimeDeps,
  record: StoredPlugin,
  actor: string,
  error: SallyportError,
): Promise<SallyportError> {
  const move: Move = { actor, reason: error.code, lastError: error.message, policySnapshot: deps.policySnapshot() };
  await deps.catalog.refused(record, move);
  const current = deps.catalog.current(record.ref);
  const lost = error.code === "not_approved" || error.code === "digest_mismatch";
  // A plugin that was denied stays denied, whoever tries to load it.
  if (current && lost && current.state !== "denied" && isLegalEdge(current.state, "validated")) {
    await deps.catalog.move(current, "validated", move);
  }
  return error;
}

function notRunning(record: { readonly ref: PluginRef }): SallyportError {
  return new SallyportError("plugin_not_running", `${record.ref.id} is not running.`, {
    fix: `Run: sallyport plugin load ${record.ref.id}`,
  });
}

function ignore(): void {}
