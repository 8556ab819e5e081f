import type { Catalog } from "../catalog/index.ts";
import type { PolicyApi } from "../host-api.ts";
import type { ConfigState } from "./config-state.ts";
import type { FlowTracker } from "./flow.ts";
import type { LoadedTools } from "./loaded-tools.ts";
import type { HomeParts } from "./parts.ts";
import { createPolicyApi } from "./policy-api.ts";
import { createOverrides } from "./policy-overrides.ts";
import { createInstalledTools } from "./policy-tools.ts";

export interface PolicySources {
  readonly catalog: Catalog;
  readonly loaded: LoadedTools;
  readonly flow: FlowTracker;
  readonly onDefect: (error: unknown) => void;
}

/** The operators' verbs about policy; takes out what is over of the overrides at once. */
export async function openPolicy(
  { db, audit, clock }: HomeParts,
  state: ConfigState,
  { catalog, loaded, flow, onDefect }: PolicySources,
): Promise<{ readonly api: PolicyApi; close(): void }> {
  const { time, refresh } = state;
  const overrides = createOverrides({ db, audit, clock, time, refresh, onDefect });
  await overrides.sweep();
  const decisions = () => state.decisions;
  const api = createPolicyApi({
    db,
    audit,
    clock,
    time,
    overrides,
    decisions,
    flow: flow.memory,
    tools: createInstalledTools(catalog, decisions, loaded),
    isLoaded: (tool) => loaded.find(tool) !== undefined,
  });
  return { api, close: overrides.close };
}
