import { z } from "zod";

const permission = z.object({
  key: z.string(),
  capability: z.string(),
  change: z.enum(["keep", "narrow", "remove", "unseen", "add"]),
  sentence: z.string(),
  proposed: z.array(z.string()),
  uses: z.number(),
  last_used: z.number().nullable(),
});
export type LearnedPermissionBody = z.infer<typeof permission>;

export const learnAnswer = z.object({
  plugin: z.object({ id: z.string(), version: z.string(), digest: z.string() }),
  from: z.number().nullable(),
  to: z.number().nullable(),
  calls: z.number(),
  agents: z.number(),
  never_called: z.array(z.string()),
  truncated: z.boolean(),
  confidence: z.enum(["none", "low", "some", "good"]),
  permissions: z.array(permission),
  refused: z.array(
    z.object({ wish: z.string(), reason: z.string(), count: z.number(), last: z.number(), included: z.boolean() }),
  ),
  manifest: z.record(z.string(), z.array(z.record(z.string(), z.unknown()))),
  yaml: z.string(),
  approve: z.object({ only: z.array(z.string()), scopes: z.array(z.string()) }).nullable(),
});
export type LearnAnswerBody = z.infer<typeof learnAnswer>;
