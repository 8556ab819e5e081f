import { z } from "zod";
import { readAttacks } from "../../src/cli/demo/index.ts";
import { repositoryPlugin } from "../support/home.ts";

export type { Attack } from "../../src/cli/demo/index.ts";

/** Every run of every hostile plugin, and what containing it means. */
export const ATTACKS = await readAttacks(repositoryPlugin("hostile"));

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
