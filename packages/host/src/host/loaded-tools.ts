import type { Grant } from "../capability/index.ts";
import type { Catalog } from "../catalog/index.ts";
import type { PluginRef } from "../kernel/index.ts";
import type { StoredPlugin } from "../store/index.ts";
import { type LoadedTool, pluginOfTool, toolName } from "./route.ts";

/** Tools that agents may call: of active plugins that run or can be woken, with the grant that they have now. */
export interface LoadedTools {
  find(name: string): LoadedTool | undefined;
  /** In the order of their names, from the one behind `after`. */
  behind(after: string): Iterable<LoadedTool>;
  /**
   * Whether a change of one version gave or took tools, or the authority that they have. Most do not: a plugin that falls
   * asleep and wakes has the tools that it had.
   */
  changed(before: StoredPlugin | undefined, now: StoredPlugin | undefined): boolean;
  /** Operators decided something: what is remembered of grants is over. */
  reset(): void;
}

export interface LoadedToolsSources {
  readonly catalog: Pick<Catalog, "all" | "versions">;
  grantOf(record: StoredPlugin): Grant | undefined;
  /** Of a plugin that is on its way: see `Runtime`. */
  presence(plugin: PluginRef): Presence;
}

type Presence = "listed" | "waiting" | null;

interface Place {
  readonly grant: Grant;
  readonly listed: boolean;
}

/** Nothing is kept of ten thousand plugins but the order of their names; manifests are read of those that are looked at. */
export function createLoadedTools({ catalog, grantOf, presence }: LoadedToolsSources): LoadedTools {
  let order: readonly Ordered[] | undefined;
  /** Places of versions that changed, as they were then; `null`: none. */
  const last = new Map<string, Place | null>();

  const inOrder = (): readonly Ordered[] =>
    (order ??= [...new Set(catalog.all().map(({ ref }) => ref.id))]
      .map((id) => ({ id, prefix: toolName(id, "") }))
      .toSorted((a, b) => compare(a.prefix, b.prefix)));

  const activeOf = (id: string): StoredPlugin | undefined => catalog.versions(id).find(({ active }) => active);

  function placeOf(record: StoredPlugin | undefined): Place | null {
    const here = record?.active ? presenceOf(record, presence) : null;
    const grant = record && here !== null ? grantOf(record) : undefined;
    return grant ? { grant, listed: here === "listed" } : null;
  }

  function toolsOf(id: string): readonly LoadedTool[] {
    const record = activeOf(id);
    const place = placeOf(record);
    if (!record || !place) return [];
    const { scopes, expiresAt } = place.grant;
    return record.manifest.tools.map((tool) => ({
      plugin: record.ref,
      tool,
      scopes,
      expiresAt,
      listed: place.listed,
    }));
  }

  return {
    find: (name) => toolsOf(pluginOfTool(name)).find((tool) => nameOf(tool) === name),
    *behind(after) {
      const plugins = inOrder();
      for (let at = lastUpTo(plugins, after); at < plugins.length; at++) {
        const tools = toolsOf(plugins[at]?.id ?? "").filter((tool) => nameOf(tool) > after);
        yield* tools.toSorted((a, b) => compare(a.tool.name, b.tool.name));
      }
    },
    changed(before, now) {
      const { ref } = now ?? before ?? {};
      if (!ref) return false;
      if (!before || !now) order = undefined;
      const key = `${ref.id}\n${ref.version}\n${ref.digest}`;
      // What the runtime said of it then is not known any more.
      const isUnknown = !last.has(key) && before !== undefined && isOnItsWay(before);
      const was = last.get(key) ?? (last.has(key) ? null : placeOf(before));
      const is = placeOf(now);
      last.set(key, is);
      return isUnknown || was?.grant !== is?.grant || was?.listed !== is?.listed;
    },
    reset: () => last.clear(),
  };
}

interface Ordered {
  readonly id: string;
  /** What the names of its tools begin with. */
  readonly prefix: string;
}

function nameOf({ plugin, tool }: LoadedTool): string {
  return toolName(plugin.id, tool.name);
}

/** The last plugin whose prefix is not behind `name`: the only one of those before that may have tools that are. */
function lastUpTo(plugins: readonly Ordered[], name: string): number {
  let from = 0;
  let to = plugins.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if ((plugins[middle]?.prefix ?? "") > name) to = middle;
    else from = middle + 1;
  }
  return Math.max(0, from - 1);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function isOnItsWay({ active, state }: StoredPlugin): boolean {
  return active && (state === "starting" || state === "unhealthy");
}

function presenceOf(record: StoredPlugin, presence: LoadedToolsSources["presence"]): Presence {
  if (record.state === "running" || record.state === "idle") return "listed";
  return isOnItsWay(record) ? presence(record.ref) : null;
}
