import { scopeKey, type Scope } from "../capability/index.ts";
import { effectOf } from "./effects.ts";
import type { ToolWatchers } from "./watchers.ts";
import { definitionDigest as definitionDigestOf } from "./lock-entry.ts";
import { type Caller, type Effect, type PluginRef } from "../kernel/index.ts";
import { compileSchema, type CompiledSchema, type ToolDefinition } from "../manifest/index.ts";
import { policyQuery } from "./policy-state.ts";
import { fixedPolicy, type FlowMemory, type Policy, type PolicyDecision, type PolicyTime } from "../policy/index.ts";

export type Checker = Pick<CompiledSchema, "check">;

/** Everything that a call of one tool by one agent needs, decided before the call: gates become look-ups. */
export interface CallRoute {
  /** `<plugin>__<tool>`. */
  readonly name: string;
  readonly plugin: PluginRef;
  readonly tool: ToolDefinition;
  /** The computed effect. */
  readonly effect: Effect;
  /** The mildest decision that a call may get now, whatever is in it; `deny`: the tool is not there. */
  readonly decision: PolicyDecision;
  /** The decision of one call, by its canonical input after the schema, and by what this agent did before. */
  decide(input: unknown): PolicyDecision;
  readonly policySnapshot: string;
  /** What the audit says the call may reach: effect and grant. */
  readonly scope: string;
  /** The grant: how far the plugin reaches. */
  readonly scopes: readonly Scope[];
  /** Digest of the whole tool definition; an approval is bound to it. */
  readonly definitionDigest: string;
  readonly timeoutMs: number;
  readonly expiresAt: number | undefined;
  readonly input: Checker;
  readonly output: Checker | null;
  /** Hooks; `undefined` for most tools. */
  readonly watchers: ToolWatchers | undefined;
}

/** A tool that is loaded, with the authority that its plugin really has. */
export interface LoadedTool {
  readonly plugin: PluginRef;
  readonly tool: ToolDefinition;
  readonly scopes: readonly Scope[];
  /** When the grant ends, milliseconds since the epoch. */
  readonly expiresAt: number | undefined;
  /** Whether agents see it: not while its plugin, having crashed, is being restarted; a call then waits for that. */
  readonly listed?: boolean;
}

export interface RouteTable {
  /** `undefined` when no loaded plugin declares the tool. */
  find(caller: Caller, name: string): CallRoute | undefined;
  /** Listed tools in the order of their names, from the one behind `after`, as this caller's decisions are. */
  behind(caller: Caller, after?: string): Iterable<CallRoute>;
  /** Forgets every decision; called when a plugin, grant or rule changes. */
  invalidate(): void;
}

export interface RouteSources {
  readonly tools: {
    find(name: string): LoadedTool | undefined;
    /** In the order of their names. */
    behind(after: string): Iterable<LoadedTool>;
  };
  policy(): Policy;
  time(): PolicyTime;
  readonly flow: FlowMemory;
  /** Why a tool is not there for an agent, whatever policy says; `undefined`: policy decides. */
  hides(agent: string, tool: string, effect: Effect): PolicyDecision | undefined;
  watchersOf(plugin: PluginRef, name: string): ToolWatchers | undefined;
  /** The operator's longest deadline, milliseconds. */
  maxTimeoutMs(): number;
}

/** `publisher/id` becomes `publisher_id`: MCP clients refuse a slash in tool names. */
export function toolName(pluginId: string, tool: string): string {
  return `${pluginId.replace("/", "_")}__${tool}`;
}

/** The plugin that a tool of this name would belong to: no id has an underscore of its own. */
export function pluginOfTool(name: string): string {
  return name.slice(0, Math.max(0, name.indexOf("__"))).replace("_", "/");
}

/** Agents whose decisions are kept; an operator can act under any number of names. */
const KEPT_AGENTS = 1000;
/** A grant of hundreds of scopes must not make an event too large to be written. */
const SCOPE_CHARS = 4000;

export function createRouteTable(sources: RouteSources): RouteTable {
  let perAgent = new Map<string, Map<string, CallRoute>>();
  const routesOf = (agent: string): Map<string, CallRoute> => {
    let routes = perAgent.get(agent);
    if (routes) return routes;
    if (perAgent.size >= KEPT_AGENTS) perAgent = new Map();
    perAgent.set(agent, (routes = new Map()));
    return routes;
  };
  const find = (caller: Caller, name: string): CallRoute | undefined => {
    const routes = routesOf(caller.agent);
    const known = routes.get(name);
    if (known) return known;
    const loaded = sources.tools.find(name);
    if (!loaded) return undefined;
    const route = buildRoute(name, loaded, caller.agent, sources);
    routes.set(name, route);
    return route;
  };
  return {
    find,
    *behind(caller, after = "") {
      for (const loaded of sources.tools.behind(after)) {
        if (loaded.listed === false) continue;
        const name = toolName(loaded.plugin.id, loaded.tool.name);
        // Kept are the routes of tools that are called: ten thousand plugins are listed by agents that call five.
        yield routesOf(caller.agent).get(name) ?? buildRoute(name, loaded, caller.agent, sources);
      }
    },
    invalidate: () => {
      perAgent = new Map();
    },
  };
}

function buildRoute(
  name: string,
  { plugin, tool, scopes, expiresAt }: LoadedTool,
  agent: string,
  sources: RouteSources,
): CallRoute {
  const effect = effectOf({ tool, scopes }, sources.tools.find);
  const policy = sources.policy();
  const hidden = sources.hides(agent, name, effect);
  const rules = hidden ? fixedPolicy(hidden) : policy.forTool(policyQuery(agent, plugin.id, name, effect, scopes));
  const { outputSchema } = tool;
  let definitionDigest: string | undefined;
  return {
    name,
    plugin,
    tool,
    effect,
    get decision() {
      return rules.fixed ?? rules.exposed(sources.time());
    },
    decide: (input) => rules.fixed ?? rules.decide({ input, time: sources.time(), flow: sources.flow }),
    policySnapshot: policy.snapshot,
    scope: [effect, ...scopes.map(scopeKey)].join(" ").slice(0, SCOPE_CHARS),
    scopes,
    // Like the schemas: a tool that is only listed must not pay for what its first call needs.
    get definitionDigest() {
      return (definitionDigest ??= definitionDigestOf(plugin.id, tool));
    },
    timeoutMs: Math.min(tool.timeoutMs, sources.maxTimeoutMs()),
    expiresAt,
    watchers: sources.watchersOf(plugin, name),
    input: lazily(() => compileSchema(tool.inputSchema)),
    output: outputSchema === undefined ? null : lazily(() => compileSchema(outputSchema)),
  };
}

/** Compiling costs milliseconds; ten thousand listed tools must not pay for it before they are called. */
function lazily(compile: () => CompiledSchema): Checker {
  let compiled: CompiledSchema | undefined;
  return { check: (value) => (compiled ??= compile()).check(value) };
}
