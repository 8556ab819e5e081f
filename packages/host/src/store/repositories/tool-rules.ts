import type { Decision } from "../../kernel/index.ts";
import { build } from "../build.ts";
import type { Database, Statement, ToolRule } from "../types.ts";

/** Stands for "every agent" in the table, where a primary key has no NULL. No agent has an empty name. */
const EVERY_AGENT = "";

export async function listToolRules(db: Database): Promise<readonly ToolRule[]> {
  const rows = await db.query.selectFrom("tool_rules").selectAll().orderBy("tool").orderBy("agent").execute();
  return rows.map((row) => ({
    tool: row.tool,
    agent: row.agent === EVERY_AGENT ? null : row.agent,
    decision: toDecision(row.decision),
    setBy: row.set_by,
    setAt: row.set_at,
  }));
}

/** Sets the rule of a (tool, agent), or replaces it. */
export function saveToolRule(rule: ToolRule): Statement {
  const values = { decision: rule.decision, set_by: rule.setBy, set_at: rule.setAt };
  return {
    query: build
      .insertInto("tool_rules")
      .values({ tool: rule.tool, agent: rule.agent ?? EVERY_AGENT, ...values })
      .onConflict((conflict) => conflict.columns(["tool", "agent"]).doUpdateSet(values))
      .compile(),
    expect: 1,
  };
}

export function deleteToolRule(tool: string, agent: string | null): Statement {
  return {
    query: build
      .deleteFrom("tool_rules")
      .where("tool", "=", tool)
      .where("agent", "=", agent ?? EVERY_AGENT)
      .compile(),
  };
}

/** Removes every rule of these tools, whoever the agent. */
export function deleteToolRulesOf(tools: readonly string[]): readonly Statement[] {
  return tools.map((tool) => ({ query: build.deleteFrom("tool_rules").where("tool", "=", tool).compile() }));
}

/** An unknown decision denies. */
function toDecision(text: string): Decision {
  return text === "allow" || text === "require_approval" ? text : "deny";
}
