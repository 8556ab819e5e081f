import { type EventsScope, type HooksScope, nameMatches, type Scope, withinScope } from "../capability/index.ts";
import type { Catalog } from "../catalog/index.ts";
import type { Grant } from "../capability/index.ts";
import type { PluginRef, PluginState } from "../kernel/index.ts";
import type { Manifest } from "../manifest/index.ts";
import type { StoredPlugin } from "../store/index.ts";
import { toolName } from "./route.ts";

/** A function of a plugin that is told of something, as far as was granted. */
export interface Watcher {
  readonly plugin: PluginRef;
  /** Of its code's `hooks`. */
  readonly handler: string;
  readonly scope: HooksScope;
  /** When the grant ends, milliseconds since the epoch. */
  readonly expiresAt: number | undefined;
}

export interface Consumer {
  readonly plugin: PluginRef;
  readonly scope: EventsScope;
  readonly expiresAt: number | undefined;
}

/** Who has to agree to the calls of a tool, and who hears what became of them; in the order of ids and manifests. */
export interface ToolWatchers {
  readonly before: readonly Watcher[];
  readonly after: readonly Watcher[];
}

/** Who may hear of what, as it was granted and is in force now. */
export interface Watchers {
  /** `undefined`: nobody watches, as of most tools. */
  ofTool(plugin: PluginRef, name: string): ToolWatchers | undefined;
  /** Of the states of a plugin. */
  ofPlugin(pluginId: string): readonly Watcher[];
  /** Whether a plugin hears of the states of any. */
  watchesPlugins(pluginId: string): boolean;
  consumersOf(topic: string): readonly Consumer[];
  /** Forgets all; called when a plugin, grant or ceiling changes. */
  invalidate(): void;
}

export interface WatchersSources {
  readonly catalog: Pick<Catalog, "versions">;
  /** Ids of plugins that hold a grant to hear of anything. */
  hearing(): Iterable<string>;
  grantOf(record: StoredPlugin): Grant | undefined;
  ceilingOf(pluginId: string): readonly Scope[] | undefined;
}

const LIVE: readonly PluginState[] = ["starting", "running", "idle", "unhealthy"];
/**
 * A plugin whose word a call needs is not out of the way because it crashed, was unloaded, or is a version that was not started yet: until it is
 * disabled, revoked or uninstalled, or its grant ends, calls that it watches are refused when it does not answer.
 */
const GUARDING: readonly PluginState[] = ["approved", ...LIVE, "failed", "stopped"];

interface Index {
  readonly hooks: readonly Watcher[];
  readonly live: readonly Watcher[];
  readonly consumers: readonly Consumer[];
}

export function createWatchers(sources: WatchersSources): Watchers {
  let index: Index | undefined;

  function build(): Index {
    const hooks: Watcher[] = [];
    const live: Watcher[] = [];
    const consumers: Consumer[] = [];
    for (const id of [...sources.hearing()].toSorted()) {
      const record = sources.catalog.versions(id).find(({ active }) => active);
      const grant = record && sources.grantOf(record);
      if (!record || !grant || !GUARDING.includes(record.state)) continue;
      const { ref: plugin, manifest } = record;
      const { expiresAt } = grant;
      const isLive = LIVE.includes(record.state);
      for (const { handler, scope } of grantedHooks(manifest, grant.scopes, sources.ceilingOf(id))) {
        const watcher = { plugin, handler, scope, expiresAt };
        if (isLive) live.push(watcher);
        if (scope.event === "tool.before_call") hooks.push(watcher);
      }
      if (!isLive) continue;
      for (const scope of grantedTopics(manifest, grant.scopes, sources.ceilingOf(id)))
        consumers.push({ plugin, scope, expiresAt });
    }
    return { hooks, live, consumers };
  }

  const now = (): Index => (index ??= build());

  return {
    ofTool(plugin, name) {
      const { hooks, live } = now();
      if (hooks.length + live.length === 0) return undefined;
      const before = hooks.filter((watcher) => watches(watcher, plugin.id, name));
      const after = live.filter(
        (watcher) => watcher.scope.event === "tool.after_call" && watches(watcher, plugin.id, name),
      );
      return before.length + after.length === 0 ? undefined : { before, after };
    },
    ofPlugin: (id) =>
      now().live.filter(({ plugin, scope }) => {
        if (scope.event !== "plugin.lifecycle") return false;
        return scope.tools.length === 0 ? plugin.id === id : scope.tools.some((tool) => isOf(tool, id));
      }),
    watchesPlugins: (id) =>
      now().live.some(({ plugin, scope }) => plugin.id === id && scope.event === "plugin.lifecycle"),
    consumersOf: (topic) => now().consumers.filter(({ scope }) => nameMatches(scope.topic, topic)),
    invalidate: () => {
      index = undefined;
    },
  };
}

function watches({ plugin, scope }: Watcher, pluginId: string, name: string): boolean {
  return scope.tools.length === 0 ? plugin.id === pluginId : scope.tools.some((tool) => nameMatches(tool, name));
}

/** Whether a name or pattern of tools names this plugin: the plugin's whole prefix, or a pattern that all its tools match. */
function isOf(tool: string, pluginId: string): boolean {
  const prefix = toolName(pluginId, "");
  return tool.startsWith(prefix) || nameMatches(tool, prefix);
}

/** The hooks of a manifest, each as narrow as it was granted, and those that were filled in for a request without a scope. */
export function grantedHooks(
  manifest: Manifest,
  granted: readonly Scope[],
  ceiling: readonly Scope[] | undefined,
): readonly { readonly handler: string; readonly scope: HooksScope }[] {
  const scopes = granted.filter((scope) => scope.capability === "hooks").filter((scope) => admits(ceiling, scope));
  const used = new Set<HooksScope>();
  const found: { handler: string; scope: HooksScope }[] = [];
  for (const { handler, event, tools = [], payload, mark, background } of manifest.hooks) {
    const asked: HooksScope = {
      capability: "hooks",
      event,
      tools,
      ...(payload === true ? { payload } : {}),
      ...(mark === undefined ? {} : { mark }),
      ...(background === true ? { background } : {}),
    };
    for (const scope of scopes) {
      const effective = withinScope(scope, asked) ? scope : withinScope(asked, scope) ? asked : undefined;
      if (effective === undefined) continue;
      used.add(scope);
      if (!found.some((other) => other.handler === handler && other.scope === effective))
        found.push({ handler, scope: effective });
    }
  }
  const isOpen = manifest.permissions.some(({ capability, scope }) => capability === "hooks" && scope === null);
  // Nobody named a function for these: it is the one that is called like the event.
  if (isOpen) for (const scope of scopes) if (!used.has(scope)) found.push({ handler: scope.event, scope });
  return found;
}

function grantedTopics(
  manifest: Manifest,
  granted: readonly Scope[],
  ceiling: readonly Scope[] | undefined,
): readonly EventsScope[] {
  const asked = manifest.permissions.flatMap(({ scope }) => (scope?.capability === "events" ? [scope] : []));
  const isOpen = manifest.permissions.some(({ capability, scope }) => capability === "events" && scope === null);
  return granted
    .filter((scope) => scope.capability === "events")
    .filter((scope) => scope.direction === "consume" && admits(ceiling, scope))
    .filter((scope) => isOpen || asked.some((outer) => withinScope(scope, outer)));
}

function admits(ceiling: readonly Scope[] | undefined, scope: Scope): boolean {
  return ceiling === undefined || ceiling.some((outer) => withinScope(scope, outer));
}
