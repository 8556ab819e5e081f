import type { Context, ToolContext } from "./context.ts";
import type { HookEvent } from "./told.ts";

/* A method's parameters are compared both ways, so that authors may annotate narrower inputs of their own. */
type Handler<Input, Output> = { run(input: Input, ctx: ToolContext): Output | Promise<Output> }["run"];

type Hook = { run(event: HookEvent, ctx: Context): unknown }["run"];

type InputOf<Tool> = Tool extends { input: infer Input } ? Input : never;
type OutputOf<Tool> = Tool extends { output: infer Output } ? Output : never;

/** Tools without generated types: any JSON object in, anything that is JSON out. */
export interface AnyTools {
  [tool: string]: { input: Readonly<Record<string, unknown>>; output: unknown };
}

export interface PluginDefinition<Tools extends object = AnyTools> {
  /**
   * Called once, after the handshake and before any call. Anything but `true`, and a throw, aborts the load; a plugin
   * without `initialize` is ready at once.
   */
  initialize?(config: Readonly<Record<string, unknown>>, ctx: Context): boolean | Promise<boolean>;
  /** One function for each tool of the manifest. The input already matches its schema. A throw is a failure of the call. */
  tools: { [Name in keyof Tools]: Handler<InputOf<Tools[Name]>, OutputOf<Tools[Name]>> };
  /** Functions that `contributes.hooks` names. What one on `tool.before_call` returns is a `Verdict`. */
  hooks?: Readonly<Record<string, Hook>>;
  /** Called before the process ends, with little time. */
  shutdown?(ctx: Context): unknown;
}

/**
 * Gives a plugin its types and is nothing else: a plain object of this shape is a plugin too. `Tools` is what
 * `sallyport plugin types` writes from the manifest: `interface ToolTypes { forecast: { input: …; output: … } }`.
 */
export function definePlugin<Tools extends object = AnyTools>(
  definition: PluginDefinition<NoInfer<Tools>>,
): PluginDefinition<Tools> {
  return definition;
}
