import { beforeAll, describe, expect, it } from "vitest";
import { type Attack, attacksFor, type LevelResult, runSetting, type Setting } from "../../src/cli/attack/index.ts";
import { ATTACKS, PLUGINS } from "./attacks.ts";

export interface Containment extends Setting {
  readonly name: string;
  /** Why this machine cannot run it; the tests are then reported as skipped. */
  readonly lacking?: string | undefined;
  /** Groups that another setting runs already, with the same mechanism against them. */
  readonly elsewhere?: readonly string[];
  /** Another setting shows more, and runs all: of each plugin only the first attack is run here. */
  readonly oneOfEach?: boolean;
}

/** Set it to run every attack at every setting, as `sallyport doctor --attack` does. */
const ALL = process.env["SALLYPORT_ALL_ATTACKS"] === "1";

/** The run as a whole; each attack is a test of its own, read from what the run found. */
const RUN_MS = 400_000;

/** Runs the attacks of plugins/hostile as `doctor --attack` does, against a real host, and reports each. */
export function describeContainment({ name, lacking, level, permissions, ...less }: Containment): void {
  const all = attacksFor({ level, permissions }, ATTACKS);
  const attacks = ALL ? all : fewer(all, less);
  const title = lacking === undefined ? name : `${name} (not on this machine: ${lacking})`;
  describe.skipIf(lacking !== undefined)(`hostile plugins at ${title}`, () => {
    let result: LevelResult;
    beforeAll(async () => {
      result = await runSetting({ level, permissions }, { plugins: PLUGINS, attacks });
    }, RUN_MS);

    const promised = attacks.filter(({ notPromised }) => !notPromised.includes(level));
    it.each(promised.map((attack) => [titleOf(attack), attack.name] as const))("contains %s", (_title, attack) => {
      const found = result.attacks.find((entry) => entry.name === attack);
      expect(found, found?.evidence).toMatchObject({ contained: true, guaranteed: true });
      expect(found?.layer).not.toBeNull();
    });

    it("tells what it makes no promise about, and counts the rest", () => {
      expect(result.not_guaranteed).toBe(attacks.length - promised.length);
      expect([result.level, result.contained, result.escaped]).toEqual([level, promised.length + 1, 0]);
    });

    it("leaves no process behind, and an audit that verifies [S0-38] [S3-9]", () => {
      expect(result.attacks.at(-1)).toMatchObject({ name: "afterwards", contained: true });
    });
  });
}

function fewer(
  attacks: readonly Attack[],
  { elsewhere = [], oneOfEach = false }: Pick<Containment, "elsewhere" | "oneOfEach">,
): readonly Attack[] {
  const seen = new Set<string>();
  return attacks.filter(({ group, plugin }) => {
    if (elsewhere.includes(group) || (oneOfEach && seen.has(plugin))) return false;
    seen.add(plugin);
    return true;
  });
}

function titleOf({ name, plugin, tries }: Attack): string {
  const rows = ROWS[name] ?? ROWS[plugin];
  return `${name}: ${tries}${rows === undefined ? "" : ` ${rows}`}`;
}

const ROWS: Readonly<Record<string, string>> = {
  "file-theft": "[S1-10] [S1-14]",
  "canary-theft/deno_read": "[S1-14]",
  "canary-theft/home_vault": "[S1-14]",
  "environment-theft": "[S1-14]",
  "process-spy/host_environment": "[S1-14]",
  "network-exfiltration": "[S1-17]",
  "decoy-calls/deno_connect": "[S1-17]",
  "broker-abuse": "[S0-10] [S1-11]",
  "undeclared-tool": "[S2-18]",
  "forged-answers": "[S1-9]",
  "memory-bomb": "[S1-12] [S1-13]",
  "busy-loop": "[S1-13]",
  "message-flood": "[S1-13]",
  "never-answers": "[S1-13]",
  fork: "[S3-83]",
};
