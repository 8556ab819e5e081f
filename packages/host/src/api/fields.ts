import { z } from "zod";
import { foldId } from "../manifest/index.ts";

/** A plugin's id: `name` or `publisher/name`. Either case and `_` are read as the canonical spelling. */
export const pluginId = z
  .string()
  .max(200)
  .transform(foldId)
  .pipe(z.string().regex(/^[a-z][a-z0-9-]*(\/[a-z][a-z0-9-]*)?$/, "not a plugin's id"));

export const actionName = z.string().regex(/^[A-Za-z][A-Za-z0-9_]{0,63}$/, "not a name of an action");
export const toolName = z.string().regex(/^[A-Za-z][A-Za-z0-9_-]{0,127}$/, "not a name of a tool");
export const handle = z.string().regex(/^[A-Za-z0-9_-]{1,100}$/, "not an id");
/** Any text: the vault has the rule for names, and says it. */
export const secretName = z.string().max(1000);
export const version = z.string().min(1).max(256);
export const reason = z.strictObject({ reason: z.string().max(2000).optional() });
export const nothing = z.strictObject({});
export const jsonObject = z.record(z.string(), z.unknown());
export const timeMs = z.number().int().nonnegative();
/** A number in a query string. */
export const count = z
  .string()
  .regex(/^\d{1,15}$/, "not a whole number")
  .transform(Number);
