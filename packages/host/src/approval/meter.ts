import { countPrompts, type Database, listPromptCounts, type PromptCount } from "../store/index.ts";

/** Counts calls that ran, per agent, against requests put before an operator. Requests are counted where they are filed. */
export interface Meter {
  ran(agent: string): void;
  /** Per agent, the busiest first. */
  counts(): Promise<readonly PromptCount[]>;
  flush(): Promise<void>;
}

/** Names that are kept until they are written down; an operator can act under any number of names. */
const MOST_AGENTS = 1000;
const REST = "(others)";

export function createMeter(db: Database): Meter {
  let pending = new Map<string, number>();

  async function flush(): Promise<void> {
    if (pending.size === 0) return;
    const counted = pending;
    pending = new Map();
    try {
      await db.atomically([...counted].map(([agent, calls]) => countPrompts({ agent, calls, prompts: 0 })));
    } catch (error) {
      for (const [agent, calls] of counted) pending.set(agent, (pending.get(agent) ?? 0) + calls);
      throw error;
    }
  }

  return {
    ran(agent) {
      const name = pending.has(agent) || pending.size < MOST_AGENTS ? agent : REST;
      pending.set(name, (pending.get(name) ?? 0) + 1);
    },
    async counts() {
      await flush();
      return listPromptCounts(db);
    },
    flush,
  };
}
