import type { PluginRef } from "../kernel/index.ts";
import { countExecutions, type Database } from "../store/index.ts";

/** Calls counted since the last time they were written down. The audit has every call; these are for people. */
export interface Counters {
  add(plugin: PluginRef, failure: string | null): void;
  /** A call that no plugin saw. */
  refuse(): void;
  readonly totals: { readonly total: number; readonly failed: number; readonly denied: number };
  flush(): Promise<void>;
}

interface Count {
  readonly plugin: PluginRef;
  executions: number;
  errors: number;
  lastError?: string;
}

export function createCounters(db: Database): Counters {
  let pending = new Map<string, Count>();
  const totals = { total: 0, failed: 0, denied: 0 };
  return {
    totals,
    add(plugin, failure) {
      const count = pending.get(plugin.digest) ?? { plugin, executions: 0, errors: 0 };
      count.executions++;
      totals.total++;
      if (failure !== null) {
        count.errors++;
        totals.failed++;
        count.lastError = failure;
      }
      pending.set(plugin.digest, count);
    },
    refuse() {
      totals.total++;
      totals.denied++;
    },
    async flush() {
      if (pending.size === 0) return;
      const counts = [...pending.values()];
      pending = new Map();
      await db.atomically(
        counts.map(({ plugin, executions, errors, lastError }) =>
          countExecutions(plugin, { executions, errors, ...(lastError === undefined ? {} : { lastError }) }),
        ),
      );
    },
  };
}
