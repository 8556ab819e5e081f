import { z } from "zod";

const decision = z.enum(["allow", "require_approval", "deny"]);

const decided = z.object({
  decision,
  rule: z.string(),
  reason: z.string().optional(),
  because: z.array(z.string()).optional(),
  unclear: z.literal(true).optional(),
  after: z.array(z.string()).optional(),
});
export type DecidedAnswer = z.infer<typeof decided>;

export const policyAnswer = z.object({
  snapshot: z.string(),
  defaults: z.record(z.string(), decision),
  layers: z.array(
    z.object({
      name: z.string(),
      temporary: z.boolean(),
      rules: z.array(z.looseObject({ id: z.string(), decision, line: z.number().optional() })),
    }),
  ),
  time: z.object({ now: z.number(), certain: z.boolean() }),
});

export const policyCheckAnswer = z.object({
  ok: z.boolean(),
  rules: z.number(),
  findings: z.array(
    z.object({
      severity: z.enum(["error", "warning"]),
      rule: z.string(),
      line: z.number().optional(),
      problem: z.string(),
    }),
  ),
});
export type PolicyCheckAnswer = z.infer<typeof policyCheckAnswer>;

export const explanationAnswer = z.object({
  tool: z.string(),
  agent: z.string(),
  effect: z.string(),
  plugin: z.string(),
  grant: z.array(z.string()),
  snapshot: z.string(),
  gates: z.array(z.object({ gate: z.string(), ok: z.boolean(), detail: z.string() })),
  decision: decided,
  rules: z.array(
    z.object({
      rule: z.string(),
      layer: z.string(),
      line: z.number().optional(),
      decision,
      met: z.enum(["yes", "unclear", "no"]),
    }),
  ),
  time: z.object({ now: z.number(), certain: z.boolean() }),
});
export type ExplanationAnswer = z.infer<typeof explanationAnswer>;

export const callExplanationAnswer = z.object({
  call: z.string(),
  time: z.number(),
  tool: z.string(),
  agent: z.string(),
  actor: z.string(),
  plugin: z.object({ id: z.string(), version: z.string(), digest: z.string() }).optional(),
  outcome: z.string().optional(),
  decision: decided.optional(),
  stopped_by: z.object({ gate: z.string(), reason: z.string() }).nullable(),
  snapshot: z.string().optional(),
  snapshot_in_force: z.boolean(),
  rule_now: z.record(z.string(), z.unknown()).optional(),
  grant: z.string().optional(),
  isolation: z.string().optional(),
  approval: z.object({ id: z.string(), by: z.string().nullable(), at: z.number().nullable() }).optional(),
  parent_call: z.string().optional(),
  path: z.array(z.object({ call: z.string(), tool: z.string().optional(), time: z.number().optional() })),
  actions: z.array(
    z.object({
      capability: z.string(),
      target: z.string(),
      method: z.string(),
      decision: z.string(),
      reason: z.string().optional(),
    }),
  ),
});
export type CallExplanationAnswer = z.infer<typeof callExplanationAnswer>;

const simulated = z.object({ call: z.string(), time: z.number(), agent: z.string(), tool: z.string() });

export const simulationAnswer = z.object({
  since: z.number(),
  calls: z.number(),
  unchanged: z.number(),
  milder: z.number(),
  stricter: z.number(),
  changed: z.array(simulated.extend({ was: decided, would: decided })),
  not_evaluated: z.number(),
  unevaluated: z.array(simulated.extend({ why: z.string() })),
  complete: z.boolean(),
});
export type SimulationAnswer = z.infer<typeof simulationAnswer>;

export const overrideAnswer = z.object({
  id: z.string(),
  rule: z.record(z.string(), z.unknown()),
  ends_at: z.number(),
  set_by: z.string(),
  set_at: z.number(),
});
