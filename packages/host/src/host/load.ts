import { isLive } from "../catalog/index.ts";
import type { Operator } from "../host-api.ts";
import type { StoredPlugin } from "../store/index.ts";
import { actorOf, type PluginsDeps } from "./plugins-deps.ts";

/** Its calls in flight may end first: nothing is wrong with them. */
async function replace({ runtime, config }: PluginsDeps, old: StoredPlugin, actor: string): Promise<void> {
  await runtime.stop(old, "stopped", { actor, reason: "replaced" }, config().isolation.drainMs);
}

/** Starts a version through every gate. It takes the place of the active one only once the gates before a launch let it in. */
export async function load(deps: PluginsDeps, operator: Operator, record: StoredPlugin): Promise<StoredPlugin> {
  const { catalog, runtime } = deps;
  const actor = actorOf(operator);
  if (!record.active) {
    await runtime.check(record, actor);
    const old = catalog.versions(record.ref.id).find((other) => other.active);
    if (old && isLive(old.state)) await replace(deps, old, actor);
    await catalog.activate(record);
  }
  await runtime.start(record, actor);
  return catalog.current(record.ref) ?? record;
}
