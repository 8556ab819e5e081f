import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { z } from "zod";
import { callAnswer, type ContentAnswer, toolAnswer, type ToolAnswer } from "../../wire/index.ts";
import {
  displayText,
  type ErrorCode,
  exitCodeOf,
  isErrorCode,
  levelInWords,
  SallyportError,
} from "../../kernel/index.ts";
import { readStream } from "../io.ts";
import { createStyle, fields, renderError, safeJson, table } from "../render/index.ts";
import { answerOf, type Session } from "../session.ts";
import { defineToolSwitches } from "./agent.ts";
import { type CommandContext, globalOptions, path, text, usage, verb } from "./define.ts";

const MAX_INPUT = 2 * 1024 * 1024;
export const AGENT_HELP = "act as this agent; the audit says that an operator did";

export function defineToolCommands(program: Command, context: CommandContext): void {
  const tool = globalOptions(program.command("tool")).description("see and call the tools of loaded plugins");
  verb(tool, context, "list", "list the tools that an agent may see", "sallyport tool list --agent local", listTools)
    .alias("ls")
    .option("--agent <name>", AGENT_HELP);
  verb(
    tool,
    context,
    "info <name>",
    "show a tool with its schemas",
    "sallyport tool info weather__forecast",
    info,
  ).option("--agent <name>", AGENT_HELP);
  verb(
    tool,
    context,
    "call <name>",
    "call a tool through every gate",
    `sallyport tool call weather__forecast --input '{"city":"Bern"}'`,
    call(context),
  )
    .option("--input <json>", "its input: JSON, @FILE, or - for standard input", "{}")
    .option("--approval <id>", "the approval that lets this call run")
    .option("--wait [seconds]", "hold a call that needs an approval until it is answered, at most so long (600)")
    .option("--agent <name>", AGENT_HELP);
  defineToolSwitches(tool, context);
}

function levelOf({ isolation }: ToolAnswer): string {
  return isolation === null ? "-" : levelInWords(isolation);
}

async function listTools(session: Session, _args: readonly string[], options: Readonly<Record<string, unknown>>) {
  const { result } = await session.call("GET", "/api/tools", { agent: text(options, "agent") });
  session.print(result, () =>
    table(
      ["NAME", "EFFECT", "DECISION", "ISOLATION", "DESCRIPTION"],
      z
        .array(toolAnswer)
        .parse(result)
        .map((tool) => [tool.name, tool.effect, tool.decision, levelOf(tool), tool.description]),
      "No tool is available. Load a plugin: sallyport plugin load ID",
    ),
  );
}

async function info(session: Session, [name = ""]: readonly string[], options: Readonly<Record<string, unknown>>) {
  const { result } = await session.call("GET", path("/api/tools", name), { agent: text(options, "agent") });
  session.print(result, () => {
    const tool = toolAnswer.parse(result);
    return fields([
      ["name", tool.name],
      ["plugin", tool.plugin],
      ["description", tool.description],
      ["effect", tool.effect],
      ["decision", tool.decision],
      ["isolation", levelOf(tool)],
      ["input", JSON.stringify(tool.input_schema)],
      ["output", tool.output_schema === undefined ? "anything" : JSON.stringify(tool.output_schema)],
    ]);
  });
}

function call(context: CommandContext) {
  return async (
    session: Session,
    [name = ""]: readonly string[],
    options: Readonly<Record<string, unknown>>,
  ): Promise<void> => {
    const input = await readInput(session, text(options, "input") ?? "{}");
    const agent = text(options, "agent");
    const approval = text(options, "approval");
    const owner = await session.owner();
    const { json } = await owner.request("POST", `${path("/api/tools", name)}/call`, {
      body: { input, ...(approval !== undefined && { approval }), ...waitOf(options) },
      headers: { ...session.credentials(), ...(agent !== undefined && { "x-sallyport-agent": agent }) },
    });
    printCall(context, session, json);
  };
}

const WAIT_S = 600;

function waitOf({ wait }: Readonly<Record<string, unknown>>): { wait_ms?: number } {
  if (wait === undefined) return {};
  const seconds = wait === true ? WAIT_S : Number(wait);
  if (Number.isInteger(seconds) && seconds > 0 && seconds <= 3600) return { wait_ms: seconds * 1000 };
  throw usage("--wait takes seconds, at most 3600.", "Write --wait, or --wait 120.");
}

/** What the host did to the output, for people. */
function notesOf(content: ContentAnswer | undefined): readonly string[] {
  const { truncated, removed, escaped } = content ?? {};
  return [
    ...(truncated ? [`The text was cut: ${truncated.bytes} of ${truncated.of} bytes are left.`] : []),
    ...(removed ? [`Taken out of it: ${removed.join(", ")}.`] : []),
    ...(escaped ? ["Hidden characters in it are shown as \\u{…}."] : []),
  ];
}

/** Prints what a call came to, and exits by its code. */
export function printCall(context: CommandContext, session: Session, json: unknown): void {
  const parsed = callAnswer.safeParse(json);
  if (!parsed.success) {
    answerOf(json);
    throw new SallyportError("internal", "The owner's answer is not that of a call.", { cause: parsed.error });
  }
  const answer = parsed.data;
  if (answer.success) {
    session.print(answer, () => `${displayText(safeJson(answer.result, 2), MAX_INPUT)}\n`);
    for (const note of notesOf(answer.content)) session.remark(`${note}\n`);
    return;
  }
  const code: ErrorCode = isErrorCode(answer.code) ? answer.code : "internal";
  context.exitWith(exitCodeOf(code));
  if (session.json) return session.print(answer, "");
  const error = new SallyportError(code, answer.error, {
    ...(answer.detail !== undefined && { detail: answer.detail }),
    ...(answer.fix !== undefined && { fix: answer.fix }),
    data: { ...(answer.approval && { approval: answer.approval }) },
  });
  session.remark(renderError(error, createStyle(session.io.stderr, session.io.env)));
}

export async function readInput(session: Session, given: string): Promise<unknown> {
  let json = given;
  try {
    if (given === "-") json = await readStream(session.io.stdin, MAX_INPUT);
    else if (given.startsWith("@")) json = readFileSync(given.slice(1), "utf8");
  } catch (error) {
    throw usage(
      `The input cannot be read: ${error instanceof RangeError ? error.message : given}.`,
      "Give --input '{…}', @FILE or -.",
    );
  }
  try {
    return JSON.parse(json);
  } catch {
    throw usage("--input is not valid JSON.", `Write --input '{"key":"value"}'.`);
  }
}
