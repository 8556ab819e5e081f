import type { Command } from "commander";
import { z } from "zod";
import { approvalAnswer } from "../../wire/index.ts";
import { displayLine } from "../../kernel/index.ts";
import { isoTime, parseExpiry, table } from "../render/index.ts";
import type { Session } from "../session.ts";
import { type CommandContext, flag, globalOptions, path, query, text, usage, verb } from "./define.ts";

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
    .option("--state <state>", "pending, approved, denied, expired or consumed")
    .option("--all", "in every state");
  verb(
    approval,
    context,
    "approve <id>",
    "say yes to one request",
    "sallyport approval approve apr_1f… --uses 1",
    decide("approve"),
  )
    .option("--uses <n>", "how many calls it covers")
    .option("--expires <time>", "when it ends: 30m, 12h, 7d or an ISO date");
  verb(
    approval,
    context,
    "deny <id>",
    "say no to one request",
    "sallyport approval deny apr_1f…",
    decide("deny"),
  ).option("--reason <text>", "why, for the audit");
}

async function listApprovals(session: Session, _args: readonly string[], options: Readonly<Record<string, unknown>>) {
  const state = text(options, "state") ?? (flag(options, "all") ? undefined : "pending");
  const { result } = await session.call("GET", `/api/approvals${query({ state })}`);
  session.print(result, () =>
    table(
      ["ID", "STATE", "ASKED", "AGENT", "WHAT"],
      z
        .array(approvalAnswer)
        .parse(result)
        .map((item) => [item.id, item.state, isoTime(item.created_at), item.agent ?? "-", item.sentence]),
      state === "pending" ? "Nothing waits for an answer." : "There is no such request.",
    ),
  );
}

function decide(answer: "approve" | "deny") {
  return async (
    session: Session,
    [id = ""]: readonly string[],
    options: Readonly<Record<string, unknown>>,
  ): Promise<void> => {
    const uses = text(options, "uses");
    if (uses !== undefined && !/^[1-9]\d{0,5}$/.test(uses)) throw usage("--uses is no number.", "Write --uses 1.");
    const expires = text(options, "expires");
    const reason = text(options, "reason");
    const { approval } = await session.call("POST", `${path("/api/approvals", id)}/${answer}`, {
      body: {
        ...(uses !== undefined && { uses: Number(uses) }),
        ...(expires !== undefined && { expires_at: parseExpiry(expires, session.io.now()) }),
        ...(reason !== undefined && { reason }),
      },
    });
    session.print({ success: true, approval }, () => {
      const { sentence, state } = approvalAnswer.parse(approval);
      return `${session.style.good("✔")} ${state}: ${displayLine(sentence, 500)}\n`;
    });
  };
}
