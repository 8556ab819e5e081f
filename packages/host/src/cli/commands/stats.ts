import type { Command } from "commander";
import { statsAnswer } from "../../wire/index.ts";
import { fields, table } from "../render/index.ts";
import type { Session } from "../session.ts";
import { footer } from "./approval.ts";
import { type CommandContext, verb } from "./define.ts";

export function defineStatsCommand(program: Command, context: CommandContext): void {
  verb(program, context, "stats", "plugins, calls, and how often you are asked", "sallyport stats", stats);
}

async function stats(session: Session): Promise<void> {
  const { result } = await session.call("GET", "/api/stats");
  session.print(result, () => {
    const { registry, loaded_plugins: loaded, calls, approvals } = statsAnswer.parse(result);
    const agents = approvals.agents.map((agent) => [
      agent.agent,
      String(agent.calls),
      String(agent.prompts),
      agent.prompts_per_100 === null ? "-" : String(agent.prompts_per_100),
    ]);
    return [
      fields([
        ["plugins", `${registry.total_plugins} installed, ${loaded} loaded, ${registry.active_plugins} running`],
        ["calls", `${calls.total} since the host started, ${calls.failed} failed, ${calls.denied} refused`],
        ["approvals", `${approvals.waiting} wait, ${approvals.standing} stand`],
      ]),
      footer(approvals),
      agents.length === 0 ? "" : `\n${table(["AGENT", "CALLS", "PROMPTS", "PER 100"], agents, "")}`,
    ].join("");
  });
}
