import type { Scope } from "../capability/index.ts";
import type { Catalog } from "../catalog/index.ts";
import type { PluginRef } from "../kernel/index.ts";
import type { ToolDefinition } from "../manifest/index.ts";
import type { KnownTool } from "../policy/index.ts";
import type { StoredPlugin } from "../store/index.ts";
import { effectOf } from "./effects.ts";
import type { LoadedTools } from "./loaded-tools.ts";
import { policyQuery } from "./policy-state.ts";
import { toolName } from "./route.ts";
import type { Decisions } from "./state.ts";

/** A tool of an installed plugin, loaded or not, with the authority that it has or asks for. */
export interface InstalledTool extends KnownTool {
  readonly ref: PluginRef;
  readonly state: string;
  readonly definition: ToolDefinition;
  readonly scopes: readonly Scope[];
  /** When the grant ends; absent: never, or there is none. */
  readonly expiresAt: number | undefined;
}

export interface InstalledTools {
  all(): readonly InstalledTool[];
  /** Of the active version. */
  find(name: string): InstalledTool | undefined;
  /** Of exactly these bytes, active or not. */
  of(plugin: PluginRef, name: string): InstalledTool | undefined;
}

export function createInstalledTools(
  catalog: Pick<Catalog, "all" | "current">,
  decisions: () => Decisions,
  loaded: Pick<LoadedTools, "find">,
): InstalledTools {
  const toolsOf = (record: StoredPlugin): readonly InstalledTool[] => {
    const asked = record.manifest.permissions.flatMap(({ scope }) => (scope ? [scope] : []));
    const grant = decisions().grantOf(record);
    const scopes = grant?.scopes ?? asked;
    return record.manifest.tools.map((definition) => {
      const name = toolName(record.ref.id, definition.name);
      const effect = effectOf({ tool: definition, scopes }, loaded.find);
      return {
        ...policyQuery("", record.ref.id, name, effect, scopes),
        inputSchema: definition.inputSchema,
        ref: record.ref,
        state: record.state,
        definition,
        scopes,
        expiresAt: grant?.expiresAt,
      };
    });
  };
  const active = (): readonly StoredPlugin[] => catalog.all().filter((record) => record.active);
  return {
    all: () => active().flatMap(toolsOf),
    find(name) {
      const record = active().find(({ ref }) => name.startsWith(toolName(ref.id, "")));
      return record && toolsOf(record).find(({ tool }) => tool === name);
    },
    of(plugin, name) {
      const record = catalog.current(plugin);
      return record && toolsOf(record).find(({ tool }) => tool === name);
    },
  };
}
