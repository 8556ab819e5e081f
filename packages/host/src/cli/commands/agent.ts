import type { Command } from "commander";
import { z } from "zod";
import { agentAnswer, type AgentAnswer } from "../../wire/index.ts";
import { displayLine } from "../../kernel/index.ts";
import { table } from "../render/index.ts";
import type { Session } from "../session.ts";
import { collectCommas, type CommandContext, globalOptions, list, path, text, usage, verb } from "./define.ts";

export function defineAgentCommands(program: Command, context: CommandContext): void {
  const agent = globalOptions(program.command("agent")).description(
    "say which tools an agent has, and how often it may ask",
  );
  verb(
    agent,
    context,
    "list",
    "list agents, their profiles and what they do now",
    "sallyport agent list",
    listAgents,
  ).alias("ls");
  verb(
    agent,
    context,
    "set <name>",
    "set an agent's profile; what is left out is as config.yml says",
    "sallyport agent set research --tools 'weather__*' --calls-per-minute 60",
    setAgent,
  )
    .option("--tools <patterns>", "the only tools that it sees: names, or a beginning and *; by commas", collectCommas)
    .option("--no-tools", "it sees no tool at all")
    .option("--deny <patterns>", "tools that it never sees", collectCommas)
    .option("--strongest-effect <effect>", "read, write, external or destructive: it sees no tool that can do more")
    .option("--enable-tools <patterns>", "tools above read that it may use though not every agent may", collectCommas)
    .option("--calls-per-minute <n>", "how many calls may begin in any minute")
    .option("--calls-in-flight <n>", "how many calls may be under way at the same time");
  verb(
    agent,
    context,
    "remove <name>",
    "take away what `agent set` said; a profile in config.yml stays",
    "sallyport agent remove research",
    remove,
  ).alias("rm");
}

async function listAgents(session: Session) {
  const { agents, enabled_tools: enabled } = await session.get(
    z.object({ agents: z.array(agentAnswer), enabled_tools: z.array(z.string()) }),
    "GET",
    "/api/agents",
  );
  session.print({ agents, enabled_tools: enabled }, () => {
    const rows = agents.map((one) => [
      one.name,
      one.admitted ? one.from.join("+") || "default" : "refused",
      toolsOf(one),
      one.profile.strongest_effect ?? "any",
      rateOf(one),
      flightOf(one),
      String(one.limited),
    ]);
    const listed = table(
      ["NAME", "PROFILE", "TOOLS", "EFFECT UP TO", "CALLS/MIN", "IN FLIGHT", "LIMITED"],
      rows,
      "No agent has a profile of its own, and none is at work.",
    );
    const names = enabled.length === 0 ? "none" : displayLine(enabled.join(", "), 2000);
    return `${listed}Tools above read that every agent may use (config.yml may add some): ${names}\n`;
  });
}

function toolsOf({ profile }: AgentAnswer): string {
  const tools = profile.tools === undefined ? "all" : profile.tools.join(" ") || "none";
  return profile.deny === undefined ? tools : `${tools}, but not ${profile.deny.join(" ")}`;
}

function rateOf({ profile, calls_last_minute: count }: AgentAnswer): string {
  return profile.calls_per_minute === undefined ? "no limit" : `${count} of ${profile.calls_per_minute}`;
}

function flightOf({ profile, calls_in_flight: count }: AgentAnswer): string {
  return profile.calls_in_flight === undefined ? String(count) : `${count} of ${profile.calls_in_flight}`;
}

async function setAgent(session: Session, [name = ""]: readonly string[], options: Readonly<Record<string, unknown>>) {
  const tools = options["tools"] === false ? [] : list(options, "tools");
  const deny = list(options, "deny");
  const enabled = list(options, "enableTools");
  const effect = text(options, "strongestEffect");
  const rate = wholeNumber(options, "callsPerMinute", "--calls-per-minute");
  const flight = wholeNumber(options, "callsInFlight", "--calls-in-flight");
  const answer = await session.get(agentAnswer, "PUT", path("/api/agents", name), {
    body: {
      ...(tools && { tools }),
      ...(deny && { deny }),
      ...(enabled && { enabled_tools: enabled }),
      ...(effect !== undefined && { strongest_effect: effect }),
      ...(rate !== undefined && { calls_per_minute: rate }),
      ...(flight !== undefined && { calls_in_flight: flight }),
    },
  });
  session.print(
    answer,
    `${session.style.good("✔")} ${displayLine(name)}: in force now. It sees: ${displayLine(toolsOf(answer), 500)}.\n`,
  );
}

function wholeNumber(options: Readonly<Record<string, unknown>>, name: string, flagName: string): number | undefined {
  const given = text(options, name);
  if (given === undefined) return undefined;
  if (/^[1-9]\d{0,5}$/.test(given)) return Number(given);
  throw usage(`${flagName} is no whole number from 1.`, `Write ${flagName} 60.`);
}

async function remove(session: Session, [name = ""]: readonly string[]) {
  await session.call("DELETE", path("/api/agents", name));
  session.print({ success: true, name }, `${session.style.good("✔")} Removed what was set for ${displayLine(name)}.\n`);
}

/** Part of `tool`: whether agents may use a tool above read at all. */
export function defineToolSwitches(tool: Command, context: CommandContext): void {
  verb(
    tool,
    context,
    "enable <name>",
    "let every agent use a tool that can do more than read, as far as policy and approvals do",
    "sallyport tool enable notes__save",
    toggle("enable"),
  );
  verb(
    tool,
    context,
    "disable <name>",
    "let agents use a tool no more, unless it only reads or their own profile enables it",
    "sallyport tool disable notes__save",
    toggle("disable"),
  );
}

function toggle(what: "enable" | "disable") {
  return async (session: Session, [name = ""]: readonly string[]): Promise<void> => {
    const { result } = await session.call("POST", `${path("/api/tools", name)}/${what}`, { body: {} });
    session.print(result, `${session.style.good("✔")} ${displayLine(name)} is ${what}d.\n`);
  };
}
