import type { Command } from "commander";
import { z } from "zod";
import { commandAnswer } from "../../wire/index.ts";
import { table } from "../render/index.ts";
import type { Session } from "../session.ts";
import { type CommandContext, globalOptions, path, text, verb } from "./define.ts";
import { AGENT_HELP, printCall, readInput } from "./tool.ts";

export function defineCommandCommands(program: Command, context: CommandContext): void {
  const command = globalOptions(program.command("command")).description("see and run the commands of loaded plugins");
  verb(command, context, "list", "list the commands that an agent has", "sallyport command list", listCommands)
    .alias("ls")
    .option("--agent <name>", AGENT_HELP);
  verb(
    command,
    context,
    "run <name> [args...]",
    "run a command: call its tool, through every gate",
    `sallyport command run weather__weather Bern`,
    run(context),
  )
    .option("--input <json>", "its input: JSON, @FILE, or - for standard input; words and KEY=VALUE go over it", "{}")
    .option("--approval <id>", "the approval that lets this call run")
    .option("--agent <name>", AGENT_HELP);
}

async function listCommands(session: Session, _args: readonly string[], options: Readonly<Record<string, unknown>>) {
  const { result } = await session.call("GET", "/api/commands", { agent: text(options, "agent") });
  session.print(result, () =>
    table(
      ["NAME", "TOOL", "WORDS", "DESCRIPTION"],
      z
        .array(commandAnswer)
        .parse(result)
        .map(({ name, tool, words, description }) => [name, tool, words.join(" ").toUpperCase(), description]),
      "No command is available. Load a plugin that has some: sallyport plugin load ID",
    ),
  );
}

/** `KEY=VALUE` for a key that looks like one; a text with `=` behind other characters is a word. */
const PAIR = /^([A-Za-z_][A-Za-z0-9_-]*)=(.*)$/s;

function run(context: CommandContext) {
  return async (
    session: Session,
    [name = "", ...args]: readonly string[],
    options: Readonly<Record<string, unknown>>,
  ): Promise<void> => {
    const pairs = args.flatMap((arg) => {
      const [, key, value] = PAIR.exec(arg) ?? [];
      return key === undefined || value === undefined ? [] : [[key, value] as const];
    });
    const approval = text(options, "approval");
    const agent = text(options, "agent");
    const owner = await session.owner();
    const { json } = await owner.request("POST", `${path("/api/commands", name)}/run`, {
      body: {
        input: await readInput(session, text(options, "input") ?? "{}"),
        words: args.filter((arg) => !PAIR.test(arg)),
        values: Object.fromEntries(pairs),
        ...(approval !== undefined && { approval }),
      },
      headers: { ...session.credentials(), ...(agent !== undefined && { "x-sallyport-agent": agent }) },
    });
    printCall(context, session, json);
  };
}
