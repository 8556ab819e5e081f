import type { Catalog } from "../catalog/index.ts";
import type { PluginState } from "../kernel/index.ts";
import type { HostConfig } from "../config/index.ts";

/** Where a plugin goes that was live when the last owner ended: it has no process now. */
const AFTER_START: Partial<Record<PluginState, PluginState>> = {
  running: "idle",
  starting: "stopped",
  unhealthy: "stopped",
};

/**
 * Brings the states that the last owner left to what is true now. With plugins turned off, nothing stays loaded. All of
 * them at once: the audit writes what waits for it together.
 */
export async function settleAfterStart(catalog: Catalog, config: HostConfig): Promise<void> {
  await Promise.all(
    catalog.all().map(async (record) => {
      const to = AFTER_START[record.state];
      const settled = to ? await catalog.move(record, to, { actor: "host", reason: "host_started" }) : record;
      if (settled.state === "idle" && !config.plugins.enabled) {
        await catalog.move(settled, "stopped", { actor: "host", reason: "plugins_disabled" });
      }
    }),
  );
}
