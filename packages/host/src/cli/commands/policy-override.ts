import type { Command } from "commander";
import { z } from "zod";
import { displayLine } from "../../kernel/index.ts";
import { overrideAnswer } from "../../wire/index.ts";
import { isoTime, parseExpiry, table } from "../render/index.ts";
import type { Session } from "../session.ts";
import { collect, type CommandContext, globalOptions, list, path, text, usage, verb } from "./define.ts";
import { ruleText } from "./policy-views.ts";

type Options = Readonly<Record<string, unknown>>;

/** Rules for a time. */
export function defineOverrideCommands(policy: Command, context: CommandContext): void {
  const override = globalOptions(policy.command("override")).description(
    "rules for a time, which lift no deny and end by themselves",
  );
  verb(
    override,
    context,
    "add",
    "add a rule until a time",
    "sallyport policy override add --decision allow --tool weather__forecast --agent local --until 2h",
    add,
  )
    .requiredOption("--decision <decision>", "allow, require_approval or deny")
    .requiredOption("--until <time>", "12h, 90m or an ISO date; at most 30 days from now")
    .option("--tool <name>", "a tool, or a prefix and *; repeat for more", collect)
    .option("--plugin <id>", "a plugin; repeat for more", collect)
    .option("--agent <name>", "an agent; repeat for more", collect)
    .option("--effect <effect>", "read, write, external or destructive; repeat for more", collect)
    .option("--when <condition>", "on an argument: city=Be*, path=/srv/**, count<=5; repeat for more", collect)
    .option("--reason <text>", "for people, and for agents that it stops");
  verb(override, context, "list", "list the rules for a time", "sallyport policy override list", listOverrides).alias(
    "ls",
  );
  verb(
    override,
    context,
    "remove <id>",
    "take one back before its time",
    "sallyport policy override remove ovr_0123",
    remove,
  ).alias("rm");
}

async function add(session: Session, _args: readonly string[], options: Options): Promise<void> {
  const when = list(options, "when");
  const { parseConditionArguments } = await import("../../policy/index.ts");
  const rule = {
    decision: text(options, "decision"),
    ...given(options, ["tool", "plugin", "agent", "effect"]),
    ...(when === undefined ? {} : { when: parseConditionArguments(when) }),
    ...(text(options, "reason") === undefined ? {} : { reason: text(options, "reason") }),
  };
  const narrows = ["tool", "plugin", "agent", "effect", "when"].some((key) => key in rule);
  if (!narrows && rule.decision !== "deny") {
    throw usage("That would be a rule for everything.", "Name a tool, a plugin, an agent or an effect.");
  }
  const { result } = await session.call("POST", "/api/policy/overrides", {
    body: { rule, ends_at: parseExpiry(text(options, "until") ?? "", session.io.now()) },
  });
  const added = overrideAnswer.parse(result);
  session.print(
    { success: true, result },
    () =>
      `${session.style.good("✔")} ${added.id}: ${rule.decision} ${displayLine(ruleText(added.rule), 500)} until ${isoTime(added.ends_at)}.\n`,
  );
}

function given(options: Options, names: readonly string[]): Record<string, readonly string[]> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const values = list(options, name);
      return values === undefined ? [] : [[name, values]];
    }),
  );
}

async function listOverrides(session: Session): Promise<void> {
  const { result } = await session.call("GET", "/api/policy/overrides");
  session.print(result, () =>
    table(
      ["ID", "DECISION", "FOR", "UNTIL", "BY"],
      z
        .array(overrideAnswer)
        .parse(result)
        .map(({ id, rule, ends_at, set_by }) => [
          id,
          String(rule["decision"]),
          ruleText(rule),
          isoTime(ends_at),
          set_by,
        ]),
      "There is no rule for a time.",
    ),
  );
}

async function remove(session: Session, [id = ""]: readonly string[]): Promise<void> {
  await session.call("DELETE", path("/api/policy/overrides", id));
  session.print({ success: true, id }, `${session.style.good("✔")} ${displayLine(id)} no longer holds.\n`);
}
