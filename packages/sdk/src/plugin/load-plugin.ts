import type { Context, ToolContext } from "./context.ts";
import { readActionAnswer, readOutput } from "./answers.ts";

export interface LoadedTool {
  /** What the plugin's function returns: an answer, or a promise of one. */
  run(input: unknown, ctx: ToolContext): unknown;
  /** The output in an answer. @throws {Error} when the answer says of itself that it is a failure. */
  output(answer: unknown): unknown;
}

export type LoadedHook = (event: unknown, ctx: Context) => unknown;

/** A plugin of any shape, as the runner uses it. */
export interface LoadedPlugin {
  /** By name; what the code offers, declared or not. */
  readonly tools: ReadonlyMap<string, LoadedTool>;
  readonly hooks: ReadonlyMap<string, LoadedHook>;
  /** True only if the plugin returned `true`, or has no `initialize`. */
  initialize(config: unknown, ctx: Context): Promise<{ readonly ok: boolean; readonly returned: unknown }>;
  shutdown(ctx: Context): Promise<void>;
}

type Fn = (this: unknown, ...args: readonly unknown[]) => unknown;
type Shape = Readonly<Record<string, unknown>>;

/* Names of the lifecycle are never tools of their own: such a tool goes to `execute`. */
const LIFECYCLE = new Set(["constructor", "initialize", "execute", "shutdown", "getAvailableActions", "getMetadata"]);

/**
 * Reads the entry's default export: what `definePlugin` returns, a plain object of that shape, a class with the methods of
 * `Plugin`, or an instance of one. `declared` are the manifest's tools: `execute` answers those without a function.
 * @throws {TypeError} when the export is none of these; it says what to export.
 */
export async function loadPlugin(exported: unknown, declared: readonly string[]): Promise<LoadedPlugin> {
  const plugin = instanceOf(exported);
  const tools = new Map<string, LoadedTool>();
  const execute = fn(plugin, "execute");

  if (plugin.tools !== undefined) addTools(tools, plugin, plugin.tools);
  for (const name of declared) {
    if (tools.has(name)) continue;
    const method = isPlain(plugin) || LIFECYCLE.has(name) || name in Object.prototype ? undefined : fn(plugin, name);
    if (method) tools.set(name, { run: (input, ctx) => method.call(plugin, input, ctx), output: readActionAnswer });
    else if (execute) tools.set(name, executing(plugin, execute, name));
  }
  if (execute) {
    for (const name of await availableActions(plugin)) {
      if (!tools.has(name)) tools.set(name, executing(plugin, execute, name));
    }
  }
  if (tools.size === 0 && plugin.tools === undefined && !execute) {
    throw new TypeError('The entry\'s default export has neither "tools" nor "execute".');
  }

  return {
    tools,
    hooks: hooksOf(plugin.hooks),
    async initialize(config, ctx) {
      const initialize = fn(plugin, "initialize");
      if (!initialize) return { ok: true, returned: undefined };
      const returned = await initialize.call(plugin, config, ctx);
      return { ok: returned === true, returned };
    },
    async shutdown(ctx) {
      await fn(plugin, "shutdown")?.call(plugin, ctx);
    },
  };
}

function instanceOf(exported: unknown): Shape {
  if (typeof exported === "function") {
    if (!isClass(exported)) {
      throw new TypeError("The entry's default export is a function. Export what definePlugin() returns, or a class.");
    }
    const instance: unknown = Reflect.construct(exported, []);
    if (isRecord(instance)) return instance;
  }
  if (isRecord(exported)) return exported;
  throw new TypeError(
    "The entry has no default export that is a plugin. Write: export default definePlugin({ tools: { … } }).",
  );
}

function isClass(candidate: object): boolean {
  const prototype: unknown = Reflect.get(candidate, "prototype");
  if (!isRecord(prototype)) return false;
  return (
    fn(prototype, "execute") !== undefined ||
    fn(prototype, "initialize") !== undefined ||
    /^class\b/.test(Function.prototype.toString.call(candidate))
  );
}

function addTools(tools: Map<string, LoadedTool>, plugin: Shape, offered: unknown): void {
  if (!isRecord(offered)) throw new TypeError('"tools" of the entry\'s default export must be an object of functions.');
  for (const name of Object.keys(offered)) {
    const tool = fn(offered, name);
    if (!tool) throw new TypeError(`"tools.${name}" of the entry's default export must be a function.`);
    tools.set(name, { run: (input, ctx) => tool.call(offered, input, ctx), output: readOutput });
  }
}

function hooksOf(offered: unknown): ReadonlyMap<string, LoadedHook> {
  const hooks = new Map<string, LoadedHook>();
  if (offered === undefined) return hooks;
  if (!isRecord(offered)) throw new TypeError('"hooks" of the entry\'s default export must be an object of functions.');
  for (const name of Object.keys(offered)) {
    const hook = fn(offered, name);
    if (!hook) throw new TypeError(`"hooks.${name}" of the entry's default export must be a function.`);
    hooks.set(name, (event, ctx) => hook.call(offered, event, ctx));
  }
  return hooks;
}

function executing(plugin: Shape, execute: Fn, name: string): LoadedTool {
  return { run: (input, ctx) => execute.call(plugin, name, input, ctx), output: readActionAnswer };
}

async function availableActions(plugin: Shape): Promise<readonly string[]> {
  const list: unknown = await fn(plugin, "getAvailableActions")?.call(plugin);
  if (list === undefined) return [];
  if (!Array.isArray(list)) throw new TypeError("getAvailableActions() must return an array.");
  return list.map((action: unknown) => {
    const name = isRecord(action) ? action.name : action;
    if (typeof name !== "string")
      throw new TypeError("getAvailableActions() must return names, or objects with a name.");
    return name;
  });
}

function fn(object: Shape, name: string): Fn | undefined {
  const member = object[name];
  return isFunction(member) ? member : undefined;
}

function isFunction(value: unknown): value is Fn {
  return typeof value === "function";
}

function isRecord(value: unknown): value is Shape {
  return typeof value === "object" && value !== null;
}

function isPlain(object: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(object);
  return prototype === null || prototype === Object.prototype;
}
