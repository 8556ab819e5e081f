import { z } from "zod";

/* The shapes of the REST answers about approvals, as in answers.ts. */

export const APPROVAL_STATES = [
  "pending",
  "approved",
  "denied",
  "expired",
  "cancelled",
  "consumed",
  "withdrawn",
] as const;

export const approvalAnswer = z.object({
  id: z.string(),
  kind: z.enum(["plugin", "call"]),
  state: z.enum(APPROVAL_STATES),
  created_at: z.number(),
  expires_at: z.number().nullable(),
  plugin: z.object({ id: z.string(), version: z.string(), digest: z.string() }),
  sentence: z.string(),
  tool: z.string().optional(),
  agent: z.string().optional(),
  input: z.unknown().optional(),
  input_digest: z.string().optional(),
  effect: z.string().optional(),
  operator: z.string().optional(),
  via: z.array(z.string()).optional(),
  rule: z.string().optional(),
  reach: z.array(z.string()).optional(),
  changes: z.array(z.string()).optional(),
  decided_by: z.string().optional(),
  decided_at: z.number().optional(),
  reason: z.string().optional(),
  standing: z.boolean(),
  covers: z.array(z.string()),
  uses_left: z.number().nullable(),
  uses: z.number(),
  ended_at: z.number().optional(),
  ended_by: z.string().optional(),
  ended_reason: z.string().optional(),
});
export type ApprovalAnswer = z.infer<typeof approvalAnswer>;

/** One line of the feed of `approval watch`. */
export const approvalChangeAnswer = z.object({ change: z.enum(["waiting", "over"]), approval: approvalAnswer });
export type ApprovalChangeAnswer = z.infer<typeof approvalChangeAnswer>;

const prompts = z.object({ calls: z.number(), prompts: z.number(), prompts_per_100: z.number().nullable() });

export const promptStatsAnswer = prompts.extend({
  waiting: z.number(),
  standing: z.number(),
  agents: z.array(prompts.extend({ agent: z.string() })),
});
export type PromptStatsAnswer = z.infer<typeof promptStatsAnswer>;

export const statsAnswer = z.object({
  loaded_plugins: z.number(),
  registry: z.object({ total_plugins: z.number(), active_plugins: z.number() }),
  calls: z.object({ total: z.number(), failed: z.number(), denied: z.number() }),
  approvals: promptStatsAnswer,
});
export type StatsAnswer = z.infer<typeof statsAnswer>;
