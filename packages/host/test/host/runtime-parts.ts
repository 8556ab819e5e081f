import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AuditLog, openAuditLog, type StoredAuditEvent } from "../../src/audit/index.ts";
import { type Catalog, type LoadPermit, openCatalog } from "../../src/catalog/index.ts";
import { createRuntime, type Runtime, type RuntimeSettings } from "../../src/host/runtime.ts";
import { SallyportError, systemClock, type PluginState } from "../../src/kernel/index.ts";
import { readManifest } from "../../src/manifest/index.ts";
import type { Timers } from "../../src/rpc/index.ts";
import { loadOrCreateSigningKey, openDatabase, type StoredPlugin } from "../../src/store/index.ts";
import type { LaunchPlan, PluginProcess, ProcessExit, ProcessState } from "../../src/supervisor/index.ts";
import { manifestOf, toolLine } from "../support/home.ts";

/** A promise and the way to settle it: a test decides when something happens. */
export function gate<T = void>(): { promise: Promise<T>; open: (value: T) => void; fail: (error: unknown) => void } {
  let open!: (value: T) => void;
  let fail!: (error: unknown) => void;
  const promise = new Promise<T>((yes, no) => {
    open = yes;
    fail = no;
  });
  promise.catch(() => undefined);
  return { promise, open, fail };
}

/** A process that ends when it is told to, or when the test says so; its way out can be held open. */
export interface FakeProcess extends PluginProcess {
  crash(reason: string): void;
  busy: boolean;
  served: number;
  /** Answers pings again, or no longer. */
  answers(now: boolean): void;
  /** Keeps a stopped process there until the gate is opened. */
  linger: ReturnType<typeof gate<void>> | undefined;
}

function fakeProcess(): FakeProcess {
  let state: ProcessState = "running";
  let responsive = true;
  let listener: (responsive: boolean) => void = () => undefined;
  const exit = gate<ProcessExit>();
  async function end(): Promise<void> {
    if (state === "running") state = "stopping";
    await process.linger?.promise;
    state = "gone";
    exit.open({ expected: true, code: null, signal: "SIGKILL", reason: "stopped" });
    await exit.promise;
  }
  const process: FakeProcess = {
    level: "namespace",
    pid: 0,
    get state() {
      return state;
    },
    busy: false,
    served: 0,
    get responsive() {
      return responsive;
    },
    onHealth: (told) => (listener = told),
    answers(now) {
      responsive = now;
      listener(now);
    },
    exited: exit.promise,
    linger: undefined,
    call: () => Promise.reject(new SallyportError("busy", "No calls in this test.")),
    stop: end,
    kill: end,
    crash(reason) {
      process.busy = false;
      state = "gone";
      exit.open({ expected: false, code: 1, signal: null, reason });
    },
  };
  return process;
}

/** Timers that ring when a test says so. */
export interface TestTimers extends Timers {
  /** Passes time: rings everything that is due until then, in order. */
  pass(milliseconds: number): void;
  readonly now: number;
}

function testTimers(): TestTimers {
  const waiting = new Map<symbol, { at: number; callback: () => void }>();
  let now = 0;
  return {
    set(callback, milliseconds) {
      const key = Symbol("timer");
      waiting.set(key, { at: now + milliseconds, callback });
      return () => void waiting.delete(key);
    },
    pass(milliseconds) {
      const end = now + milliseconds;
      for (;;) {
        const [next] = [...waiting].filter(([, { at }]) => at <= end).toSorted(([, a], [, b]) => a.at - b.at);
        if (!next) break;
        waiting.delete(next[0]);
        now = next[1].at;
        next[1].callback();
      }
      now = end;
    },
    get now() {
      return now;
    },
  };
}

export interface RuntimeBench {
  readonly timers: TestTimers;
  settings: RuntimeSettings;
  readonly catalog: Catalog;
  readonly runtime: Runtime;
  readonly audit: AuditLog;
  /** Everything that was launched, oldest first. */
  readonly launched: FakeProcess[];
  /** Awaited by the gates of a load and by a launch; replaced by a test that wants to be in between. */
  onPermit: () => Promise<void>;
  onLaunch: (process: FakeProcess, signal: AbortSignal | undefined) => Promise<void>;
  /** From now on each commit of a move to this state fails, as if the disk were full. */
  failMovesTo: PluginState | undefined;
  record(version?: string): Promise<StoredPlugin>;
  state(record: StoredPlugin): PluginState | undefined;
  edges(): Promise<readonly string[]>;
  /** The processes that are still there. */
  alive(): readonly FakeProcess[];
  remove(): Promise<void>;
}

/** A runtime over a real catalog, store and audit, with processes that a test can hold at any point. */
export async function makeRuntime(): Promise<RuntimeBench> {
  const folder = await mkdtemp(join(tmpdir(), "sallyport-runtime-"));
  const db = await openDatabase({ path: join(folder, "state.db"), clock: systemClock });
  const signingKey = await loadOrCreateSigningKey(join(folder, "keys", "audit.pem"));
  const audit = await openAuditLog({ database: db, clock: systemClock, signingKey });
  const failing: AuditLog = Object.create(audit, {
    commit: {
      value: (...[statements, events]: Parameters<AuditLog["commit"]>) =>
        events.some((event) => event.to !== undefined && event.to === bench.failMovesTo)
          ? Promise.reject(new SallyportError("audit_unavailable", "No room."))
          : audit.commit(statements, events),
    },
  });
  const catalog = await openCatalog(db, failing, systemClock);
  const launched: FakeProcess[] = [];
  const timers = testTimers();
  const runtime = createRuntime({
    catalog,
    clock: { now: () => Date.now(), monotonic: () => timers.now },
    timers,
    settings: () => bench.settings,
    clean: (error) =>
      new SallyportError(error.code, error.message, {
        ...(error.detail === undefined ? {} : { detail: error.detail.replaceAll("hunter2", "[secret]") }),
        data: error.data,
      }),
    policySnapshot: () => "sha256:test",
    async permit(): Promise<LoadPermit> {
      await bench.onPermit();
      return { level: "namespace", config: {}, grant };
    },
    plan: () => plan,
    launcher: {
      async launch(_plan, signal) {
        const process = fakeProcess();
        launched.push(process);
        try {
          await bench.onLaunch(process, signal);
        } catch (error) {
          await process.kill("it did not start");
          throw error;
        }
        return process;
      },
    },
  });
  const bench: RuntimeBench = {
    timers,
    settings: { perAgent: false, processes: 2, idleAfterMs: 40_000, drainMs: 5_000 },
    catalog,
    runtime,
    audit,
    launched,
    onPermit: () => Promise.resolve(),
    onLaunch: () => Promise.resolve(),
    failMovesTo: undefined,
    record: (version = "1.0.0") => addApproved(catalog, version),
    state: (record) => catalog.current(record.ref)?.state,
    async edges() {
      const events: readonly StoredAuditEvent[] = await audit.query({ type: "plugin.lifecycle", order: "asc" });
      return events.flatMap((event) => (event.from === undefined ? [] : [`${event.from}→${event.to ?? ""}`]));
    },
    alive: () => launched.filter((process) => process.state !== "gone"),
    async remove() {
      await audit.close();
      await db.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return bench;
}

const grant = {
  id: "grt_test",
  pluginId: "t",
  version: "1.0.0",
  manifestDigest: "sha256:m",
  treeDigest: "sha256:t",
  scopes: [],
  grantedBy: "tester",
  grantedAt: 0,
};

const plan: LaunchPlan = {
  view: { ref: { id: "t", version: "1.0.0", digest: "sha256:t" }, tools: [], scopes: [], config: {}, secrets: {} },
  level: "namespace",
  root: "/nowhere",
  bundle: "bundle.mjs",
  limits: { memoryMb: 64, concurrency: 1 },
  broker: {
    handle: () => Promise.resolve(null),
    notify: () => undefined,
    endCall: () => undefined,
    close: () => undefined,
  },
};

async function addApproved(catalog: Catalog, version: string): Promise<StoredPlugin> {
  const bytes = Buffer.from(manifestOf("t", [toolLine("look")]).replace("1.0.0", version));
  const { manifest, digest } = readManifest({ name: "plugin.yml", bytes });
  const record: StoredPlugin = {
    ref: { id: "t", version, digest: `sha256:${version}` },
    manifest,
    manifestDigest: digest,
    codeDigest: "sha256:code",
    source: "directory:/nowhere",
    root: "/nowhere",
    bundle: "bundle.mjs",
    defaults: {},
    state: "discovered",
    active: catalog.find("t") === undefined,
    installedAt: 1,
    lastError: null,
    executionCount: 0,
    errorCount: 0,
  };
  return catalog.add(record, ["validated", "pending_approval", "approved"], { actor: "operator:tester" });
}
