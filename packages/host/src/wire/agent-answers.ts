import { z } from "zod";
import { EFFECTS } from "../kernel/index.ts";

/* Answers about agents, tokens and commands; see answers.ts. */
const schema = z.union([z.boolean(), z.record(z.string(), z.unknown())]);

export const profileAnswer = z.object({
  tools: z.array(z.string()).optional(),
  deny: z.array(z.string()).optional(),
  strongest_effect: z.enum(EFFECTS).optional(),
  enabled_tools: z.array(z.string()).optional(),
  calls_per_minute: z.number().optional(),
  calls_in_flight: z.number().optional(),
});

export const agentAnswer = z.object({
  name: z.string(),
  from: z.array(z.enum(["config", "store"])),
  profile: profileAnswer,
  admitted: z.boolean(),
  calls_in_flight: z.number(),
  calls_last_minute: z.number(),
  limited: z.number(),
});
export type AgentAnswer = z.infer<typeof agentAnswer>;

export const tokenAnswer = z.object({
  id: z.string(),
  kind: z.enum(["agent", "operator"]),
  name: z.string(),
  scopes: z.array(z.enum(["operate", "approve", "admin"])),
  guarded: z.boolean(),
  state: z.enum(["valid", "expired", "revoked"]),
  created_by: z.string(),
  created_at: z.number(),
  expires_at: z.number().nullable(),
  last_used_at: z.number().nullable(),
});
export type TokenAnswer = z.infer<typeof tokenAnswer>;

/** A token that was just made: the only answer that holds the token itself. */
export const madeTokenAnswer = tokenAnswer.extend({ token: z.string() });

export const commandAnswer = z.object({
  name: z.string(),
  plugin: z.string(),
  command: z.string(),
  description: z.string(),
  tool: z.string(),
  words: z.array(z.string()),
  input_schema: schema,
});
export type CommandAnswer = z.infer<typeof commandAnswer>;
