import type { Operator } from "../host-api.ts";
import type { StoredPlugin } from "../store/index.ts";
import { loadDependencies } from "./dependencies.ts";
import { actorOf, type PluginsDeps } from "./plugins-deps.ts";
import { start } from "./switch.ts";

/** Starts a version through every gate, after what it depends on. */
export async function load(deps: PluginsDeps, operator: Operator, record: StoredPlugin): Promise<StoredPlugin> {
  await loadDependencies(deps, operator, record);
  return start(deps, actorOf(operator), record);
}
