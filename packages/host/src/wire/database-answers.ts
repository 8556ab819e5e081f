import { z } from "zod";

export const databaseAnswer = z.object({
  name: z.string(),
  kind: z.enum(["sqlite", "postgres"]),
  mode: z.enum(["r", "rw"]),
  target: z.string(),
  plugins: z.array(z.string()),
});

export const databaseCheckAnswer = z.object({
  name: z.string(),
  ok: z.boolean(),
  facts: z.array(z.string()),
  problems: z.array(z.object({ problem: z.string(), fix: z.string() })),
});
