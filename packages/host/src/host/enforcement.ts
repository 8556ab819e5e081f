import { type Catalog, isLive, type LoadPermit } from "../catalog/index.ts";
import { type PluginRef, toSallyportError } from "../kernel/index.ts";
import type { StoredPlugin } from "../store/index.ts";
import type { Runtime } from "./runtime.ts";

export interface EnforcementDeps {
  readonly catalog: Catalog;
  readonly runtime: Runtime;
  permit(record: StoredPlugin): Promise<LoadPermit>;
  onDefect(error: unknown): void;
}

/** Stops what runs and may not any more. */
export interface Enforcement {
  stopIfLive(plugin: PluginRef, reason: string): Promise<void>;
  stopRefused(): Promise<void>;
}

export function createEnforcement({ catalog, runtime, permit, onDefect }: EnforcementDeps): Enforcement {
  /** Of several calls that find a grant over, one is the first; the others find the plugin stopped. */
  async function stopIfLive(plugin: PluginRef, reason: string): Promise<void> {
    const live = (): StoredPlugin | undefined => {
      const record = catalog.current(plugin);
      return record && isLive(record.state) ? record : undefined;
    };
    const record = live();
    if (!record) return;
    await runtime.stop(record, "validated", { actor: "host", reason }).catch((error: unknown) => {
      if (live()) throw error;
    });
  }

  /** What runs passed the gates as they were; after a change of what operators want it must pass them as they are. */
  async function stopRefused(): Promise<void> {
    for (const record of catalog.all().filter(({ state: now }) => isLive(now))) {
      try {
        await permit(record);
      } catch (error) {
        const { code, message } = toSallyportError(error);
        // One that cannot be stopped, since it went elsewhere meanwhile, must not keep the others running.
        await runtime.stop(record, "stopped", { actor: "host", reason: code, lastError: message }).catch(onDefect);
      }
    }
  }

  return { stopIfLive, stopRefused };
}
