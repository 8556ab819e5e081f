import type { Command } from "commander";
import { z } from "zod";
import { displayLine } from "../../kernel/index.ts";
import { type ApprovalAnswer, approvalAnswer, type PromptStatsAnswer, promptStatsAnswer } from "../../wire/index.ts";
import { isoTime, table } from "../render/index.ts";
import type { Session } from "../session.ts";
import { approveBody } from "./approval-scope.ts";
import { watchApprovals } from "./approval-watch.ts";
import { collect, type CommandContext, flag, globalOptions, path, query, text, verb } from "./define.ts";

type Options = Readonly<Record<string, unknown>>;

export function defineApprovalCommands(program: Command, context: CommandContext): void {
  const approval = globalOptions(program.command("approval")).description("answer what waits for an operator");
  verb(
    approval,
    context,
    "list",
    "list requests; those that wait, unless --all",
    "sallyport approval list",
    listApprovals,
  )
    .alias("ls")
    .option("--state <state>", "pending, approved, denied, expired, cancelled, consumed or withdrawn")
    .option("--standing", "yeses that cover more than one call, and hold")
    .option("--all", "in every state");
  scopeOptions(
    verb(
      approval,
      context,
      "approve <id>",
      "say yes to one request: exactly that call, once, within a quarter of an hour, unless you say more",
      "sallyport approval approve apr_1f… --match city=Be* --host api.example.com --uses 5 --until 2h",
      approve,
    ),
  );
  verb(
    approval,
    context,
    "deny <id>",
    "say no to one request",
    "sallyport approval deny apr_1f…",
    answer("deny"),
  ).option("--reason <text>", "why: for the audit, and for who asked");
  verb(
    approval,
    context,
    "withdraw <id>",
    "take back a yes that still holds; calls that run go on",
    "sallyport approval withdraw apr_1f…",
    answer("withdraw"),
  ).option("--reason <text>", "why, for the audit");
  verb(
    approval,
    context,
    "watch",
    "answer requests as they come, with one key each; one JSON document a line with --json",
    "sallyport approval watch",
    watchApprovals,
  );
}

function scopeOptions(command: Command): void {
  command
    .option("--match <argument=value>", "an argument that may vary, * is any text; the others stay as asked", collect)
    .option("--host <host>", "the plugin reaches only this host during the call; repeatable", collect)
    .option("--path <folder>", "the plugin reaches only files below this folder during the call; repeatable", collect)
    .option("--uses <n>", "how many calls it covers, or any (with --until)")
    .option("--until <time>", "when it ends: 18:00, 30m, 12h, 7d or an ISO date")
    .option("--expires <time>", "the same as --until");
}

async function listApprovals(session: Session, _args: readonly string[], options: Options) {
  const standing = flag(options, "standing");
  const all = flag(options, "all") || standing;
  const state = text(options, "state") ?? (all ? undefined : "pending");
  const answered = await session.call(
    "GET",
    `/api/approvals${query({ state, standing: standing ? "true" : undefined })}`,
  );
  const { result } = answered;
  session.print(result, () => {
    const found = z.array(approvalAnswer).parse(result);
    const prompts = promptStatsAnswer.safeParse(answered["prompts"]);
    const empty = state === "pending" ? "Nothing waits for an answer." : "There is no such request.";
    return `${table(
      ["ID", "STATE", standing ? "UNTIL" : "ASKED", "AGENT", "WHAT"],
      found.map((item) => row(item, standing)),
      empty,
    )}${prompts.success ? footer(prompts.data) : ""}`;
  });
}

function row(item: ApprovalAnswer, standing: boolean): readonly string[] {
  const covers = item.covers.length === 0 ? "" : ` [${item.covers.join("; ")}]`;
  const time = standing ? item.expires_at : item.created_at;
  const what = standing ? `${item.tool ?? ""}${covers}, used ${item.uses} times` : `${item.sentence}${covers}`;
  return [item.id, item.state, time === null ? "-" : isoTime(time), item.agent ?? "-", what];
}

/** How often operators are asked; nothing before the first call. */
export function footer({ calls, prompts, prompts_per_100: rate, standing }: PromptStatsAnswer): string {
  if (rate === null) return "";
  const more = standing === 0 ? "" : ` Standing: ${standing} (sallyport approval list --standing).`;
  return `Asked ${rate} times per 100 calls (${prompts} for ${calls}).${more}\n`;
}

async function approve(session: Session, [id = ""]: readonly string[], options: Options): Promise<void> {
  const body = approveBody(options, session.io.now());
  const { approval } = await session.call("POST", `${path("/api/approvals", id)}/approve`, { body });
  told(session, approval);
}

function answer(word: "deny" | "withdraw") {
  return async (session: Session, [id = ""]: readonly string[], options: Options): Promise<void> => {
    const reason = text(options, "reason");
    const { approval } = await session.call("POST", `${path("/api/approvals", id)}/${word}`, {
      body: { ...(reason !== undefined && { reason }) },
    });
    told(session, approval);
  };
}

function told(session: Session, approval: unknown): void {
  session.print({ success: true, approval }, () => {
    const { sentence, state, covers } = approvalAnswer.parse(approval);
    const more = covers.map((line) => `  ${displayLine(line, 500)}\n`).join("");
    return `${session.style.good("✔")} ${state}: ${displayLine(sentence, 1000)}\n${more}`;
  });
}
