import type { Command } from "commander";
import { z } from "zod";
import { displayLine, displayText } from "../../kernel/index.ts";
import { databaseAnswer, databaseCheckAnswer } from "../../wire/index.ts";
import { table } from "../render/index.ts";
import type { Session } from "../session.ts";
import { type CommandContext, globalOptions, path, verb } from "./define.ts";

export function defineDatabaseCommands(program: Command, context: CommandContext): void {
  const database = globalOptions(program.command("database")).description(
    "connections to databases that config.yml names",
  );
  verb(
    database,
    context,
    "list",
    "list connections, and the plugins that were granted them",
    "sallyport database list",
    list,
  ).alias("ls");
  verb(
    database,
    context,
    "check <name>",
    "open a connection as it would be for a plugin, and say what its role may do",
    "sallyport database check crm",
    (session, args) => check(session, args, context),
  );
}

async function list(session: Session) {
  const { result } = await session.call("GET", "/api/databases");
  session.print(result, () =>
    table(
      ["NAME", "KIND", "MODE", "LEADS TO", "GRANTED TO"],
      z
        .array(databaseAnswer)
        .parse(result)
        .map(({ name, kind, mode, target, plugins }) => [name, kind, mode, target, plugins.join(", ") || "nobody"]),
      "config.yml names no connection. Write one under databases.",
    ),
  );
}

async function check(session: Session, [name = ""]: readonly string[], context: CommandContext) {
  const { result } = await session.call("POST", path("/api/databases", name, "check"), { body: {} });
  const answer = databaseCheckAnswer.parse(result);
  if (!answer.ok) context.exitWith(1);
  session.print(result, () => {
    const { style } = session;
    const lines = answer.facts.map((fact) => `  ${displayText(fact, 500)}\n`);
    for (const { problem, fix } of answer.problems) {
      lines.push(
        `  ${style.bad("✘")} ${displayText(problem, 1000)}\n    ${style.dim("fix:")} ${displayText(fix, 500)}\n`,
      );
    }
    const head = answer.ok
      ? `${style.good("✔")} ${displayLine(answer.name)} can be opened, and lets plugins do no more than it says.\n`
      : `${style.bad("✘")} ${displayLine(answer.name)} is not opened for any plugin as it is.\n`;
    return head + lines.join("");
  });
}
