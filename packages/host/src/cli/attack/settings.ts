import { availableParallelism } from "node:os";
import { placeEngine, probeIsolation } from "../../isolation/index.ts";
import { type IsolationLevel, satisfiesFloor } from "../../kernel/index.ts";
import { runSetting } from "./run.ts";
import type { Attack, AttackStep, LevelResult, Setting } from "./types.ts";

/** Levels of this machine that make a promise; code in the host's own process has none to test. */
export async function levelsToAttack(): Promise<readonly IsolationLevel[]> {
  const hostIsRoot = process.getuid?.() === 0;
  const { report } = await probeIsolation({ engine: await placeEngine({ hostIsRoot }), hostIsRoot });
  return report.available.filter((level) => satisfiesFloor(level, "runtime"));
}

/** A kernel level is attacked twice: as plugins run, and as if the runtime's own permissions were gone. */
export function settingsOf(levels: readonly IsolationLevel[]): readonly Setting[] {
  return levels.flatMap((level): readonly Setting[] => [
    ...(satisfiesFloor(level, "kernel") ? [{ level, permissions: "open" } as const] : []),
    { level, permissions: "closed" },
  ]);
}

/** With the runtime's permissions closed, every system call ends at the same wall, and one stands for all. */
export function attacksFor({ permissions }: Setting, attacks: readonly Attack[]): readonly Attack[] {
  if (permissions === "open") return attacks;
  const [one] = attacks.filter(({ plugin }) => plugin === SYSTEM_CALLS);
  return attacks.filter((attack) => attack.plugin !== SYSTEM_CALLS || attack === one);
}

const SYSTEM_CALLS = "raw-syscalls";

export interface RunAllOptions {
  readonly plugins: string;
  readonly attacks: readonly Attack[];
  readonly onStep?: (step: AttackStep) => void;
  readonly signal?: AbortSignal;
}

/** Attacks every setting, two at a time where there are two processors; the answer keeps the order of the settings. */
export async function runSettings(
  settings: readonly Setting[],
  { attacks, onStep, ...options }: RunAllOptions,
): Promise<readonly LevelResult[]> {
  const of = settings.reduce((sum, setting) => sum + attacksFor(setting, attacks).length, 0);
  let done = 0;
  const results: (LevelResult | undefined)[] = settings.map(() => undefined);
  const waiting = settings.map((setting, index) => ({ setting, index }));
  async function work(): Promise<void> {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { setting, index } = next;
      results[index] = await runSetting(setting, {
        ...options,
        attacks: attacksFor(setting, attacks),
        onStep: ({ name }) => onStep?.({ name: `${setting.level} ${name}`, index: done++, of }),
      });
    }
  }
  await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, work));
  return results.filter((result) => result !== undefined);
}
