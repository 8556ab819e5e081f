import { type Catalog, isLive, type LoadPermit, type Move } from "../catalog/index.ts";
import {
  type Clock,
  displayLine,
  type IsolationLevel,
  LIMITS,
  type PluginRef,
  type PluginState,
  SallyportError,
  toSallyportError,
} from "../kernel/index.ts";
import { systemTimers, type Timers } from "../rpc/index.ts";
import type { StoredPlugin } from "../store/index.ts";
import type { Launcher, LaunchPlan, PluginProcess, ProcessExit } from "../supervisor/index.ts";
import { CRASH_BUDGET, createCrashes } from "./crashes.ts";
import { refused } from "./gate-refused.ts";
import { judgeHealth } from "./health.ts";
import { watchIdle } from "./sleep.ts";
import {
  claim,
  createSlots,
  hold,
  leave,
  occupied,
  processesOf,
  type Seat,
  seatOf,
  SHARED,
  type Slot,
} from "./slots.ts";
import { dismiss, endAll, forget, makeRoom, vacate } from "./vacate.ts";

export interface RuntimeSettings {
  /** Each agent gets its own process of a plugin. */
  readonly perAgent: boolean;
  /** Processes of one plugin at the same time. */
  readonly processes: number;
  /** A process without a call for so long is stopped, until the next call; 0: never. */
  readonly idleAfterMs: number;
  /** How long calls in flight may go on when the host stops. */
  readonly drainMs: number;
}

export interface RuntimeDeps {
  readonly catalog: Catalog;
  readonly launcher: Launcher;
  readonly clock: Clock;
  readonly timers?: Timers;
  /** As they are in force now. */
  settings(): RuntimeSettings;
  /** Gates 1 to 12. */
  permit(record: StoredPlugin): Promise<LoadPermit>;
  plan(record: StoredPlugin, permit: LoadPermit): LaunchPlan;
  policySnapshot(): string;
  /** The same failure to start, with nothing in the plugin's words that must not get out. */
  clean(error: SallyportError): SallyportError;
}

/** The processes of loaded plugins: at most one an id or, with `perAgent`, one an id and agent. */
export interface Runtime {
  /** The process of exactly these bytes that serves this agent, when it runs. */
  running(plugin: PluginRef, agent: string): PluginProcess | undefined;
  levelOf(plugin: PluginRef): IsolationLevel | undefined;
  /**
   * Of a plugin that is starting or unhealthy: `listed` while it only wakes or is slow to answer, `waiting` when it ended by
   * itself and a call waits for its restart, `null` when it is not loaded.
   */
  presence(plugin: PluginRef): "listed" | "waiting" | null;
  /** Passes the gates before a launch and starts nothing. A refusal is an event. @throws {SallyportError} as the gates. */
  check(record: StoredPlugin, actor: string): Promise<LoadPermit>;
  /** Starts a plugin through every gate; joins a start that is under way, waits for a process that is on its way out. */
  start(record: StoredPlugin, actor: string): Promise<PluginProcess>;
  /** The same while another version of the id runs, which goes on: whoever asks for it stops one of the two. */
  startBeside(record: StoredPlugin, actor: string): Promise<PluginProcess>;
  /**
   * For a call: the agent's process, or a start of one. @throws {SallyportError} `plugin_not_running`; `busy` when the
   * plugin's processes all work for other agents.
   */
  wake(plugin: PluginRef, agent: string): Promise<PluginProcess>;
  /**
   * Ends the processes or the start that is under way, and moves the plugin at once; resolves when they are gone. Calls in
   * flight go on for at most `drainMs` (default 0) and are then given up. A revoked plugin is killed.
   */
  stop(record: StoredPlugin, to: PluginState, move: Move, drainMs?: number): Promise<StoredPlugin>;
  /** Ends every process; live plugins become idle, so that the next owner wakes them at a call. */
  close(): Promise<void>;
}

const HOST = "host";
/** Longest wait for calls in flight when the host itself stops: whoever stops it waits too. */
const LAST_DRAIN_MS = 15_000;
/** Where the host itself may start a process from. From anywhere else, an operator has to. */
const WAKEABLE: readonly PluginState[] = ["idle", "unhealthy", "running"];

export function createRuntime(deps: RuntimeDeps): Runtime {
  const { catalog, clock, timers = systemTimers } = deps;
  const slots = createSlots();
  const crashes = createCrashes(clock, timers);
  let closing = false;
  let uses = 0;

  const latest = (record: StoredPlugin): StoredPlugin => catalog.current(record.ref) ?? record;

  async function check(record: StoredPlugin, actor: string): Promise<LoadPermit> {
    try {
      return await deps.permit(record);
    } catch (thrown) {
      const error = await refused(deps, record, actor, toSallyportError(thrown));
      const slot = slots.of(record.ref);
      // What it was refused for holds for the processes that run already.
      if (slot && !isLive(latest(record).state)) endAll(slot, "a gate refused the plugin");
      throw error;
    }
  }

  /** Starts one process. The first one moves the plugin; others join a plugin that runs. */
  async function launch(slot: Slot, seat: Seat, record: StoredPlugin, actor: string, abort: AbortController) {
    const { signal } = abort;
    if (actor === HOST) await crashes.backOff(idOf(slot.ref), signal).catch(() => undefined);
    if (signal.aborted) throw notRunning(record);
    const permit = await check(latest(record), actor);
    if (signal.aborted) throw notRunning(record);
    const facts: Move = { actor, isolation: permit.level, policySnapshot: deps.policySnapshot() };
    const mine = seat.starting;
    // The processes that it would have joined may be gone, for several starts at once: one of them moves the plugin.
    while (!joins(slot, latest(record)) && slot.carrier !== undefined && slot.carrier !== mine) {
      await slot.carrier.catch(ignore);
      if (signal.aborted) throw notRunning(record);
    }
    if (mine !== undefined && !joins(slot, latest(record))) slot.carrier = mine;
    const starting = joins(slot, latest(record)) ? latest(record) : await moveToStarting(slot, record, facts);
    const joined = starting.state !== "starting";
    let process: PluginProcess;
    try {
      process = await deps.launcher.launch(deps.plan(starting, permit), signal);
    } catch (thrown) {
      const error = deps.clean(toSallyportError(thrown));
      // Whoever aborted a start moves the plugin to where it belongs.
      if (!signal.aborted && !(joined && processesOf(slot).length > 0)) await launchFailed(starting, facts, error);
      throw error;
    }
    seat.process = process;
    try {
      if (signal.aborted) throw notRunning(record);
      if (!joined) await catalog.move(starting, "running", { ...facts, isolation: process.level, lastError: null });
      else if (!isLive(latest(record).state)) throw notRunning(record);
    } catch (error) {
      if (seat.process === process) delete seat.process;
      await process.kill("the plugin was stopped while it started");
      throw error;
    }
    slot.loaded = true;
    slot.crashed = false;
    seat.used = ++uses;
    seat.since = clock.monotonic();
    process.onHealth(() => judge(slot));
    watchIdle(
      process,
      timers,
      () => deps.settings().idleAfterMs,
      () => void sleep(slot, seat, process),
    );
    // Only now: a process that died meanwhile is found dead in a plugin that runs, and accounted for as a crash.
    void process.exited.then((exit) => hold(slot, ended(slot, seat, process, exit)));
    if (joined) judge(slot);
    if (signal.aborted) throw notRunning(record);
    return process;
  }

  async function moveToStarting(slot: Slot, record: StoredPlugin, facts: Move): Promise<StoredPlugin> {
    const now = latest(record);
    slot.loaded = isLive(now.state);
    // Its process was stopped, and that could not be recorded.
    const idle = now.state === "running" ? await catalog.move(now, "idle", { ...facts, reason: "process_gone" }) : now;
    return catalog.move(idle, "starting", facts);
  }

  async function launchFailed(record: StoredPlugin, facts: Move, error: SallyportError): Promise<void> {
    const move = { ...facts, reason: error.code, lastError: described(error) };
    const now = latest(record);
    const live = now.state === "running" ? await catalog.move(now, "unhealthy", move) : now;
    if (isLive(live.state)) await catalog.move(live, "failed", move);
  }

  function judge(slot: Slot): void {
    if (!closing) hold(slot, judgeHealth(catalog, slot));
  }

  async function start(
    record: StoredPlugin,
    actor: string,
    agent: string = SHARED,
    beside: boolean = false,
  ): Promise<PluginProcess> {
    for (;;) {
      const slot = slots.take(record.ref, beside);
      const ready = actor === HOST ? running(record.ref, agent) : processesOf(slot)[0];
      if (ready) return ready;
      const seat = slot.seats.get(agent);
      if (seat?.starting) return seat.starting;
      const leaving =
        slot.ending ??
        seat?.process?.exited ??
        seat?.leaving?.exited ??
        slot.carrier?.catch(ignore) ??
        makeRoom(slot, deps.settings().processes, clock.monotonic());
      if (leaving === undefined) return begin(slot, agent, latest(record), actor, new AbortController());
      await leaving;
    }
  }

  async function begin(
    slot: Slot,
    agent: string,
    record: StoredPlugin,
    actor: string,
    abort: AbortController,
  ): Promise<PluginProcess> {
    const byHost = actor === HOST;
    if (closing || (byHost && !WAKEABLE.includes(record.state))) throw notRunning(record);
    if (!byHost) crashes.forget(idOf(slot.ref));
    const seat = seatOf(slot, agent);
    seat.abort = abort;
    const starting = launch(slot, seat, record, actor, abort).finally(() => {
      delete seat.starting;
      if (slot.carrier === starting) delete slot.carrier;
      if (seat.abort === abort) delete seat.abort;
      leave(slot, seat);
    });
    seat.starting = starting;
    if (!joins(slot, record)) slot.carrier = starting;
    return starting;
  }

  /** A process that ended by itself is a crash: it is restarted, until there were too many in the window. */
  async function ended(slot: Slot, seat: Seat, process: PluginProcess, exit: ProcessExit): Promise<void> {
    if (seat.process !== process) return;
    delete seat.process;
    leave(slot, seat);
    const record = catalog.current(slot.ref);
    if (exit.expected || closing || (record?.state !== "running" && record?.state !== "unhealthy")) return;
    const changed = exit.toolsChanged === true;
    const spent = crashes.add(idOf(slot.ref)) >= CRASH_BUDGET || changed;
    const others = occupied(slot).some((other) => other !== seat);
    slot.crashed = !others;
    const move: Move = { actor: HOST, reason: exit.reason, lastError: exit.reason, isolation: process.level };
    const abort = new AbortController();
    const again = seatOf(slot, seat.agent);
    if (!others) again.abort = abort;
    try {
      const unhealthy = record.state === "running" ? await catalog.move(record, "unhealthy", move) : record;
      // An operator who stopped the plugin meanwhile has the last word.
      if (abort.signal.aborted) return;
      if (spent) {
        endAll(slot, changed ? "the plugin's tools changed" : "the plugin crashed too often");
        await catalog.move(unhealthy, "failed", { ...move, reason: changed ? "tools_changed" : "crash_budget" });
      } else if (others) judge(slot);
      else
        void begin(slot, seat.agent, unhealthy, HOST, abort).catch((error: unknown) =>
          givenUp(unhealthy, abort.signal, error),
        );
    } catch {
      // The same, told by the catalog; or the audit cannot be written, and then no call runs either.
    } finally {
      leave(slot, again);
    }
  }

  /** A restart that a gate refused has to show; one that failed, or was stopped, does already. */
  async function givenUp(record: StoredPlugin, signal: AbortSignal, thrown: unknown): Promise<void> {
    if (signal.aborted || closing || catalog.current(record.ref)?.state !== "unhealthy") return;
    const error = toSallyportError(thrown);
    const move: Move = { actor: HOST, reason: error.code, lastError: described(error) };
    await catalog.move(record, "failed", move).catch(ignore);
  }

  /** A process had no call for a while. The plugin stays loaded, and the next call wakes it. */
  async function sleep(slot: Slot, seat: Seat, process: PluginProcess): Promise<void> {
    const record = catalog.current(slot.ref);
    if (closing || seat.process !== process || process.busy || slot.ending || record?.state !== "running") return;
    if (occupied(slot).length > 1) await vacate(slot, seat);
    else await stop(record, "idle", { actor: HOST, reason: "no_calls" }).catch(ignore);
  }

  async function stop(record: StoredPlugin, to: PluginState, move: Move, drainMs = 0): Promise<StoredPlugin> {
    const slot = slots.of(record.ref);
    if (!slot) return catalog.move(latest(record), to, move);
    if (!isLive(to)) slot.loaded = false;
    const seats = [...slot.seats.values()];
    const starts = seats.flatMap((seat) => seat.starting ?? []);
    const level = seats.find((seat) => seat.process)?.process?.level;
    for (const seat of seats) seat.abort?.abort();
    const going = seats.map((seat) => end(slot, seat, to, drainMs));
    const moved =
      starts.length > 0 || (latest(record).state === to && seats.some((seat) => seat.leaving))
        ? Promise.allSettled(starts).then(() => moveAfterAbort(record, to, move))
        : catalog.move(latest(record), to, { isolation: level, ...move });
    hold(slot, Promise.allSettled([...going, moved]));
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
    const seats = [...slot.seats.values()];
    for (const seat of seats) seat.abort?.abort();
    await Promise.allSettled(seats.flatMap((seat) => seat.starting ?? []));
    await Promise.all(seats.map((seat) => end(slot, seat, "idle", Math.min(deps.settings().drainMs, LAST_DRAIN_MS))));
    await slot.ending;
    const current = catalog.current(slot.ref);
    const move: Move = { actor: HOST, reason: "host_stopped" };
    if (current?.state === "running") await catalog.move(current, "idle", move);
    else if (current?.state === "starting" || current?.state === "unhealthy")
      await catalog.move(current, "stopped", move);
  }

  function running(plugin: PluginRef, agent: string): PluginProcess | undefined {
    const slot = slots.of(plugin);
    if (!slot) return undefined;
    const key = deps.settings().perAgent ? agent : SHARED;
    const seat = slot.seats.get(key) ?? claim(slot, key);
    if (seat?.process?.state !== "running") return undefined;
    seat.used = ++uses;
    return seat.process;
  }

  return {
    running,
    levelOf: (plugin) => {
      const slot = slots.of(plugin);
      return slot && processesOf(slot)[0]?.level;
    },
    presence(plugin) {
      const slot = slots.of(plugin);
      if (!slot?.loaded) return null;
      return slot.crashed ? "waiting" : "listed";
    },
    check,
    start: (record, actor) => start(record, actor),
    startBeside: (record, actor) => start(record, actor, SHARED, true),
    async wake(plugin, agent) {
      const record = catalog.current(plugin);
      const slot = slots.of(plugin);
      const underWay = slot !== undefined && (slot.carrier ?? slot.ending) !== undefined;
      if (record && (underWay || isLive(record.state)))
        return start(record, HOST, deps.settings().perAgent ? agent : SHARED);
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

/** What people see as the last error: the cause too, which is often in the plugin's own words. */
function described({ message, detail }: SallyportError): string {
  return detail === undefined || detail === "" ? message : displayLine(`${message} ${detail}`, 1000);
}

/** Whether a process that starts now adds to those of a plugin that runs. */
function joins(slot: Slot, { state }: StoredPlugin): boolean {
  return (state === "running" || state === "unhealthy") && processesOf(slot).length > 0;
}

async function end(slot: Slot, seat: Seat, to: PluginState, drainMs: number): Promise<void> {
  const process = dismiss(seat);
  if (to === "revoked") await process?.kill("the plugin was revoked");
  else await process?.stop(LIMITS.shutdownGraceMs, drainMs);
  if (process) forget(slot, seat, process);
}

function notRunning(record: { readonly ref: PluginRef }): SallyportError {
  return new SallyportError("plugin_not_running", `${record.ref.id} is not running.`, {
    fix: `Run: sallyport plugin load ${record.ref.id}`,
  });
}

function ignore(): void {}

function idOf({ id, digest }: PluginRef): string {
  return `${id}\n${digest}`;
}
