import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { ISOLATION_LEVELS } from "../../kernel/index.ts";
import type { Attack, Ending } from "./types.ts";

const family = z.strictObject({
  plugin: z.string(),
  group: z.string(),
  tries: z.string().optional(),
  stage: z.enum(["load", "call"]),
  contained: z.strictObject({ codes: z.array(z.string()), evidence: z.enum(["refused", "any"]).optional() }),
  next: z.enum(["unload", "kill_host", "cancel", "ends"]).optional(),
  not_promised: z.array(z.enum(ISOLATION_LEVELS)).optional(),
  told: z.boolean().optional(),
  demo: z.boolean().optional(),
  kinds: z
    .array(
      z.strictObject({
        kind: z.string(),
        tries: z.string(),
        codes: z.array(z.string()).optional(),
        evidence: z.enum(["refused", "any"]).optional(),
        next: z.enum(["unload", "kill_host", "cancel", "ends"]).optional(),
        not_promised: z.array(z.enum(ISOLATION_LEVELS)).optional(),
        demo: z.boolean().optional(),
      }),
    )
    .optional(),
});

/** Every run of every hostile plugin in a folder, as its `attacks.json` lists them. */
export async function readAttacks(folder: string): Promise<readonly Attack[]> {
  const families = z.array(family).parse(JSON.parse(await readFile(join(folder, "attacks.json"), "utf8")));
  return families.flatMap(({ kinds, ...one }): Attack[] => {
    const whole = {
      group: one.group,
      plugin: one.plugin,
      stage: one.stage,
      told: one.told ?? false,
      notPromised: one.not_promised ?? [],
    };
    if (kinds === undefined) {
      const { plugin: name, tries = name, contained, next, demo = false } = one;
      return [{ ...whole, name, tries, input: {}, contained, next, demo }];
    }
    return kinds.map((run) => ({
      ...whole,
      name: `${one.plugin}/${run.kind}`,
      tries: run.tries,
      input: { kind: run.kind },
      contained: {
        codes: run.codes ?? one.contained.codes,
        evidence: run.codes === undefined ? (run.evidence ?? one.contained.evidence) : run.evidence,
      },
      next: run.next ?? one.next,
      notPromised: run.not_promised ?? whole.notPromised,
      demo: run.demo ?? false,
    }));
  });
}

const evidence = z.object({
  evidence: z.array(
    z.object({ attempt: z.string(), outcome: z.enum(["refused", "succeeded"]), error: z.string().optional() }),
  ),
});
export type Attempt = z.infer<typeof evidence>["evidence"][number];

export interface Word {
  /** The ending is one of those that the list names for a contained attack. */
  readonly expected: boolean;
  /** What the plugin says that it managed. */
  readonly succeeded: readonly string[];
  readonly attempts: readonly Attempt[];
  /** In plain words: what became of it. */
  readonly how: string;
}

/** What the ending says. An answer without evidence proves nothing, unless the list says that any will do. */
export function wordOf({ contained }: Attack, ending: Ending): Word {
  if ("code" in ending) {
    const how = `ended with ${ending.code}${ending.detail === undefined ? "" : `: ${ending.detail}`}`;
    return { expected: contained.codes.includes(ending.code), succeeded: [], attempts: [], how };
  }
  if (contained.evidence === "any")
    return { expected: true, succeeded: [], attempts: [], how: "it did as it liked inside, and nothing came of it" };
  const parsed = evidence.safeParse(ending.answer);
  if (contained.evidence === undefined || !parsed.success)
    return { expected: false, succeeded: [], attempts: [], how: "it got an answer through" };
  const attempts = parsed.data.evidence;
  const won = attempts.filter(({ outcome }) => outcome === "succeeded").map(({ attempt }) => attempt);
  const first = attempts.find(({ error }) => error !== undefined)?.error;
  const refused = attempts.length === 1 ? `refused: ${first}` : `${attempts.length} attempts, all refused: ${first}`;
  const how = won.length > 0 ? `succeeded: ${won.join("; ")}` : refused;
  return { expected: attempts.length > 0, succeeded: won, attempts, how };
}
