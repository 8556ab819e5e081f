import type { PluginRef } from "../kernel/index.ts";
import { countExecutions, type Database } from "../store/index.ts";

/** Calls counted since the last time they were written down. The audit has every call; these are for people. */
export interface Counters {
  add(plugin: PluginRef, failure: string | null): void;
  /** A call that no plugin saw. */
  refuse(): void;
  /** Of exactly these bytes, since the host started. */
  of(plugin: PluginRef): { readonly executions: number; readonly errors: number };
  /** Of a plugin that was uninstalled: the same bytes, installed again, begin at nothing. */
  forget(plugin: PluginRef): void;
  readonly totals: { readonly total: number; readonly failed: number; readonly denied: number };
  flush(): Promise<void>;
}

interface Count {
  readonly plugin: PluginRef;
  executions: number;
  errors: number;
  lastError?: string;
}

const NONE = { executions: 0, errors: 0 };

export function createCounters(db: Database): Counters {
  let pending = new Map<string, Count>();
  const written = new Map<string, { executions: number; errors: number }>();
  const totals = { total: 0, failed: 0, denied: 0 };
  return {
    totals,
    of({ digest }) {
      const before = written.get(digest) ?? NONE;
      const now = pending.get(digest) ?? NONE;
      return { executions: before.executions + now.executions, errors: before.errors + now.errors };
    },
    add(plugin, failure) {
      let count = pending.get(plugin.digest);
      if (!count) pending.set(plugin.digest, (count = { plugin, executions: 0, errors: 0 }));
      count.executions++;
      totals.total++;
      if (failure !== null) {
        count.errors++;
        totals.failed++;
        count.lastError = failure;
      }
    },
    refuse() {
      totals.total++;
      totals.denied++;
    },
    forget({ digest }) {
      pending.delete(digest);
      written.delete(digest);
    },
    async flush() {
      if (pending.size === 0) return;
      const counts = [...pending.values()];
      pending = new Map();
      for (const { plugin, executions, errors } of counts) {
        const before = written.get(plugin.digest) ?? NONE;
        written.set(plugin.digest, { executions: before.executions + executions, errors: before.errors + errors });
      }
      await db.atomically(
        counts.map(({ plugin, executions, errors, lastError }) =>
          countExecutions(plugin, { executions, errors, ...(lastError === undefined ? {} : { lastError }) }),
        ),
      );
    },
  };
}
