import { type Catalog, isLive, type LoadPermit, type Move, type PluginState } from "../catalog/index.ts";
import {
  type Clock,
  type IsolationLevel,
  LIMITS,
  type PluginRef,
  SallyportError,
  toSallyportError,
} from "../kernel/index.ts";
import type { StoredPlugin } from "../store/index.ts";
import type { Launcher, LaunchPlan, PluginProcess } from "../supervisor/index.ts";

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
  /** Starts a plugin through every gate; joins a start that is under way. */
  start(record: StoredPlugin, actor: string): Promise<PluginProcess>;
  /** For a call: the process, or a start of a plugin that is idle or restarting. @throws {SallyportError} `plugin_not_running`. */
  wake(plugin: PluginRef): Promise<PluginProcess>;
  /** Ends the process, if any, and moves the plugin. Calls in flight are ended by the process's own stop. */
  stop(record: StoredPlugin, to: PluginState, move: Move): Promise<StoredPlugin>;
  /** Ends every process; live plugins become idle, so that the next owner wakes them at a call. */
  close(): Promise<void>;
}

interface Slot {
  readonly ref: PluginRef;
  process?: PluginProcess;
  starting?: Promise<PluginProcess>;
  abort?: AbortController;
  /** While a process that ended by itself is being accounted for. */
  ending?: Promise<void>;
  crashes: number[];
}

const HOST = "host";
const CRASH_BUDGET = 3;
const CRASH_WINDOW_MS = 5 * 60 * 1000;

export function createRuntime(deps: RuntimeDeps): Runtime {
  const { catalog, clock } = deps;
  const slots = new Map<string, Slot>();
  let closing = false;

  function slotOf(ref: PluginRef): Slot {
    const known = slots.get(ref.id);
    if (known && sameBytes(known.ref, ref)) return known;
    if (known?.process || known?.starting) {
      throw new SallyportError("conflict", `Another version of ${ref.id} is running.`, {
        fix: `Unload it first: sallyport plugin unload ${ref.id}`,
      });
    }
    const slot: Slot = { ref, crashes: [] };
    slots.set(ref.id, slot);
    return slot;
  }

  async function launch(slot: Slot, record: StoredPlugin, actor: string, signal: AbortSignal): Promise<PluginProcess> {
    let permit: LoadPermit;
    try {
      permit = await deps.permit(record);
    } catch (thrown) {
      throw await refused(deps, record, actor, toSallyportError(thrown));
    }
    const policySnapshot = deps.policySnapshot();
    const starting = await catalog.move(record, "starting", { actor, isolation: permit.level, policySnapshot });
    let process: PluginProcess;
    try {
      process = await deps.launcher.launch(deps.plan(starting, permit), signal);
    } catch (thrown) {
      const error = toSallyportError(thrown);
      if (catalog.current(record.ref)?.state === "starting") {
        await catalog.move(starting, "failed", {
          actor,
          reason: error.code,
          lastError: error.message,
          isolation: permit.level,
        });
      }
      throw error;
    }
    if (signal.aborted || catalog.current(record.ref)?.state !== "starting") {
      await process.kill("the plugin was stopped while it started");
      throw notRunning(record);
    }
    slot.process = process;
    void process.exited.then((exit) => {
      slot.ending = ended(slot, process, exit.expected ? null : exit.reason).finally(() => delete slot.ending);
    });
    await catalog.move(starting, "running", { actor, isolation: process.level, policySnapshot, lastError: null });
    return process;
  }

  async function start(record: StoredPlugin, actor: string): Promise<PluginProcess> {
    const slot = slotOf(record.ref);
    // A process that is dying has to be gone, and its end accounted for, before there can be another.
    if (slot.process && slot.process.state !== "running") await slot.process.exited;
    await slot.ending;
    if (slot.starting) return slot.starting;
    if (slot.process) return slot.process;
    if (actor !== HOST) slot.crashes = [];
    return begin(slot, catalog.current(record.ref) ?? record, actor);
  }

  function begin(slot: Slot, record: StoredPlugin, actor: string): Promise<PluginProcess> {
    if (closing) return Promise.reject(notRunning(record));
    const abort = new AbortController();
    slot.abort = abort;
    const starting = launch(slot, record, actor, abort.signal).finally(() => {
      delete slot.starting;
      delete slot.abort;
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
    const move: Move = { actor: HOST, reason: crash, lastError: crash, isolation: process.level };
    try {
      const unhealthy = await catalog.move(record, "unhealthy", move);
      if (slot.crashes.length >= CRASH_BUDGET) {
        await catalog.move(unhealthy, "failed", { ...move, reason: "crash_budget" });
      } else {
        // Whoever needs it joins this start; a refusal or failure has moved the plugin and told the audit.
        begin(slot, unhealthy, HOST).catch(() => undefined);
      }
    } catch {
      // An operator was faster: the plugin is stopped, disabled or revoked already.
    }
  }

  async function stop(record: StoredPlugin, to: PluginState, move: Move): Promise<StoredPlugin> {
    const slot = slots.get(record.ref.id);
    const mine = slot && sameBytes(slot.ref, record.ref) ? slot : undefined;
    mine?.abort?.abort();
    const process = mine?.process;
    if (mine) delete mine.process;
    const current = catalog.current(record.ref) ?? record;
    const level = process?.level;
    const stopping = to === "revoked" ? process?.kill("the plugin was revoked") : process?.stop(LIMITS.shutdownGraceMs);
    try {
      return await catalog.move(current, to, { isolation: level, ...move });
    } finally {
      await stopping;
      await mine?.starting?.catch(() => undefined);
      if (mine && !isLive(to)) slots.delete(record.ref.id);
    }
  }

  return {
    running: (plugin) => {
      const slot = slots.get(plugin.id);
      return slot?.process && sameBytes(slot.ref, plugin) && slot.process.state === "running"
        ? slot.process
        : undefined;
    },
    levelOf: (plugin) => slots.get(plugin.id)?.process?.level,
    start,
    async wake(plugin) {
      const record = catalog.current(plugin);
      const slot = slots.get(plugin.id);
      const slotted = slot && sameBytes(slot.ref, plugin) && (slot.starting ?? slot.ending) !== undefined;
      if (record && (slotted || record.state === "idle")) return start(record, HOST);
      throw notRunning({ ref: plugin });
    },
    stop,
    async close() {
      closing = true;
      const live = catalog.all().filter((record) => isLive(record.state));
      await Promise.all(live.map((record) => rest(record)));
    },
  };

  async function rest(record: StoredPlugin): Promise<void> {
    const slot = slots.get(record.ref.id);
    slot?.abort?.abort();
    await slot?.starting?.catch(() => undefined);
    const process = slot?.process;
    if (slot) delete slot.process;
    await process?.stop(LIMITS.shutdownGraceMs);
    const current = catalog.current(record.ref);
    if (current?.state === "running") await catalog.move(current, "idle", { actor: HOST, reason: "host_stopped" });
  }
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
  if (
    current &&
    lost &&
    current.state !== "validated" &&
    current.state !== "pending_approval" &&
    current.state !== "denied"
  ) {
    await deps.catalog.move(current, "validated", move);
  }
  return error;
}

function sameBytes(a: PluginRef, b: PluginRef): boolean {
  return a === b || (a.id === b.id && a.version === b.version && a.digest === b.digest);
}

function notRunning(record: { readonly ref: PluginRef }): SallyportError {
  return new SallyportError("plugin_not_running", `${record.ref.id} is not running.`, {
    fix: `Run: sallyport plugin load ${record.ref.id}`,
  });
}
