import { createTurns } from "../catalog/index.ts";
import { type HostConfig, parseConfig } from "../config/index.ts";
import { readConfigFile } from "../home/index.ts";
import { toSallyportError } from "../kernel/index.ts";
import type { PolicyClock } from "../policy/index.ts";
import type { HomeParts } from "./parts.ts";
import { openPolicyClock } from "./policy-state.ts";
import { type Decisions, readDecisions } from "./state.ts";

/** The configuration and the operators' decisions that are in force now. */
export interface ConfigState {
  readonly config: HostConfig;
  readonly decisions: Decisions;
  /** Time as rules see it. */
  readonly time: PolicyClock;
  /** Why config.yml as it is now is not in force; `null` when it is. */
  readonly problem: string | null;
  /** Reads the operators' decisions again. */
  refresh(): Promise<void>;
  /** Reads config.yml again; false when nothing changed or the file is not valid: then the last valid one stays. */
  reload(): Promise<boolean>;
  onChange(listener: () => void): void;
}

export async function createConfigState(parts: HomeParts): Promise<ConfigState> {
  let { config } = parts;
  let text = await readConfigFile(parts.home);
  let problem: string | null = null;
  let decisions = await readDecisions(parts.db, config);
  const time = await openPolicyClock(parts.db, parts.audit, parts.clock);
  const listeners: (() => void)[] = [];

  /** Changes of the file are read one after the other, so that the last one read is the last one written. */
  const inTurn = createTurns();

  async function reload(): Promise<boolean> {
    try {
      const next = await readConfigFile(parts.home);
      if (next === text) return false;
      config = parseConfig(next);
      text = next;
      problem = null;
    } catch (error) {
      problem = toSallyportError(error).message;
      return false;
    }
    await refresh();
    return true;
  }

  async function refresh(): Promise<void> {
    decisions = await readDecisions(parts.db, config);
    for (const listener of listeners) listener();
  }

  return {
    get config() {
      return config;
    },
    time,
    get decisions() {
      return decisions;
    },
    get problem() {
      return problem;
    },
    refresh,
    reload: () => inTurn("config", reload),
    onChange: (listener) => void listeners.push(listener),
  };
}
