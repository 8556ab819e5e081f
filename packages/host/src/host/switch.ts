import { withdrawCalls } from "../approval/index.ts";
import { isLive } from "../catalog/index.ts";
import type { StoredPlugin } from "../store/index.ts";
import type { PluginsDeps } from "./plugins-deps.ts";

/** Starts a version through every gate. It takes the place of the active one only once it runs. */
export async function start(deps: PluginsDeps, actor: string, record: StoredPlugin): Promise<StoredPlugin> {
  const { catalog, runtime } = deps;
  if (record.active) await runtime.start(record, actor);
  else await switchTo(deps, actor, record);
  return catalog.current(record.ref) ?? record;
}

/**
 * Puts a version in the place of the active one. When that one is live, the new one runs before it takes calls, and calls in
 * flight end on the old one: what fails leaves the old one as it was.
 */
export async function switchTo(deps: PluginsDeps, actor: string, record: StoredPlugin): Promise<void> {
  const { catalog, runtime } = deps;
  await runtime.check(record, actor);
  const old = catalog.versions(record.ref.id).find((other) => other.active);
  if (!old || !isLive(old.state)) {
    await withdrawCalls(deps, record.ref, "replaced");
    await catalog.activate(record);
    if (old) await withdrawCalls(deps, old.ref, "replaced");
    await runtime.start(record, actor);
    return;
  }
  await withdrawCalls(deps, record.ref, "replaced");
  await runtime.startBeside(record, actor);
  try {
    await catalog.activate(record);
  } catch (error) {
    await runtime.stop(record, "stopped", { actor, reason: "not_activated" });
    throw error;
  }
  await withdrawCalls(deps, old.ref, "replaced");
  const replaced = catalog.current(old.ref) ?? old;
  // Its calls in flight may end first: nothing is wrong with them.
  if (isLive(replaced.state)) {
    await runtime.stop(replaced, "stopped", { actor, reason: "replaced" }, deps.config().isolation.drainMs);
  }
}
