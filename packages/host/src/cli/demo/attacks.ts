import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";

/** One entry of `plugins/hostile/attacks.json`; its README says what each field means. */
const attack = z.strictObject({
  plugin: z.string(),
  tries: z.string(),
  stage: z.enum(["load", "call"]),
  input: z.record(z.string(), z.unknown()),
  contained: z.strictObject({ codes: z.array(z.string()), evidence: z.enum(["refused", "any"]).optional() }),
});
export type Attack = z.infer<typeof attack>;

const evidence = z.object({
  evidence: z.array(z.object({ attempt: z.string(), outcome: z.enum(["refused", "succeeded"]) })),
});

/** How an attack ended: with an error code, or with an answer. */
export type Ending = { readonly code: string } | { readonly answer: unknown };

export interface Verdict {
  readonly contained: boolean;
  /** In plain words: what became of it. */
  readonly how: string;
}

export async function readAttacks(folder: string): Promise<readonly Attack[]> {
  return z.array(attack).parse(JSON.parse(await readFile(join(folder, "attacks.json"), "utf8")));
}

/** Contained: it ended as the list allows. An answer without evidence proves nothing, unless the list says that any will do. */
export function judge({ contained }: Attack, ending: Ending): Verdict {
  if ("code" in ending) return { contained: contained.codes.includes(ending.code), how: `ended with ${ending.code}` };
  if (contained.evidence === "any")
    return { contained: true, how: "it did as it liked inside, and nothing came of it" };
  const parsed = evidence.safeParse(ending.answer);
  if (contained.evidence === undefined || !parsed.success) return { contained: false, how: "it got an answer through" };
  const attempts = parsed.data.evidence;
  const won = attempts.filter((item) => item.outcome === "succeeded");
  if (won.length > 0) return { contained: false, how: `succeeded: ${won.map((item) => item.attempt).join("; ")}` };
  return { contained: attempts.length > 0, how: `${attempts.length} attempts, all refused` };
}
