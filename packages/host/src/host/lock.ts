import { join } from "node:path";
import type { AuditLog } from "../audit/index.ts";
import { type Catalog, createTurns } from "../catalog/index.ts";
import { openLockFile } from "../home/index.ts";
import type { LockView, Operator } from "../host-api.ts";
import { type Clock, PolicyViolationError, sha256, toSallyportError } from "../kernel/index.ts";
import {
  type Lock,
  LOCK_BYTES,
  LOCK_FILE,
  lockDifferences,
  type LockEntry,
  lockKey,
  readLock,
  writeLock,
} from "../registry/index.ts";
import { type Database, deleteSetting, saveSetting, type SettingsStore, type StoredPlugin } from "../store/index.ts";
import { checkSeal, type SealKeys, sealOf } from "../trust/index.ts";
import { lockEntryOf, lockMismatch } from "./lock-entry.ts";
import { actorOf, eventOf } from "./plugins-deps.ts";

/** The home's `plugin.lock.json`: what may be loaded here, outside the database that says it too. */
export interface HomeLock {
  /** The catalog, with the lock kept in step: both change or neither. */
  readonly catalog: Catalog;
  /** Gate 6. @throws {PolicyViolationError} `lock_mismatch` with `data.field`, `expected` and `actual`. */
  check(record: StoredPlugin): Promise<void>;
  entries(): readonly LockEntry[];
  view(): Promise<LockView>;
  /** Writes it anew from the catalog: the operator's word that what is installed is what should be. */
  restore(operator: Operator): Promise<LockView>;
}

export interface LockSources {
  readonly catalog: Catalog;
  readonly db: Database;
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly settings: SettingsStore;
  readonly home: string;
  readonly sealKeys: SealKeys | undefined;
}

/** Set once this host wrote a lock: from then on a missing one was deleted. */
const WRITTEN = "lock.written";
/** A change that the store has and the file may not have yet: digests of the file's content before and after. */
const PENDING = "lock.pending";
const RESTORE = "Find out who changed it, then run: sallyport plugin lock --restore";

/** What the file is, compared with what this host would write. */
interface Found {
  readonly lock: Lock | undefined;
  readonly ours: boolean;
  readonly digest: string;
}

export async function openHomeLock(sources: LockSources): Promise<HomeLock> {
  const { catalog, db, settings, sealKeys } = sources;
  const file = openLockFile(join(sources.home, LOCK_FILE), { mode: 0o600, mostBytes: LOCK_BYTES });
  const inTurn = createTurns();
  let written = (await settings.get(WRITTEN)) !== null;
  let parsed: { readonly text: string; readonly lock: Lock } | undefined;

  const entries = (records: readonly StoredPlugin[] = catalog.all()): readonly LockEntry[] => records.map(lockEntryOf);

  async function readFile(): Promise<Lock | undefined> {
    const text = await file.read();
    if (text === undefined) return undefined;
    if (parsed?.text !== text) parsed = { text, lock: readLock(text) };
    return parsed.lock;
  }

  const isSealed = (lock: Lock): boolean =>
    sealKeys
      ? checkSeal("lock", sealed(Object.values(lock.plugins)), lock.seal, sealKeys) !== undefined
      : lock.seal === undefined;

  /** Sealed like the lock: whoever edits the database must not have the lock rewritten after it. */
  const pendingOf = (before: string, after: string): string =>
    `${before} ${after}${sealKeys ? ` ${sealOf("lock", { before, after }, sealKeys.current)}` : ""}`;

  const isPending = (text: string | null, before: string, after: string): boolean =>
    sealKeys
      ? text?.startsWith(`${before} ${after} `) === true &&
        checkSeal("lock", { before, after }, text.slice(before.length + after.length + 2), sealKeys) !== undefined
      : text === `${before} ${after}`;

  /** Finishes a change that a crash cut in two: the store has it and the file is still what it was before. */
  async function find(): Promise<Found> {
    const lock = await readFile();
    const digest = lock ? digestOf(Object.values(lock.plugins)) : "";
    const wanted = digestOf(entries());
    if (lock ? digest === wanted && isSealed(lock) : !written && catalog.all().length === 0)
      return { lock, ours: true, digest };
    if (!isPending(await settings.get(PENDING), digest, wanted) || (lock && !isSealed(lock)))
      return { lock, ours: false, digest };
    await write(entries(), (staged) => staged());
    return { lock: await readFile(), ours: true, digest: wanted };
  }

  /** The next file is on disk before `change` is, and in its place right after. */
  async function write<T>(all: readonly LockEntry[], change: (commit: () => Promise<void>) => Promise<T>): Promise<T> {
    const seal = sealKeys && sealOf("lock", sealed(all), sealKeys.current);
    const staged = await file.stage(writeLock(all, seal));
    try {
      return await change(async () => {
        await staged.commit();
        written = true;
        await db.atomically([saveSetting(WRITTEN, "1"), deleteSetting(PENDING)]);
      });
    } finally {
      await staged.discard();
    }
  }

  /** One change of the store and of the file. A file that somebody else wrote is left as it is, for people to look at. */
  function keep<T>(
    next: () => readonly StoredPlugin[],
    covered: ((lock: Lock) => void) | undefined,
    commit: (statements: readonly ReturnType<typeof saveSetting>[]) => Promise<T>,
  ): Promise<T> {
    return inTurn("lock", async () => {
      const found = await find().catch((error: unknown) => {
        if (covered) throw error;
        return undefined;
      });
      if (!found?.ours) {
        // What takes a plugin away, or says more about one, needs no lock to be in order.
        if (covered && !found?.lock) throw missing();
        if (found?.lock) covered?.(found.lock);
        return commit([]);
      }
      const all = entries(next());
      const wanted = digestOf(all);
      if (found.lock && wanted === found.digest) return commit([]);
      return write(all, async (replace) => {
        const result = await commit([saveSetting(PENDING, pendingOf(found.digest, wanted)), saveSetting(WRITTEN, "1")]);
        await replace();
        return result;
      });
    });
  }

  function assertPinned(lock: Lock, record: StoredPlugin): void {
    if (!isSealed(lock)) throw unsealed(lock, sealKeys);
    const actual = lockEntryOf(record);
    const pinned = lock.plugins[lockKey(actual)];
    if (!pinned)
      throw lockMismatch(
        actual,
        { field: "entry", expected: pinnedVersions(lock, actual.id), actual: actual.version },
        RESTORE,
      );
    const [first] = lockDifferences(pinned, actual);
    if (first) throw lockMismatch(actual, first, RESTORE);
  }

  const without = (record: StoredPlugin): readonly StoredPlugin[] =>
    catalog
      .all()
      .filter(
        ({ ref }) => ref.id !== record.ref.id || ref.version !== record.ref.version || ref.digest !== record.ref.digest,
      );

  async function view(): Promise<LockView> {
    try {
      const found = await find();
      const differences = differencesOf(found.lock, entries());
      const state = found.ours ? "intact" : found.lock ? "changed" : "missing";
      return { file: LOCK_FILE, state, sealed: sealKeys !== undefined, plugins: entries().length, differences };
    } catch (error) {
      const { message, detail } = toSallyportError(error);
      const difference = {
        plugin: "",
        field: "file",
        expected: "a lock that this host wrote",
        actual: detail ?? message,
      };
      return {
        file: LOCK_FILE,
        state: "changed",
        sealed: sealKeys !== undefined,
        plugins: entries().length,
        differences: [difference],
      };
    }
  }

  // What was installed before there was a lock is what this host knows; nobody else can say better.
  await inTurn("lock", async () => {
    // To compare ten thousand plugins takes its time; a load compares its own.
    if (written && (await settings.get(PENDING)) === null) return;
    const found = await find().catch(() => undefined);
    const first = found && !found.ours && !found.lock && !written;
    if (first) await write(entries(), (replace) => replace());
    else if (found?.ours && found.lock && !written) await settings.set(WRITTEN, "1");
  });

  return {
    entries,
    view: () => inTurn("lock", view),
    catalog: {
      ...catalog,
      add: (record, states, move) =>
        keep(
          () => [...catalog.all(), record],
          (lock) => assertPinned(lock, record),
          (more) => catalog.add(record, states, { ...move, statements: [...(move.statements ?? []), ...more] }),
        ),
      amend: (record, events) =>
        keep(
          () => [...without(record), record],
          undefined,
          (more) => catalog.amend(record, events, more),
        ),
      remove: (record, move) =>
        keep(
          () => without(record),
          undefined,
          (more) => catalog.remove(record, { ...move, statements: [...(move.statements ?? []), ...more] }),
        ),
    },
    async check(record) {
      const lock = await readFile();
      if (lock) return assertPinned(lock, record);
      throw missing();
    },
    restore: (operator) =>
      inTurn("lock", async () => {
        const before = await view();
        await write(entries(), async (replace) => {
          await sources.audit.record(
            eventOf(sources.clock, "lock.restored", actorOf(operator), {
              data: { was: before.state, differences: before.differences.slice(0, 20) },
            }),
          );
          await replace();
        });
        return view();
      }),
  };
}

/** Of the content alone, without the seal: the same for two keys. */
function digestOf(all: readonly LockEntry[]): string {
  return sha256(writeLock(all));
}

function sealed(all: readonly LockEntry[]): unknown {
  return { lock_version: 1, plugins: Object.fromEntries(all.map((own) => [lockKey(own), own])) };
}

function pinnedVersions(lock: Lock, id: string): string {
  const versions = Object.values(lock.plugins).filter((own) => own.id === id);
  return versions.length === 0 ? "no such plugin" : versions.map(({ version }) => version).join(", ");
}

function differencesOf(lock: Lock | undefined, actual: readonly LockEntry[]): LockView["differences"] {
  const pinned = lock?.plugins ?? {};
  const there = new Map(actual.map((own) => [lockKey(own), own]));
  return [
    ...Object.entries(pinned).flatMap(([key, own]) => {
      const found = there.get(key);
      return found
        ? lockDifferences(own, found).map((difference) => ({ plugin: key, ...difference }))
        : [{ plugin: key, field: "entry", expected: own.integrity, actual: "not installed" }];
    }),
    ...actual
      .filter((own) => pinned[lockKey(own)] === undefined)
      .map((own) => ({ plugin: lockKey(own), field: "entry", expected: "not in the lock", actual: own.integrity })),
  ];
}

function missing(): PolicyViolationError {
  return new PolicyViolationError("lock_mismatch", `${LOCK_FILE} of this home is gone.`, {
    detail: `Expected the ${LOCK_FILE} that this host wrote, found no file. Without it nothing is pinned, so nothing is loaded.`,
    fix: RESTORE,
    data: { file: LOCK_FILE, field: "file", expected: "the file that this host wrote", actual: "no file" },
  });
}

function unsealed(lock: Lock, sealKeys: SealKeys | undefined): PolicyViolationError {
  if (!sealKeys) {
    return new PolicyViolationError("lock_mismatch", `${LOCK_FILE} of this home is sealed.`, {
      detail: "This owner was started without PLUGIN_SECRET_KEY, so nothing shows whether somebody edited it.",
      fix: "Stop the owner and start it with PLUGIN_SECRET_KEY. If the key is lost, run: sallyport plugin lock --restore",
      data: { file: LOCK_FILE, field: "seal", expected: "no seal, or PLUGIN_SECRET_KEY", actual: "a seal" },
    });
  }
  const actual = lock.seal === undefined ? "no seal" : "a seal that does not fit, or is by another key";
  return new PolicyViolationError("lock_mismatch", `${LOCK_FILE} of this home is not as this host sealed it.`, {
    detail: `Expected the seal of PLUGIN_SECRET_KEY, found ${actual}.`,
    fix: "If you set or changed PLUGIN_SECRET_KEY, run: sallyport key reseal. Else find out who edited it, then run: sallyport plugin lock --restore",
    data: { file: LOCK_FILE, field: "seal", expected: "the seal of this host", actual },
  });
}
