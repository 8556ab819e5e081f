import { build } from "../build.ts";
import type { Database, Statement } from "../types.ts";

/** Full names of tools that agents may use at all, in order. */
export async function listEnabledTools(db: Database): Promise<readonly string[]> {
  const rows = await db.query.selectFrom("enabled_tools").select("tool").orderBy("tool").execute();
  return rows.map(({ tool }) => tool);
}

export function enableTool(tool: string, setBy: string, setAt: number): Statement {
  return {
    query: build
      .insertInto("enabled_tools")
      .values({ tool, set_by: setBy, set_at: setAt })
      .onConflict((conflict) => conflict.column("tool").doUpdateSet({ set_by: setBy, set_at: setAt }))
      .compile(),
    expect: 1,
  };
}

/** Takes these tools off the list; one that is not on it stays off. */
export function disableTools(tools: readonly string[]): readonly Statement[] {
  return tools.map((tool) => ({ query: build.deleteFrom("enabled_tools").where("tool", "=", tool).compile() }));
}
