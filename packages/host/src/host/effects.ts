import { computeEffect } from "../capability/index.ts";
import type { Effect } from "../kernel/index.ts";
import type { LoadedTool } from "./route.ts";

/**
 * The effect that counts for a tool with these scopes: a tool that may call others has theirs too, and what those may call. One that is not
 * loaded counts as destructive, since nobody knows what it will be.
 */
export function effectOf(
  { tool, scopes }: Pick<LoadedTool, "tool" | "scopes">,
  find: (name: string) => Pick<LoadedTool, "tool" | "scopes"> | undefined,
  seen: Set<string> = new Set(),
): Effect {
  return computeEffect(tool.effect, scopes, (name) => {
    // Its effect is a part of the whole already, or will be.
    if (seen.has(name)) return "read";
    seen.add(name);
    const other = find(name);
    return other ? effectOf(other, find, seen) : "destructive";
  });
}
