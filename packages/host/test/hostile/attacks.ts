import { readFileSync } from "node:fs";
import { z } from "zod";
import { repositoryPlugin } from "../support/home.ts";

const attack = z.strictObject({
  plugin: z.string(),
  tries: z.string(),
  stage: z.enum(["load", "call"]),
  input: z.record(z.string(), z.unknown()),
  contained: z.strictObject({ codes: z.array(z.string()), evidence: z.enum(["refused", "any"]).optional() }),
});
export type Attack = z.infer<typeof attack>;

/** Every run of every hostile plugin, and what containing it means. */
export const ATTACKS = z
  .array(attack)
  .parse(JSON.parse(readFileSync(repositoryPlugin("hostile/attacks.json"), "utf8")));

export const Evidence = z.object({
  evidence: z.array(
    z.object({
      attempt: z.string(),
      outcome: z.enum(["refused", "succeeded"]),
      error: z.string().optional(),
      detail: z.string().optional(),
    }),
  ),
});
