import type { LogLine } from "../host-api.ts";

/** The last lines of each plugin's log, in memory. */
export interface LogBook {
  add(pluginId: string, line: LogLine): void;
  of(pluginId: string): readonly LogLine[];
  forget(pluginId: string): void;
}

const KEPT = 500;

export function createLogBook(): LogBook {
  const lines = new Map<string, LogLine[]>();
  return {
    add(pluginId, line) {
      const own = lines.get(pluginId) ?? [];
      own.push(line);
      if (own.length > KEPT) own.shift();
      lines.set(pluginId, own);
    },
    of: (pluginId) => lines.get(pluginId) ?? [],
    forget: (pluginId) => void lines.delete(pluginId),
  };
}
