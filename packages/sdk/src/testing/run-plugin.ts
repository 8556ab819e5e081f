import type { CallId, EventsPublishParams, Json, LogParams, ProgressParams } from "../protocol/v1/index.ts";
import {
  type Binding,
  createContext,
  createFetch,
  createToolContext,
  createWebSocket,
  isSallyportError,
  loadPlugin,
  sallyportError,
  tellSubscribers,
} from "../runtime/index.ts";
import type { HookEvent } from "../plugin/index.ts";
import { asJson, createFakeHost, type RecordedRequest } from "./fake-host.ts";
import type { Fakes } from "./fakes.ts";

/** Options of a run, and the fakes of what the host grants. */
export interface RunOptions extends Fakes {
  /** As it would be after validation: schemas are not checked here. */
  readonly config?: Readonly<Record<string, Json>>;
  /** Names of the manifest's tools; given, the code must offer exactly these. `execute` answers no others. */
  readonly declaredTools?: readonly string[];
  readonly plugin?: { readonly id: string; readonly version: string };
}

export interface CallOptions {
  readonly agent?: string;
  /** Aborting it cancels the call: `ctx.signal` aborts. */
  readonly signal?: AbortSignal;
}

export interface RunningPlugin {
  /** Tools that the code offers. */
  readonly tools: readonly string[];
  /**
   * The tool's output, as JSON carries it.
   * @throws {SallyportError} `unknown_tool`, or `tool_failed` with what the tool threw as `cause`.
   */
  call(tool: string, input?: unknown, options?: CallOptions): Promise<unknown>;
  /** Lines of `ctx.log`. */
  readonly logs: readonly LogParams[];
  readonly progress: readonly ProgressParams[];
  /** Everything the plugin asked the host for, refused or not, in order. */
  readonly requests: readonly RecordedRequest[];
  /** Files and kv values as they are now. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly kv: ReadonlyMap<string, Json>;
  /** What it published, and the notes that it left. */
  readonly published: readonly Pick<EventsPublishParams, "topic" | "payload">[];
  readonly notes: readonly string[];
  /** Tells it of an event, as if another plugin had published it. Gives false when nothing subscribes to the topic. */
  emit(topic: string, payload?: Json, publisher?: { readonly id: string; readonly version: string }): Promise<boolean>;
  /** Calls a function of `hooks` and gives what it returns. @throws {SallyportError} `not_found`. */
  hook(name: string, event: HookEvent): Promise<unknown>;
  /** Runs `shutdown` and gives the globals `fetch` and `WebSocket` back. */
  close(): Promise<void>;
}

let open: RunningPlugin | undefined;

/**
 * Runs a plugin in a test, against fakes of what the host grants. `plugin` is the entry's default export. The code is the
 * runner's own, so loading, contexts, `fetch` and failures behave as in production; there is no sandbox, no schema and no
 * deadline. The globals `fetch` and `WebSocket` are the plugin's until `close()`; only one plugin runs at a time.
 * @throws {SallyportError} `load_failed`, `undeclared_tool`, `missing_tool`, `initialize_failed`.
 */
export async function runPlugin(plugin: unknown, options: RunOptions = {}): Promise<RunningPlugin> {
  if (open)
    throw sallyportError("conflict", "Another plugin runs in this test.", "Close it first: await running.close().");
  const { declaredTools } = options;
  const host = createFakeHost(options);
  const binding: Binding = {
    plugin: options.plugin ?? { id: "plugin", version: "0.0.0" },
    config: asJson(options.config ?? {}),
    subscriptions: new Map(),
    secrets: Object.fromEntries((options.secrets ?? []).map((name) => [name, `sallyport-secret-${name}-test`])),
  };
  const outside = { id: null, signal: new AbortController().signal };
  const inFlight = new Set<CallId>();
  const { fetch: realFetch, WebSocket: realWebSocket } = globalThis;
  let lastCall = 0;

  const loaded = await loadPlugin(plugin, declaredTools ?? []).catch((thrown: unknown) => {
    throw failure("load_failed", thrown);
  });
  const tools = [...loaded.tools.keys()];
  if (declaredTools) compare(tools, declaredTools);

  const restore = (): void => {
    globalThis.fetch = realFetch;
    Object.assign(globalThis, { WebSocket: realWebSocket });
    open = undefined;
  };

  const running: RunningPlugin = {
    tools,
    logs: host.logs,
    progress: host.progress,
    requests: host.requests,
    files: host.files,
    kv: host.kv,
    published: host.published,
    notes: host.notes,
    async emit(topic, payload = null, publisher = { id: "other", version: "1.0.0" }) {
      const owner = { id: `event_${++lastCall}`, signal: new AbortController().signal };
      const params = { call_id: owner.id, id: owner.id, topic, publisher, time_ms: 0, timeout_ms: 1000, agent: "test" };
      return tellSubscribers(
        binding.subscriptions,
        { ...params, payload: asJson(payload) },
        createContext(host, binding, owner),
      );
    },
    async hook(name, event) {
      const hook = loaded.hooks.get(name);
      if (!hook) throw sallyportError("not_found", `The plugin has no hook "${name}".`);
      const owner = { id: `hook_${++lastCall}`, signal: new AbortController().signal };
      return hook(asJson(event), createContext(host, binding, owner));
    },
    async call(name, input = {}, { agent = "test", signal } = {}) {
      const tool = loaded.tools.get(name);
      if (!tool)
        throw sallyportError("unknown_tool", `The plugin has no tool "${name}".`, `It has: ${tools.join(", ")}.`);
      const owner = { id: `call_${++lastCall}`, tool: name, agent, signal: signal ?? new AbortController().signal };
      inFlight.add(owner.id);
      try {
        return asJson(tool.output(await tool.run(asJson(input), createToolContext(host, binding, owner))));
      } catch (thrown) {
        throw failure("tool_failed", thrown);
      } finally {
        inFlight.delete(owner.id);
      }
    },
    async close() {
      try {
        await loaded.shutdown(createContext(host, binding, outside));
      } finally {
        restore();
      }
    },
  };

  open = running;
  /* In production async context tells which call a request belongs to; here nothing depends on it but the record. */
  const current = (): CallId => {
    const [only = null] = inFlight;
    if (only === null)
      throw sallyportError("permission_denied", "This runs outside a tool call, where the host serves no requests.");
    return inFlight.size === 1 ? only : null;
  };
  globalThis.fetch = createFetch(host, current);
  Object.assign(globalThis, { WebSocket: createWebSocket(host, current) });
  try {
    inFlight.add("initialize");
    const { ok, returned } = await loaded.initialize(
      binding.config,
      createContext(host, binding, { ...outside, id: "initialize" }),
    );
    if (!ok)
      throw new Error(`initialize() returned ${String(returned)}; it must return true when the plugin is ready.`);
  } catch (thrown) {
    restore();
    throw failure("initialize_failed", thrown);
  } finally {
    inFlight.delete("initialize");
  }
  return running;
}

function compare(offered: readonly string[], declared: readonly string[]): void {
  const extra = offered.find((name) => !declared.includes(name));
  if (extra !== undefined)
    throw sallyportError("undeclared_tool", `The code offers a tool "${extra}" that the manifest does not declare.`);
  const lacking = declared.find((name) => !offered.includes(name));
  if (lacking !== undefined)
    throw sallyportError("missing_tool", `The code lacks the tool "${lacking}" that the manifest declares.`);
}

function failure(code: string, thrown: unknown): Error {
  if (isSallyportError(thrown) && thrown.code === code) return thrown;
  const message = thrown instanceof Error ? thrown.message || thrown.name : String(thrown);
  return Object.assign(sallyportError(code, message), { cause: thrown });
}
