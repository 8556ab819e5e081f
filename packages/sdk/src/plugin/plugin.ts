import type { Context, ToolContext } from "./context.ts";

export interface ActionDescription {
  readonly name: string;
  readonly description?: string;
  readonly parameters?: Readonly<Record<string, unknown>>;
}

/** What `execute` may return instead of a bare result: a failure is a failure of the call, a success is unwrapped. */
export type ActionAnswer =
  | { readonly success: true; readonly result: unknown }
  | { readonly success: false; readonly error: string };

export interface PluginMetadata {
  readonly name: string;
  readonly version: string;
  readonly [key: string]: unknown;
}

/**
 * For people who come from class-based systems; the entry's default export is the class or an instance. An action is a
 * tool: a declared tool is answered by the method of its name, `method(params, ctx)`, or else by `execute`.
 */
export abstract class Plugin {
  /** Called once, before any action. Anything but `true`, and a throw, aborts the load. */
  initialize(_config: Readonly<Record<string, unknown>>, _ctx: Context): boolean | Promise<boolean> {
    return true;
  }

  /** Answers each declared tool that has no method of its own. */
  execute(action: string, _params: Readonly<Record<string, unknown>>, _ctx: ToolContext): unknown {
    throw new Error(`This plugin has no action "${action}".`);
  }

  /** Actions that this plugin offers; one that the manifest does not declare makes the load fail. */
  getAvailableActions(): readonly (ActionDescription | string)[] {
    return [];
  }

  /** Called before the process ends, with little time. */
  shutdown(_ctx: Context): unknown {
    return true;
  }

  /** Free-form facts about the plugin. What counts is the manifest. */
  getMetadata(): PluginMetadata | undefined {
    return undefined;
  }
}
