import type { AuditEvent, AuditLog } from "../audit/index.ts";
import {
  type Clock,
  isContained,
  type IsolationLevel,
  newId,
  type PluginRef,
  type PluginState,
  SallyportError,
} from "../kernel/index.ts";
import {
  activatePlugin,
  amendPlugin,
  type Database,
  deletePlugin,
  insertPlugin,
  listPlugins,
  movePlugin,
  type Statement,
  type StoredPlugin,
} from "../store/index.ts";
import { assertLegalEdge, isLive } from "./lifecycle.ts";
import { createTurns } from "./turns.ts";

/** Why a plugin moves, and what moves with it in the same transaction. */
export interface Move {
  readonly actor: string;
  readonly reason?: string | undefined;
  readonly lastError?: string | null | undefined;
  readonly isolation?: IsolationLevel | undefined;
  readonly policySnapshot?: string | undefined;
  readonly statements?: readonly Statement[] | undefined;
  readonly events?: readonly AuditEvent[] | undefined;
}

/** The installed plugins of a home. What it says is what the store says: every change is durable before it shows. */
export interface Catalog {
  /** Every version of every plugin. */
  all(): readonly StoredPlugin[];
  /** The active version of an id; without one, the version that was installed last. */
  find(id: string): StoredPlugin | undefined;
  /** @throws {SallyportError} `not_found`. */
  get(id: string, version?: string): StoredPlugin;
  versions(id: string): readonly StoredPlugin[];
  current(ref: PluginRef): StoredPlugin | undefined;
  /** Registers a version, through each of the given states: one edge, one event. */
  add(record: StoredPlugin, states: readonly PluginState[], move: Move): Promise<StoredPlugin>;
  /** @throws {SallyportError} `illegal_transition`; `conflict` when another change came first. */
  move(record: StoredPlugin, to: PluginState, move: Move): Promise<StoredPlugin>;
  activate(record: StoredPlugin): Promise<StoredPlugin>;
  /** Replaces what is known of who made these bytes: evidence, publisher and seal; with `events`, in the same transaction. */
  amend(record: StoredPlugin, events: readonly AuditEvent[], statements?: readonly Statement[]): Promise<StoredPlugin>;
  /** @throws {SallyportError} `conflict` for a live one: its process would be nobody's. */
  remove(record: StoredPlugin, move: Move): Promise<void>;
  /** An attempt that changed no state: a load that a gate refused. */
  refused(record: StoredPlugin, move: Move): Promise<void>;
  /** A call failed; shown as the plugin's last error. */
  failed(ref: PluginRef, failure: string): void;
  /** Told of each version that changed, came (`before` is absent) or went (`now` is). */
  onChange(listener: (before: StoredPlugin | undefined, now: StoredPlugin | undefined) => void): () => void;
}

export async function openCatalog(db: Database, audit: AuditLog, clock: Clock): Promise<Catalog> {
  const records = createRecords(await listPlugins(db));
  const listeners = new Set<Parameters<Catalog["onChange"]>[0]>();

  function put(record: StoredPlugin): StoredPlugin {
    const before = records.get(record.ref);
    records.set(record);
    changed(before, record);
    return record;
  }

  function changed(before: StoredPlugin | undefined, now: StoredPlugin | undefined): void {
    for (const listener of listeners) listener(before, now);
  }

  function find(id: string): StoredPlugin | undefined {
    const all = records.versions(id);
    return all.find((record) => record.active) ?? all.toSorted((a, b) => b.installedAt - a.installedAt)[0];
  }

  /** Changes of one plugin take turns, so that each sees the state that the one before left. */
  const inTurn = createTurns();

  return {
    all: records.all,
    find,
    versions: records.versions,
    current: records.get,
    get(id, version) {
      const record =
        version === undefined ? find(id) : records.versions(id).find((candidate) => candidate.ref.version === version);
      if (record) return record;
      throw new SallyportError(
        "not_found",
        `There is no plugin "${id}"${version === undefined ? "" : ` ${version}`} here.`,
        {
          fix: "List what is installed: sallyport plugin list",
        },
      );
    },
    add: (record, states, move) =>
      inTurn(`${record.ref.id}\n${keyOf(record.ref)}`, async () => {
        const last = states.at(-1) ?? record.state;
        const edges = [record.state, ...states];
        for (let index = 1; index < edges.length; index++) {
          assertLegalEdge(record.ref.id, edges[index - 1] ?? record.state, edges[index] ?? last);
        }
        const [discovered, ...later] = edges.map((to, index) =>
          lifecycleEvent(clock, record.ref, edges[index - 1], to, move),
        );
        // Where it came from, for whoever has nothing but an export.
        const events = discovered ? [{ ...discovered, data: { source: record.source } }, ...later] : later;
        const stored = { ...record, state: last };
        await audit.commit([insertPlugin(stored), ...(move.statements ?? [])], [...events, ...(move.events ?? [])]);
        return put(stored);
      }),
    move: (record, to, move) =>
      inTurn(`${record.ref.id}\n${keyOf(record.ref)}`, async () => {
        const now = records.get(record.ref);
        if (!now) throw uninstalled(record);
        assertLegalEdge(record.ref.id, now.state, to);
        const edge = {
          from: now.state,
          to,
          at: clock.now(),
          ...(move.lastError === undefined ? {} : { lastError: move.lastError }),
        };
        await audit.commit(
          [movePlugin(record.ref, edge), ...(move.statements ?? [])],
          [lifecycleEvent(clock, record.ref, now.state, to, move), ...(move.events ?? [])],
        );
        const latest = records.get(record.ref) ?? now;
        return put({
          ...latest,
          state: to,
          lastError: move.lastError === undefined ? latest.lastError : move.lastError,
        });
      }),
    async activate(record) {
      await db.atomically(activatePlugin(record.ref, clock.now()));
      for (const other of records.versions(record.ref.id)) {
        if (other.active && keyOf(other.ref) !== keyOf(record.ref)) put({ ...other, active: false });
      }
      return put({ ...(records.get(record.ref) ?? record), active: true });
    },
    amend: ({ ref, publisherKey, signature, provenance, seal }, events, statements = []) =>
      inTurn(`${ref.id}\n${keyOf(ref)}`, async () => {
        const now = records.get(ref);
        if (!now) throw new SallyportError("not_found", `${ref.id} ${ref.version} was uninstalled.`);
        const amended = { ...now, publisherKey, signature, provenance, seal };
        await audit.commit([amendPlugin(amended, clock.now()), ...statements], events);
        return put(amended);
      }),
    remove: (record, move) =>
      inTurn(`${record.ref.id}\n${keyOf(record.ref)}`, async () => {
        const now = records.get(record.ref);
        if (!now) throw uninstalled(record);
        if (isLive(now.state)) {
          throw new SallyportError("conflict", `${record.ref.id} ${record.ref.version} was loaded meanwhile.`, {
            fix: `Run: sallyport plugin unload ${record.ref.id}`,
          });
        }
        const event = lifecycleEvent(clock, record.ref, now.state, "uninstalled", move);
        await audit.commit([deletePlugin(record.ref), ...(move.statements ?? [])], [event, ...(move.events ?? [])]);
        records.delete(record.ref);
        changed(now, undefined);
      }),
    refused: (record, move) =>
      audit.record({ ...lifecycleEvent(clock, record.ref, record.state, record.state, move), decision: "deny" }),
    failed(ref, failure) {
      const record = records.get(ref);
      if (record) records.set({ ...record, lastError: failure });
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

function uninstalled({ ref }: StoredPlugin): SallyportError {
  return new SallyportError("not_found", `${ref.id} ${ref.version} was uninstalled.`, {
    fix: "List what is installed: sallyport plugin list",
  });
}

/** Records by id, then by their bytes: looking up one of ten thousand plugins must not walk past the others. */
function createRecords(initial: readonly StoredPlugin[]) {
  const byId = new Map<string, readonly StoredPlugin[]>();
  const versions = (id: string): readonly StoredPlugin[] => byId.get(id) ?? [];
  const set = (record: StoredPlugin): void => {
    const known = versions(record.ref.id);
    const at = known.findIndex(({ ref }) => isSame(ref, record.ref));
    byId.set(record.ref.id, at === -1 ? [...known, record] : known.with(at, record));
  };
  for (const record of initial) set(record);
  return {
    set,
    get: (ref: PluginRef): StoredPlugin | undefined => versions(ref.id).find((record) => isSame(record.ref, ref)),
    versions,
    all: (): readonly StoredPlugin[] => [...byId.values()].flat(),
    delete(ref: PluginRef): void {
      const left = versions(ref.id).filter((record) => !isSame(record.ref, ref));
      if (left.length > 0) byId.set(ref.id, left);
      else byId.delete(ref.id);
    },
  };
}

function isSame(a: PluginRef, b: PluginRef): boolean {
  return a.version === b.version && a.digest === b.digest;
}

function keyOf(ref: PluginRef): string {
  return `${ref.version}\n${ref.digest}`;
}

function lifecycleEvent(clock: Clock, plugin: PluginRef, from: string | undefined, to: string, move: Move): AuditEvent {
  return {
    v: 1,
    id: newId("evt"),
    time: clock.now(),
    type: "plugin.lifecycle",
    actor: move.actor,
    plugin,
    to,
    ...(from === undefined ? {} : { from }),
    ...(move.reason === undefined ? {} : { reason: move.reason }),
    ...(move.isolation === undefined ? {} : { isolation: move.isolation, contained: isContained(move.isolation) }),
    ...(move.policySnapshot === undefined ? {} : { policy_snapshot: move.policySnapshot }),
  };
}
