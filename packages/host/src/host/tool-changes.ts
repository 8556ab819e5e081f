import type { Catalog } from "../catalog/index.ts";
import type { ConfigState } from "./config-state.ts";
import type { LoadedTools } from "./loaded-tools.ts";
import { type Between, changesHearing } from "./open-between.ts";
import type { RouteTable } from "./route.ts";

export interface ToolChangesDeps {
  readonly catalog: Pick<Catalog, "onChange">;
  readonly state: ConfigState;
  readonly tools: LoadedTools;
  readonly routes: RouteTable;
  readonly between: Pick<Between, "watchers" | "observers">;
  readonly onDefect: (error: unknown) => void;
}

/** Forgets what was decided of tools whenever a plugin or an operator changes it, and tells whoever shows a list of them. */
export function followToolChanges(deps: ToolChangesDeps): (listener: () => void) => () => void {
  const { catalog, state, tools, routes, between } = deps;
  const listeners = new Set<() => void>();

  function changed(): void {
    between.watchers.invalidate();
    routes.invalidate();
    for (const listener of listeners) {
      try {
        listener();
      } catch (error) {
        // A listener's defect must not look like a failure of the change that it was told of.
        deps.onDefect(error);
      }
    }
  }

  catalog.onChange((before, now) => {
    const isOther = tools.changed(before, now);
    if (changesHearing(state.decisions.hearing, before, now)) {
      between.watchers.invalidate();
      routes.invalidate();
    }
    if (isOther) changed();
    if (before && now) between.observers.moved(before, now);
  });
  state.onChange(() => {
    tools.reset();
    changed();
  });
  return (listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
}
