import { z } from "zod";
import { ISOLATION_LEVELS } from "../../kernel/index.ts";

/*
 * What the attack run says to the host that it attacks, one JSON object a line. The host is a process of its own, so that its
 * environment holds a canary, its death can be seen, and `kill -9` can be tried on it.
 */
const approve = z.object({ scopes: z.array(z.string()), allowTools: z.array(z.string()) });

export const order = z.discriminatedUnion("do", [
  z.object({
    do: z.literal("open"),
    home: z.string(),
    level: z.enum(ISOLATION_LEVELS),
    permissions: z.enum(["closed", "open"]),
    /** Where connections to the granted server, and to anything else, are led. */
    grantedPort: z.number(),
    decoyPort: z.number(),
  }),
  z.object({ do: z.literal("install"), source: z.string(), approve }),
  z.object({ do: z.literal("load"), plugin: z.string() }),
  z.object({ do: z.literal("unload"), plugin: z.string() }),
  z.object({
    do: z.literal("call"),
    plugin: z.string(),
    tool: z.string(),
    input: z.record(z.string(), z.unknown()),
    cancelAfterMs: z.number().optional(),
  }),
  z.object({ do: z.literal("secret"), name: z.string(), value: z.string(), origin: z.string() }),
  z.object({ do: z.literal("swap"), plugin: z.string() }),
  z.object({ do: z.literal("health") }),
  z.object({ do: z.literal("close") }),
]);
export type Order = z.infer<typeof order>;

export const request = z.object({ id: z.number(), order });

/** The answer to one order: what came of it, or the error's code. */
export const reply = z.union([
  z.object({ id: z.number(), ok: z.literal(true), result: z.unknown() }),
  z.object({ id: z.number(), ok: z.literal(false), code: z.string(), detail: z.string() }),
]);
export type Reply = z.infer<typeof reply>;

/** What a host says about itself after an attack. */
export const health = z.object({ polluted: z.array(z.string()), logs: z.string(), audit: z.boolean().nullable() });
