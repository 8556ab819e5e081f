import { z } from "zod";

/* The shapes of the REST answers about registries, as in answers.ts. */

const signer = z.object({
  state: z.enum(["signed", "unsigned", "unknown"]),
  key: z.string().optional(),
  name: z.string().optional(),
});

export const registryAnswer = z.object({
  name: z.string(),
  kind: z.enum(["index", "npm"]),
  place: z.string(),
  key: z.string().nullable(),
  private: z.boolean(),
  state: z.enum(["ready", "expired", "unsealed", "revoked", "unusable"]),
  counter: z.number().nullable(),
  expires_at: z.number().nullable(),
  versions: z.number().optional(),
  refreshed_at: z.number().nullable(),
  added_by: z.string(),
  added_at: z.number(),
});
export type RegistryAnswer = z.infer<typeof registryAnswer>;

export const refreshAnswer = z.object({
  name: z.string(),
  ok: z.boolean(),
  counter: z.number().optional(),
  versions: z.number().optional(),
  code: z.string().optional(),
  error: z.string().optional(),
  detail: z.string().optional(),
  fix: z.string().optional(),
});
export type RefreshAnswer = z.infer<typeof refreshAnswer>;

export const searchHitAnswer = z.object({
  registry: z.string(),
  id: z.string(),
  version: z.string(),
  versions: z.number(),
  name: z.string(),
  description: z.string(),
  categories: z.array(z.string()),
  signer,
  permissions: z.array(z.object({ capability: z.string(), key: z.string(), risk: z.string() })),
  published_at: z.number(),
  integrity: z.string(),
  /** What to give to `plugin install` to get exactly this. */
  source: z.string(),
});
export type SearchHitAnswer = z.infer<typeof searchHitAnswer>;

export const searchAnswer = z.object({
  hits: z.array(searchHitAnswer),
  total: z.number(),
  warnings: z.array(z.string()),
});
export type SearchAnswer = z.infer<typeof searchAnswer>;
