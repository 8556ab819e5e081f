import {
  type BindParams,
  type CallParams,
  type CancelParams,
  type EventParams,
  type HelloParams,
  type HookParams,
  type InitializeParams,
  RPC_ERRORS,
} from "@sallyport/sdk/protocol/v1";
import {
  type Binding,
  createContext,
  createToolContext,
  type LoadedPlugin,
  loadPlugin,
  tellSubscribers,
} from "@sallyport/sdk/runtime";
import { Call, type Calls } from "./calls.ts";
import type { LogSink } from "./console.ts";
import { answerHello } from "./handshake.ts";
import type { HostMessage, Peer } from "./peer.ts";
import type { Places } from "./places.ts";

interface Bound {
  readonly plugin: LoadedPlugin;
  readonly binding: Binding;
}

export interface SessionDeps {
  readonly peer: Peer;
  readonly calls: Calls;
  readonly log: LogSink;
  readonly places: Places;
  /** Imports a module by URL. */
  readonly load: (url: string) => Promise<unknown>;
  /** Runs between handshake and the first line of plugin code. */
  readonly prepare: () => void;
  /** Ends the process; what was written before arrives. */
  readonly exit: (code: number) => void;
}

/* The host holds the runner, not the other way round: its lines are taken as the protocol says they are. */

/** Answers the host's lines: `hello` first and once, then `bind` once, then the rest. */
export function createSession(deps: SessionDeps): (message: HostMessage) => void {
  const { peer, calls, log, places } = deps;
  let greeted = false;
  let bound: Bound | undefined;
  let initialized = false;

  const hello = async (id: number, params: HelloParams): Promise<void> => {
    greeted = true;
    peer.answer(id, await answerHello(params));
  };

  const bind = async (id: number, params: BindParams): Promise<void> => {
    deps.prepare();
    places.bundle(params.bundle);
    try {
      const module: unknown = await deps.load(params.bundle);
      const exported: unknown =
        typeof module === "object" && module !== null ? Reflect.get(module, "default") : undefined;
      const plugin = await loadPlugin(exported, params.tools);
      const { config, secrets } = params;
      bound = { plugin, binding: { plugin: params.plugin, config, secrets, subscriptions: new Map() } };
      peer.answer(id, { tools: [...plugin.tools.keys()], hooks: [...plugin.hooks.keys()] });
    } catch (thrown) {
      peer.fail(id, "load_failed", explain(thrown));
    }
  };

  const initialize = async (id: number, { plugin, binding }: Bound, params: InitializeParams): Promise<void> => {
    const owner = { id: params.call_id ?? null, signal: new AbortController().signal, over: false };
    try {
      const { ok, returned } = await calls.enter(owner, () =>
        plugin.initialize(binding.config, createContext(peer, binding, owner)),
      );
      if (!ok) log("error", `initialize() returned ${String(returned)}; it must return true when the plugin is ready.`);
      peer.answer(id, { ok });
    } catch (thrown) {
      peer.fail(id, "initialize_failed", explain(thrown));
    } finally {
      owner.over = true;
    }
  };

  const call = (id: number, { plugin, binding }: Bound, params: CallParams): void => {
    const tool = plugin.tools.get(params.tool);
    if (!tool) return peer.fail(id, "tool_failed", `This plugin's code has no tool "${params.tool}".`);
    const owner = new Call(params.call_id, params.tool, params.agent);
    const succeed = (answer: unknown): void => {
      let output: unknown;
      try {
        output = tool.output(answer);
      } catch (thrown) {
        return fail(thrown);
      }
      calls.end(owner);
      try {
        peer.answer(id, { output: output ?? null });
      } catch (thrown) {
        peer.fail(id, "tool_failed", `The tool's answer cannot be sent as JSON: ${messageOf(thrown)}`);
      }
    };
    const fail = (thrown: unknown): void => {
      calls.end(owner);
      peer.fail(id, "tool_failed", explain(thrown, owner.id));
    };
    calls.begin(owner);
    try {
      const answer = calls.enter(owner, () => tool.run(params.input, createToolContext(peer, binding, owner)));
      if (answer instanceof Promise) answer.then(succeed, fail);
      else if (isThenable(answer)) Promise.resolve(answer).then(succeed, fail);
      else succeed(answer);
    } catch (thrown) {
      fail(thrown);
    }
  };

  /* What the host tells the plugin runs under an id of its own, like a call. */
  const tell = async (id: number, owner: Call, what: string, run: () => unknown): Promise<void> => {
    calls.begin(owner);
    try {
      const output = await calls.enter(owner, run);
      calls.end(owner);
      peer.answer(id, { output: output ?? null });
    } catch (thrown) {
      calls.end(owner);
      const why = explain(thrown, owner.id);
      log("error", `${what} failed: ${why}`, owner.id);
      peer.fail(id, "tool_failed", why);
    }
  };

  const hook = (id: number, { plugin, binding }: Bound, params: HookParams): void => {
    const run = plugin.hooks.get(params.handler);
    if (!run) return peer.fail(id, "tool_failed", `This plugin's code has no hook "${params.handler}".`);
    const owner = new Call(params.call_id, params.handler, params.agent);
    void tell(id, owner, `The hook ${params.handler}`, () => run(params.data, createContext(peer, binding, owner)));
  };

  const event = (id: number, { binding }: Bound, params: EventParams): void => {
    const owner = new Call(params.call_id, params.topic, params.agent);
    void tell(id, owner, `The handler of ${params.topic}`, async () => ({
      handled: await tellSubscribers(binding.subscriptions, params, createContext(peer, binding, owner)),
    }));
  };

  const shutdown = async (id: number): Promise<void> => {
    const owner = { id: null, signal: new AbortController().signal };
    try {
      await bound?.plugin.shutdown(createContext(peer, bound.binding, owner));
    } catch (thrown) {
      log("error", `shutdown() threw: ${explain(thrown)}`);
    }
    peer.answer(id, {});
    deps.exit(0);
  };

  /* Only the message crosses to the caller; where it came from is for the plugin's log. */
  function explain(thrown: unknown, callId: string | null = null): string {
    if (thrown instanceof Error && typeof thrown.stack === "string") log("debug", thrown.stack, callId);
    return places.hide(messageOf(thrown));
  }

  const request = (id: number, message: HostMessage): void => {
    const refuse = (why: string): void => peer.refuse(id, RPC_ERRORS.invalidRequest, why);
    if (message.method === "call" && bound) return call(id, bound, message.params as CallParams);
    if (message.method === "hello")
      return greeted ? refuse("hello comes once.") : void hello(id, message.params as HelloParams);
    if (!greeted) throw new Error("The first line must be hello.");
    switch (message.method) {
      case "ping":
        return peer.answer(id, {});
      case "bind":
        return bound ? refuse("bind comes once.") : void bind(id, message.params as BindParams);
      case "initialize":
        if (!bound) return refuse("bind comes first.");
        if (initialized) return refuse("initialize comes once.");
        initialized = true;
        return void initialize(id, bound, message.params as InitializeParams);
      case "hook":
        return bound ? hook(id, bound, message.params as HookParams) : refuse("bind comes first.");
      case "event":
        return bound ? event(id, bound, message.params as EventParams) : refuse("bind comes first.");
      case "call":
        return refuse("bind comes first.");
      case "shutdown":
        return void shutdown(id);
      default:
        return peer.refuse(id, RPC_ERRORS.unknownMethod, "There is no such method.");
    }
  };

  return (message) => {
    if (message.method === undefined) return peer.settle(message);
    if (message.id !== undefined) return request(message.id, message);
    if (message.method === "cancel") {
      const { call_id, reason } = message.params as CancelParams;
      calls.get(call_id)?.abort(reason);
    }
  };
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}

function messageOf(thrown: unknown): string {
  try {
    const message: unknown = thrown instanceof Error ? thrown.message : undefined;
    if (thrown instanceof Error) return String(message) || thrown.name;
    return typeof thrown === "string" && thrown !== "" ? thrown : "The plugin threw something that is no error.";
  } catch {
    return "The plugin threw an error that cannot be read.";
  }
}
