import { z } from "zod";

/* The form of a plugin's configuration on the wire; like the other answers, snake_case. */
export const configFieldAnswer = z.object({
  key: z.string(),
  label: z.string(),
  description: z.string().optional(),
  type: z.enum(["text", "number", "integer", "boolean", "choice", "json"]),
  required: z.boolean(),
  sensitive: z.boolean(),
  notice: z.string().optional(),
  is_set: z.boolean(),
  value: z.unknown().optional(),
  default: z.unknown().optional(),
  choices: z
    .array(z.object({ value: z.union([z.string(), z.number(), z.boolean(), z.null()]), label: z.string() }))
    .optional(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
  min_length: z.number().optional(),
  max_length: z.number().optional(),
});
export type ConfigFieldAnswer = z.infer<typeof configFieldAnswer>;

export const configFormAnswer = z.object({
  fields: z.array(configFieldAnswer),
  more: z.number(),
  open: z.boolean(),
});
export type ConfigFormAnswer = z.infer<typeof configFormAnswer>;
