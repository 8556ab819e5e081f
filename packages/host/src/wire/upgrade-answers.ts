import { z } from "zod";
import { pluginSummaryAnswer } from "./answers.ts";

const change = z.object({
  key: z.string(),
  capability: z.string(),
  risk: z.string(),
  sentence: z.string(),
  required: z.boolean(),
  needs_scope: z.boolean(),
});
export type UpgradeChangeAnswer = z.infer<typeof change>;

export const upgradeAnswer = z.object({
  id: z.string(),
  from: z.string(),
  to: z.string(),
  digest: z.string(),
  source: z.string(),
  state: z.enum(["current", "possible", "upgraded", "waiting"]),
  difference: z.object({
    added: z.array(change),
    removed: z.array(change),
    tools: z.object({
      added: z.array(z.string()),
      removed: z.array(z.string()),
      changed: z.array(z.object({ name: z.string(), what: z.array(z.string()) })),
    }),
    other: z.array(z.string()),
    questions: z.array(z.string()),
  }),
  needs: z.array(z.object({ id: z.string(), version: z.string() })),
  plugin: pluginSummaryAnswer,
  approval: z.object({ id: z.string() }).optional(),
  warnings: z.array(z.string()),
});
export type UpgradeAnswerBody = z.infer<typeof upgradeAnswer>;

export const upgradeRow = z.union([
  upgradeAnswer,
  z.object({ id: z.string(), from: z.string(), state: z.literal("failed"), code: z.string(), error: z.string() }),
]);
export type UpgradeRowBody = z.infer<typeof upgradeRow>;

export const lockAnswer = z.object({
  file: z.string(),
  state: z.enum(["intact", "changed", "missing"]),
  sealed: z.boolean(),
  plugins: z.number(),
  differences: z.array(z.object({ plugin: z.string(), field: z.string(), expected: z.string(), actual: z.string() })),
});
export type LockAnswerBody = z.infer<typeof lockAnswer>;

export const gcAnswer = z.object({ removed: z.array(z.string()) });
