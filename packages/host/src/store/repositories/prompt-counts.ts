import { build } from "../build.ts";
import type { Database, Statement } from "../types.ts";

export interface PromptCount {
  readonly agent: string;
  /** Calls that ran. */
  readonly calls: number;
  /** Requests that were put before an operator. */
  readonly prompts: number;
}

export function countPrompts({ agent, calls, prompts }: PromptCount): Statement {
  return {
    query: build
      .insertInto("prompt_counts")
      .values({ agent, calls, prompts })
      .onConflict((conflict) =>
        conflict.column("agent").doUpdateSet((eb) => ({
          calls: eb("prompt_counts.calls", "+", calls),
          prompts: eb("prompt_counts.prompts", "+", prompts),
        })),
      )
      .compile(),
  };
}

/** The busiest first. */
export async function listPromptCounts(db: Database): Promise<readonly PromptCount[]> {
  return db.query.selectFrom("prompt_counts").selectAll().orderBy("calls", "desc").orderBy("agent").execute();
}
